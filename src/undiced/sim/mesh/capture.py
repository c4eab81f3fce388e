"""Keeps whole values of a step by name: what a comparison with another executor looks at. Knows no graph."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

import numpy as np

from undiced.program.wafer.instruction import Instruction
from undiced.program.wafer.layout import Keeper, Owner, Partial, Roots
from undiced.program.wafer.operands import writes
from undiced.program.wafer.program import Run
from undiced.program.wafer.value import Value
from undiced.sim.mesh.cores import Cores
from undiced.sim.mesh.rounding import F32
from undiced.sim.mesh.spreading import gather


class Capture:
    """Pass it as `watch` to every step of one sequence.

    Args:
        names: values to keep, of every run whose stream has them. What no core holds whole is left out.

    Attributes:
        kept: (tokens, *dims) by the run's layer and the value's name, of the last run that wrote it.
        values: what each of them was declared as.
    """

    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        self._pieces: dict[tuple[int, str], dict[int, F32]] = defaultdict(dict)
        self.values: dict[tuple[int, str], Mapping[str, Value]] = {}

    def __call__(self, run: Run, instruction: Instruction, cores: Cores) -> None:
        """Keep what the instruction has changed."""
        changed = {cores.values.holder(name).name for name in writes(instruction)}
        for name in self._names:
            if name in cores.values and cores.values.holder(name).name in changed and _gathered(cores.values[name]):
                whole = gather(cores.values[name], cores.read(name), lead=1)
                self._pieces[run.layer, name][int(cores.batch.positions[0])] = whole
                self.values[run.layer, name] = cores.values.all

    @property
    def kept(self) -> dict[tuple[int, str], F32]:
        """All tokens of the steps, in order."""
        return {key: np.concatenate([at[p] for p in sorted(at)]) for key, at in self._pieces.items()}


def _gathered(value: Value) -> bool:
    """Whether cores hold a value's elements, and not terms or slices of them."""
    return not any(isinstance(part, Roots | Partial | Owner | Keeper) for part in (*value.rows, *value.columns))
