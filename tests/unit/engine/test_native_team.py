"""The team under load: with one core busy elsewhere it must keep more than half of its speed."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
import pytest
from native_rig import Rig, Seq, barriers

from undiced.program import Instr, Op

WIDTH = 1024
MATMULS = 120


def busy_program() -> Rig:
    """A decode step in miniature: many short products, a barrier after each."""
    rng = np.random.default_rng(0)
    scales = np.full((WIDTH * WIDTH // 32, 1), 1e-3, np.float16).view(np.uint8)
    raw = np.concatenate([scales, rng.integers(0, 256, (len(scales), 32), dtype=np.uint8)], axis=1)
    layers = [Instr(Op.QUANTIZE, 2, 0, p=(WIDTH, 2)), Instr(Op.MATMUL, 1, 2, weight=1, p=(0, WIDTH, WIDTH))]
    rig = Rig(
        barriers([Instr(Op.EMBED, 0, weight=0, f=(1.0,)), *layers * MATMULS]),
        [(WIDTH, 0, 0), (WIDTH, 0, 0), (WIDTH, 0, 1)],
        [rng.normal(size=(4, WIDTH)).astype(np.float32)],
        slots=[(4, WIDTH, "F32", 1), (WIDTH, WIDTH, "Q8_0", 1)],
    )
    rig.load(1, raw, "Q8_0", WIDTH, WIDTH)
    return rig


def rate(rig: Rig, seconds: float = 0.6) -> float:
    """Steps a second."""
    steps, start = 0, time.perf_counter()
    while time.perf_counter() < start + seconds:
        rig.step([Seq([1])])
        steps += 1
    return steps / (time.perf_counter() - start)


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_one_core_busy_elsewhere_leaves_half_of_the_speed() -> None:
    rig = busy_program()
    rate(rig)
    shares = []
    for _ in range(5):
        free = rate(rig)
        hog = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            time.sleep(0.2)
            shares.append(rate(rig) / free)
        finally:
            hog.kill()
            hog.wait()
        time.sleep(0.5)
    assert np.median(shares) >= 0.5, shares
