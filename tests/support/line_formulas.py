"""Published formulas of the line model (arXiv 2404.15888) that only judge: nothing in the package is costed by them."""

from __future__ import annotations

from math import log2

from undiced.validation.line_formulas import RAMP_CYCLES, model_cycles


def broadcast_mesh(wavelets: int, rows: int, columns: int, ramp: float = RAMP_CYCLES) -> float:
    """Multicast of B wavelets from a corner of an M x N mesh."""
    return wavelets + rows + columns - 2 + 2 * ramp + 1


def tree_reduce(wavelets: int, cores: int, ramp: float = RAMP_CYCLES) -> float:
    """A binary tree laid on the line."""
    depth = log2(cores)
    return model_cycles(wavelets * depth, wavelets * cores * depth / 2, cores - 1, cores - 1, depth, ramp)


def ring_allreduce(wavelets: int, cores: int, ramp: float = RAMP_CYCLES) -> float:
    """Reduce-scatter and all-gather around a ring folded on the line."""
    return 2 * (cores - 1) * wavelets / cores + 4 * cores - 6 + 2 * (cores - 1) * (2 * ramp + 1)


def reduce_bound(wavelets: int, rows: int, columns: int, ramp: float = RAMP_CYCLES) -> float:
    """No reduction over M x N cores can be faster: B wavelets a core cross links, and a core has eight of them."""
    return max(wavelets, wavelets / 8 + rows + columns - 1 + 2 * ramp + 1)
