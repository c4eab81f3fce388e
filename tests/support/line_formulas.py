"""Published formulas of the line model (arXiv 2404.15888) that only judge: nothing in the package is costed by them."""

from __future__ import annotations

from math import log2, sqrt

RAMP_CYCLES = 2


def model_cycles(
    contention: float, energy: float, links: float, distance: float, depth: float, ramp: float = RAMP_CYCLES
) -> float:
    """`max(C, E/N + L) + (2 T_R + 1) D`: C most wavelets at a core, E total hops, N links, L distance, D depth."""
    return max(contention, energy / links + distance) + (2 * ramp + 1) * depth


def broadcast_line(wavelets: int, cores: int, ramp: float = RAMP_CYCLES) -> float:
    """Multicast of B wavelets from one end of a line of P cores."""
    return wavelets + cores + 2 * ramp


def star_reduce(wavelets: int, cores: int, ramp: float = RAMP_CYCLES) -> float:
    """Every core sends to the root, which adds."""
    return wavelets * (cores - 1) + 2 * ramp + 1


def chain_reduce(wavelets: int, cores: int, ramp: float = RAMP_CYCLES) -> float:
    """Each core adds its own to what its neighbor sends and passes it on, pipelined over wavelets."""
    return wavelets + (2 * ramp + 2) * (cores - 1)


def two_phase_reduce(wavelets: int, cores: int, ramp: float = RAMP_CYCLES) -> float:
    """Chains in groups of sqrt(P), then a chain over the group roots."""
    root = sqrt(cores)
    energy = 2 * wavelets * (cores - root)
    return model_cycles(2 * wavelets, energy, cores - 1, cores - 1, 2 * root - 2, ramp)


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
