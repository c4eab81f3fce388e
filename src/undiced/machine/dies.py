"""Dies of a GPU's size, cut from round wafers of the same process: how many work, whole or with blocks switched off.

A die is a grid of equal blocks (multiprocessors) and the rest of it. A defect in the rest costs the die; one in a block
costs the block. Harvested dies are sold with fewer blocks than they have. Knows no wafer that is used whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from undiced.machine import silicon
from undiced.machine.silicon import Process

_PIECE = 2_000_000  # dies that are drawn at once


@dataclass(frozen=True, slots=True)
class Dies:
    """What became of the dies of a lot.

    Attributes:
        wafers, dies: how many were drawn. whole: dies without a defect; harvested: those with blocks enough.
        good_mm2, harvested_mm2: area that works of a wafer, on average: of whole dies, and of harvested ones (of these
            without the blocks that are switched off).
    """

    wafers: int
    dies: int
    whole: int
    harvested: int
    good_mm2: float
    harvested_mm2: float


def dies(process: Process, wafers: int, seed: int = 0) -> Dies:
    """Draw the dies of so many wafers."""
    random = np.random.default_rng([seed, 2])
    each = int(silicon.GPU_DIES.value)
    whole = harvested = done = 0
    while done < wafers:
        here = min(wafers - done, max(1, _PIECE // each))
        clean, enough = _drawn(process, here, each, random)
        whole, harvested, done = whole + clean, harvested + enough, done + here
    area, share = silicon.GPU_AREA_MM2.value, silicon.GPU_BLOCKS_SHARE.value
    used = 1 - share + share * silicon.GPU_BLOCKS_ENABLED.value / silicon.GPU_BLOCKS.value
    return Dies(wafers, wafers * each, whole, harvested, whole / wafers * area, harvested / wafers * area * used)


def _drawn(process: Process, wafers: int, each: int, random: np.random.Generator) -> tuple[int, int]:
    """Dies without a defect, and dies with blocks enough."""
    count, blocks = wafers * each, int(silicon.GPU_BLOCKS.value)
    mean = process.density * silicon.GPU_AREA_MM2.value / (1 + process.patch)
    times = random.gamma(process.alpha, 1 / process.alpha, count) if isfinite(process.alpha) else np.ones(count)
    times *= np.tile(_rim(process, each), wafers)
    hit = np.repeat(np.arange(count), random.poisson(mean * times))
    in_block = random.random(len(hit)) < silicon.GPU_BLOCKS_SHARE.value * (1 - process.fatal_share)
    lost = np.zeros(count, dtype=bool)
    lost[hit[~in_block]] = True
    struck = np.unique(hit[in_block] * blocks + random.integers(0, blocks, int(in_block.sum()))) // blocks
    broken = np.bincount(struck, minlength=count)
    enough = ~lost & (broken <= blocks - silicon.GPU_BLOCKS_ENABLED.value)
    return int((~lost & (broken == 0)).sum()), int(enough.sum())


def _rim(process: Process, each: int) -> NDArray[np.float64]:
    """How dense defects are on each die of a wafer, 1 on average: dies lie at equal steps of area from the middle."""
    away = np.sqrt((np.arange(each) + 0.5) / each)
    dense = 1 + process.edge * away**silicon.EDGE_POWER.value
    made: NDArray[np.float64] = dense / dense.mean()
    return made
