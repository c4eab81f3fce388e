"""The team under load: with one core busy elsewhere a real model must keep more than half of its speed."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
import pytest
from support.engines import step_of

from undiced.compiled import compile_for_host
from undiced.engine.host import HostBackend


def rate(backend: HostBackend, seconds: float = 0.6) -> float:
    """Decode steps a second of one sequence."""
    pages = np.zeros((1, 1), np.int32)
    steps, start = 0, time.perf_counter()
    while time.perf_counter() < start + seconds:
        backend.collect(backend.submit(step_of([(0, [1], steps % backend.limits.page_tokens)], pages, 1)))
        steps += 1
    return steps / (time.perf_counter() - start)


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_one_core_busy_elsewhere_leaves_half_of_the_speed() -> None:
    compiled = compile_for_host("smollm2-135m", threads=2, max_batch=1, max_context=64)
    backend = HostBackend(compiled.program, compiled.checkpoint)
    rate(backend)
    shares = []
    for _ in range(5):
        free = rate(backend)
        hog = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            time.sleep(0.2)
            shares.append(rate(backend) / free)
        finally:
            hog.kill()
            hog.wait()
        time.sleep(0.5)
    backend.close()
    assert np.median(shares) >= 0.5, shares
