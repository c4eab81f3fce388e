"""Which of the experts that tokens chose each core has of a stack, and what it then takes of it.

Knows layouts and ids. What a core makes of a choice whose expert lies elsewhere is no number there, or 0 in a sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undiced.program.wafer.value import shard_of
from undiced.sim.mesh.cores import Cores
from undiced.sim.mesh.identities import along
from undiced.sim.mesh.rounding import F32

Names = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Visit:
    """One token's experts.

    Attributes:
        at: [rows, columns, *choices] index of each within a core's share of the stack; an axis along which all cores
            have the same experts has length 1.
        here: of the same shape, whether a core has the expert; None: every core has all.
    """

    at: NDArray[np.int64]
    here: NDArray[np.bool_] | None
    choices: Names

    def taken(self, stack: F32) -> F32:
        """[rows, columns, *choices, *dims] of a stack [rows, columns, experts, *dims]; 0 where a core lacks one."""
        if self.here is None:
            return stack[:, :, self.at[0, 0]]
        shape = self.at.shape[2:]
        flat = self.at.reshape(*self.at.shape[:2], -1, *(1,) * (stack.ndim - 3))
        made = np.take_along_axis(stack, flat, 2).reshape(*stack.shape[:2], *shape, *stack.shape[3:])
        return self.only(made, (*self.choices, *range(stack.ndim - 3)), 0.0, lead=2)

    def only(self, array: F32, dims: tuple[object, ...], otherwise: float, lead: int = 3) -> F32:
        """An array [rows, columns(, tokens), *dims], `otherwise` for choices whose expert a core lacks; as it is where
        it has no choices."""
        if self.here is None or not set(self.choices) <= set(dims):
            return array
        order = sorted(range(len(self.choices)), key=lambda n: dims.index(self.choices[n]))
        here = self.here.transpose(0, 1, *(2 + n for n in order))
        missing = [2 + n for n, dim in enumerate(dims) if dim not in self.choices]
        here = np.expand_dims(here, (*range(2, lead), *(lead - 2 + axis for axis in missing)))
        made: F32 = np.where(here, array, np.float32(otherwise))
        return made


def visits(cores: Cores, ids: str, weight: str) -> list[Visit]:
    """Of each token the experts that it chose of a stack."""
    value, chosen = cores.values[weight], cores.read(ids)[0, 0].astype(np.int64)
    dims, first = cores.values.dims(ids), value.dims[0]
    part = shard_of(value, first.name)
    if part is None or part.ways == 1:
        return [Visit(token[None, None], None, dims) for token in chosen]
    own = along(value, first.name, first.size, cores.rows, cores.columns)
    found = []
    for token in chosen:
        match = own.reshape(*own.shape[:2], *(1,) * token.ndim, -1) == token[None, None, ..., None]
        found.append(Visit(match.argmax(axis=-1), match.any(axis=-1), dims))
    return found
