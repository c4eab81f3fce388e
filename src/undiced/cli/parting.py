"""Where two traces of one model part: the first value that differs beyond a tolerance, and the errors of all layers.

Errors are relative to the root mean square of the value itself, so that one tolerance serves all of them. Knows no
executor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from undiced.model.node import Node

F32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Difference:
    """How far two executors are apart in one value.

    Attributes:
        layer: -1 before the first and after the last; op, value: the graph's operator and the name of what it makes.
        error: the largest difference; infinite where one alone is a number.
        relative: the same over the first executor's root mean square.
        token, column: where it is; a, b: what each has there.
    """

    layer: int
    op: str
    value: str
    error: float
    relative: float
    token: int
    column: int
    a: float
    b: float


@dataclass(frozen=True, slots=True)
class Parting:
    """What two executors' values say about each other.

    Attributes:
        values: every value that both have, in the graph's order.
        first: the first of them beyond the tolerance; None if there is none.
        missing: values of the graph that one or the other does not compute by itself.
    """

    tolerance: float
    values: tuple[Difference, ...]
    first: Difference | None
    missing: tuple[str, ...]

    def by_layer(self) -> list[Difference]:
        """The largest relative difference of each layer, in the model's order."""
        largest: dict[int, Difference] = {}
        for found in self.values:
            key = found.layer if found.layer >= 0 or not largest else 1 << 30  # the ends of the model lie apart
            if key not in largest or not found.relative <= largest[key].relative:
                largest[key] = found
        return list(largest.values())

    def summary(self) -> dict[str, object]:
        """What scripts read."""
        return {
            "tolerance": self.tolerance,
            "parts": self.first is not None,
            "first": None if self.first is None else asdict(self.first),
            "layers": [asdict(found) for found in self.by_layer()],
            "values_compared": len(self.values),
            "values_missing": len(self.missing),
        }


def parting(nodes: Sequence[Node], a: Mapping[str, F32], b: Mapping[str, F32], tolerance: float) -> Parting:
    """Compares two traces, (tokens, width) by node name.

    Raises:
        InvalidRequestError: they have no value in common.
    """
    values = tuple(_difference(node, a[node.out], b[node.out]) for node in nodes if node.out in a and node.out in b)
    if not values:
        raise InvalidRequestError("The two executors have no value in common.")
    first = next((found for found in values if not found.relative <= tolerance), None)
    missing = tuple(node.out for node in nodes if node.out not in a or node.out not in b)
    return Parting(tolerance, values, first, missing)


def _difference(node: Node, a: F32, b: F32) -> Difference:
    x, y = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.where(np.isfinite(x) & np.isfinite(y), np.abs(x - y), np.inf)
    same = ~np.isfinite(x) & ((x == y) | (np.isnan(x) & np.isnan(y)))
    apart[same] = 0.0
    token, column = (int(at) for at in np.unravel_index(int(apart.argmax()), apart.shape))
    error = float(apart[token, column])
    size = float(np.sqrt(np.mean(np.square(x[np.isfinite(x)])))) if np.isfinite(x).any() else 0.0
    relative = error / size if size > 0 else float(np.inf if error else 0.0)
    at = float(x[token, column]), float(y[token, column])
    return Difference(node.layer, node.op, node.out, error, relative, token, column, *at)
