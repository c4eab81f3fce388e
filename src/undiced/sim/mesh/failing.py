"""A core that fails while a program runs: what it does wrong, and how the machine can see it.

With every sum travels one element more, which each core makes of its terms: their own sum. Where the elements of a
result do not add up to it, something on the way was wrong. A core that stops answering is seen by whoever waits for it.
Knows no program and no repair.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from undiced.core.errors import EngineError
from undiced.program.wafer import instruction as isa
from undiced.sim.mesh.cores import Cores
from undiced.sim.mesh.lines import by_line
from undiced.sim.mesh.movers import reduce
from undiced.sim.mesh.rounding import F32

_TOLERANCE = 2e-2  # of the terms' size: what roundings of 16 bits leave between a sum and the sum of its parts


@dataclass(frozen=True, slots=True)
class Failure:
    """A physical core of a wafer that fails: it answers nobody any more, or adds `error` to what it sends."""

    wafer: int
    x: int
    y: int
    kind: Literal["silent", "corrupt"]
    error: float = 1e3


class CoreFailureError(EngineError):
    """A sum shows that a core fails. `node`: whose sum; `lines`: places across the axis of lines that show it.

    `region`: the number of the region whose roots saw it; -1 until the executor has said it.
    """

    def __init__(self, message: str, *, node: str, lines: tuple[int, ...]) -> None:
        super().__init__(message, remedy="Find the core, place the program around it, and read the text again.")
        self.node, self.lines, self.region = node, lines, -1


def checked_reduce(cores: Cores, i: isa.Reduce, failing: Failure | None) -> None:
    """A sum with its check, on cores one of which may fail.

    Raises:
        CoreFailureError: the check does not hold, or somebody waits for a core that is silent.
    """
    if i.operation != "sum":
        reduce(cores, i)
        return
    own = by_line(cores, cores.full(cores.read(i.a)), i.line).astype(np.float64)
    lane = own.sum(axis=(2, 4))  # what each core makes of its terms, joined beside them
    place = disturb(cores, i.a, failing)
    if failing is not None and place is not None and failing.kind == "silent":
        raise _seen(i, place)
    reduce(cores, i)
    made = np.nansum(by_line(cores, cores.full(cores.read(i.result)), i.line).astype(np.float64), axis=(2, 4))
    riders = _repeated(cores, i, own)
    size = np.abs(own).sum(axis=(2, 4)) + 1.0
    wrong = np.abs(made - lane - riders) > _TOLERANCE * size
    if wrong.any():
        across = tuple(int(at) for at in np.unique(np.nonzero(wrong)[0]))
        raise CoreFailureError(f"The sum of {i.node} does not add up.", node=i.node, lines=across)


def _repeated(cores: Cores, i: isa.Reduce, own: np.ndarray) -> np.ndarray:
    """What roots hold more than once: riders at every root, or all of it."""
    _, part, tree = cores.values.tree(i.result)
    more = tree.slices - 1
    if part.whole:
        found: np.ndarray = more * own.sum(axis=(2, 4))
        return found
    return more * own[..., own.shape[-1] - part.riders :].sum(axis=(2, 4)) if part.riders else np.zeros(1)


def disturb(cores: Cores, name: str, failing: Failure | None) -> tuple[int, int] | None:
    """What a core that fails makes of a term that it sends: more by the error, or, silent, no number at all.

    Returns its row and column in the region; None if no core of the region fails.
    """
    place = None if failing is None or cores.ground is None else cores.ground.logical(failing.x, failing.y)
    if failing is None or place is None:
        return None
    holder = cores.values.holder(name).name
    array: F32 = np.array(cores.full(cores.arrays[holder]))
    array[place] += np.nan if failing.kind == "silent" else failing.error
    cores.arrays[holder] = array
    return place


def _seen(i: isa.Reduce, place: tuple[int, int]) -> CoreFailureError:
    across = place[1] if i.line.axis == 0 else place[0]
    message = f"The sum of {i.node} waits for a core that does not answer."
    return CoreFailureError(message, node=i.node, lines=(across,))
