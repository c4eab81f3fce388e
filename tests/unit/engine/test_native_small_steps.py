"""Small steps share work out differently (instruction.py), and compute what large ones do, whatever the team."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support import tiny_models
from support.engines import run

from undiced.checkpoint import Checkpoint, open_checkpoint
from undiced.compiler import compile
from undiced.engine.host import HostBackend
from undiced.machine.host import host
from undiced.model import build
from undiced.program import Bounds, HostProgram
from undiced.program.host.instr import SMALL_STEP_TOKENS

PROMPTS = [[5, 9, 2, 39, 17, 3, 8, 30, 11, 6, 21, 33] * 3, [7, 1, 34, 12, 9] * 5, [3, 2, 1] * 6]


@pytest.fixture(params=["llama", "gemma3", "gpt2", "llama4-wide", "deepseek-v2-lite", "deepseek-v3-wide", "int8"])
def tiny(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[HostProgram, Checkpoint]]:
    name, kv_type = ("llama", "int8") if request.param == "int8" else (request.param, "f16")
    checkpoint = open_checkpoint(tiny_models.make_folder(tiny_models.load_case(name), tmp_path / "model"))
    yield compile(build(checkpoint), host(2), Bounds(len(PROMPTS), 48), kv_type), checkpoint
    checkpoint.close()


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
@pytest.mark.parametrize("sequences", [SMALL_STEP_TOKENS - 1, SMALL_STEP_TOKENS, SMALL_STEP_TOKENS + 1])
def test_a_token_at_a_time_computes_what_a_whole_prompt_does(
    tiny: tuple[HostProgram, Checkpoint], sequences: int, threads: int
) -> None:
    program, checkpoint = tiny
    order = np.random.default_rng(2).permutation(6)
    backend = HostBackend(program, checkpoint, threads=threads, pages=6)
    try:
        whole = run(backend, program, PROMPTS[:sequences], 64, order)
        for mode in ("never", "always"):  # the second: half of the threads do the shares of all
            backend._engine.set_folding(mode)
            single = run(backend, program, PROMPTS[:sequences], 1, order)
            for expected, found in zip(whole, single, strict=True):
                (last,) = expected
                np.testing.assert_allclose(found[last], expected[last], rtol=0, atol=1e-3 * np.abs(found[last]).max())
    finally:
        backend.close()
