"""The team idle and under load: it takes no processor time while nobody asks, and with one core busy elsewhere a real
model keeps more than half of its speed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support import tiny_models
from support.engines import step_of

from undiced.checkpoint import open_checkpoint
from undiced.compiled import compile_for_host
from undiced.compiler import compile
from undiced.engine.host import HostBackend
from undiced.machine.host import host
from undiced.model import build
from undiced.program import Bounds


def rate(backend: HostBackend, seconds: float = 0.6) -> float:
    """Decode steps a second of one sequence."""
    pages = np.zeros((1, 1), np.int32)
    steps, start = 0, time.perf_counter()
    while time.perf_counter() < start + seconds:
        backend.collect(backend.submit(step_of([(0, [1], steps % backend.limits.page_tokens)], pages, 1)))
        steps += 1
    return steps / (time.perf_counter() - start)


def test_a_team_that_nobody_asks_takes_no_processor_time(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(tiny_models.make_folder(tiny_models.load_case("llama"), tmp_path / "tiny"))
    backend = HostBackend(compile(build(checkpoint), host(4), Bounds(1, 32)), checkpoint, threads=4)
    try:
        for _ in range(3):
            rate(backend, 0.05)
            time.sleep(0.1)  # members have gone to sleep by then: they spin for a ten thousandth of a second
            before = time.process_time()
            time.sleep(0.5)
            if (taken := time.process_time() - before) < 0.025:
                return
        pytest.fail(f"in half a second the team took {taken:.3f} s of processor time")
    finally:
        backend.close()
        checkpoint.close()


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
