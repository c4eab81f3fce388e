"""An int8 KV cache for every family: the team is what the interpreter is, and both are near to what f16 gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support import tiny_models
from support.engines import check_rows_alone, run

from undiced.checkpoint import Checkpoint, open_checkpoint
from undiced.compiler import compile
from undiced.core.errors import UnsupportedError
from undiced.engine.host import HostBackend
from undiced.engine.interpreter import InterpreterBackend
from undiced.engine.meaning import log_softmax
from undiced.machine.host import host
from undiced.model import build
from undiced.program import Bounds, HostProgram

TOLERANCE = 1e-2  # of the largest logit: what differs in the last bit may round to the next code
MEAN_KL = 0.01  # nats, over the predictions of a model with random weights; most stay below 0.0003
Case = tuple[list[list[int]], Checkpoint]


@pytest.fixture(params=tiny_models.host_cases())
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    described = tiny_models.load_case(request.param)
    checkpoint = open_checkpoint(tiny_models.make_folder(described, tmp_path / request.param))
    yield described["prompts"], checkpoint
    checkpoint.close()


def programs(case: Case) -> tuple[HostProgram, HostProgram] | None:
    """In f16 and in int8; None for what is refused in int8 with a reason."""
    prompts, checkpoint = case
    graph = build(checkpoint)
    bounds = Bounds(len(prompts), min(64, graph.config.context))
    plain = compile(graph, host(2), bounds)
    try:
        return plain, compile(graph, host(2), bounds, "int8")
    except UnsupportedError as error:
        assert any(layer.latent for layer in plain.kv)
        assert "latents" in error.message and 'kv_type="f16"' in (error.remedy or "")
        return None


def test_the_team_computes_what_the_interpreter_does_and_about_what_f16_gives(case: Case) -> None:
    prompts, checkpoint = case
    if (pair := programs(case)) is None:
        return
    order = np.random.default_rng(1).permutation(8)
    plain, narrow = pair
    twin = run(InterpreterBackend(narrow, checkpoint, pages=8, kv_rounded=True), narrow, prompts, 5, order)
    found = []
    for program in (plain, narrow):
        backend = HostBackend(program, checkpoint, threads=2, pages=8)
        try:
            found.append(run(backend, program, prompts, 5, order))
        finally:
            backend.close()
    kl, apart, changed = [], 0.0, 0.0
    for wide, rows, same in zip(*found, twin, strict=True):
        for position, row in rows.items():
            np.testing.assert_allclose(row, same[position], rtol=0, atol=TOLERANCE * np.abs(row).max())
            expected, got = log_softmax(wide[position][None]), log_softmax(row[None])
            kl.append(float(np.sum(np.exp(expected) * (expected - got))))
            apart += float(np.abs(row - same[position]).sum())
            changed += float(np.abs(row - wide[position]).sum())
    assert apart < changed / 4 and 0 < np.mean(kl) < MEAN_KL


def test_a_row_of_a_draft_has_the_bits_that_it_has_alone(case: Case) -> None:
    prompts, checkpoint = case
    if (pair := programs(([[1]], checkpoint))) is None:
        return
    check_rows_alone(pair[1], checkpoint, prompts)
