"""What is computed for sampled rows alone has the bits that it has where all rows are sampled, in every family."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from support import tiny_models
from support.engines import logits_buffer

from undiced.checkpoint import Checkpoint, open_checkpoint
from undiced.compiler import compile
from undiced.engine.backend import StepInput
from undiced.engine.host import HostBackend
from undiced.engine.interpreter import InterpreterBackend
from undiced.engine.record import greedy
from undiced.machine.host import host
from undiced.model import build
from undiced.program import Bounds, HostProgram

F32 = NDArray[np.float32]
TEXT = [5, 9, 2, 39, 17, 3, 8, 30, 11, 6, 21, 33] * 4
PAGES = 8
Parts = list[tuple[int, int, tuple[int, ...]]]  # of each sequence: first position, tokens, sampled ones
STEPS: list[Parts] = [
    [(0, 20, ()), (0, 5, (4,)), (0, 9, (0, 1, 4, 8)), (0, 1, (0,))],
    [(20, 1, (0,)), (5, 1, ()), (9, 6, (0, 2, 3, 5)), (1, 1, (0,))],
    [(21, 4, (1, 2, 3)), (6, 3, ())],
    [(25, 1, ()), (9, 1, (0,))],
    [(26, 1, ()), (10, 1, ())],
    [(27, 1, (0,)), (11, 1, (0,))],
]
FAMILIES = [
    "llama", "gemma3", "gpt2", "gpt-neox", "olmo2", "granite", "phi3-short", "llama4-wide", "gpt-oss-wide",
    "mixtral-wide", "deepseek-v2-lite", "deepseek-v3-wide",
]  # fmt: skip


@pytest.fixture(params=FAMILIES)
def tiny(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[HostProgram, Checkpoint]]:
    checkpoint = open_checkpoint(tiny_models.make_folder(tiny_models.load_case(request.param), tmp_path / "model"))
    yield compile(build(checkpoint), host(2), Bounds(4, 32)), checkpoint
    checkpoint.close()


def logits(backend: HostBackend | InterpreterBackend, program: HostProgram, parts: Parts, every: bool) -> F32:
    """Those of all rows, or of the sampled ones."""
    starts = np.cumsum([0, *(count for _, count, _ in parts)]).astype(np.int32)
    picked = [range(count) if every else some for _, count, some in parts]
    rows = np.arange(starts[-1], dtype=np.int32) if every else np.array(rows_of(parts), np.int32)
    records = greedy(np.array([s for s, some in enumerate(picked) for _ in some], np.int32))
    records["target"] = 1
    positions = np.concatenate([np.arange(first, first + count, dtype=np.int32) for first, count, _ in parts])
    tokens = np.array([TEXT[s + p] for s, (first, n, _) in enumerate(parts) for p in range(first, first + n)], np.int32)
    tables = np.arange(PAGES, dtype=np.int32).reshape(4, -1)[: len(parts)]
    slots = np.arange(len(parts), dtype=np.int32)
    backend.collect(backend.submit(StepInput(tokens, positions, starts, slots, tables, rows, records)))
    found: F32 = backend.buffer(logits_buffer(program))
    return found


def rows_of(parts: Parts) -> list[int]:
    """The sampled ones among all of a step."""
    starts = np.cumsum([0, *(count for _, count, _ in parts)])
    return [int(starts[s]) + row for s, (_, _, some) in enumerate(parts) for row in some]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_sampled_rows_do_not_depend_on_which_others_are(tiny: tuple[HostProgram, Checkpoint], threads: int) -> None:
    program, checkpoint = tiny
    backend = HostBackend(program, checkpoint, threads=threads, pages=PAGES)
    try:
        whole = [logits(backend, program, parts, True) for parts in STEPS]
        for parts, expected in zip(STEPS, whole, strict=True):
            assert_array_equal(logits(backend, program, parts, False), expected[rows_of(parts)])
    finally:
        backend.close()


def test_the_interpreter_computes_the_same_for_some_rows_as_for_all(tiny: tuple[HostProgram, Checkpoint]) -> None:
    program, checkpoint = tiny
    judge = InterpreterBackend(program, checkpoint, pages=PAGES)
    whole = [logits(judge, program, parts, True) for parts in STEPS]
    for parts, expected in zip(STEPS, whole, strict=True):
        found = logits(judge, program, parts, False)
        assert_allclose(found, expected[rows_of(parts)], rtol=0, atol=1e-5 * np.abs(expected).max())
