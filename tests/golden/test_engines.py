"""Three executors of every family: the program's interpreter = golden logits = the thread team."""

import numpy as np
import pytest
from support import tiny_models
from support.engines import check_rows_alone, run

from undiced.checkpoint import open_checkpoint
from undiced.compiler import compile
from undiced.core.errors import UnsupportedError
from undiced.engine.host import HostBackend
from undiced.engine.interpreter import InterpreterBackend
from undiced.machine.host import host
from undiced.model import build
from undiced.program import Bounds

TOLERANCE = 1e-4  # of the largest logit; weights are dense floats everywhere


@pytest.fixture(params=tiny_models.host_cases())
def case(request, tmp_path):
    described = tiny_models.load_case(request.param)
    checkpoint = open_checkpoint(tiny_models.make_folder(described, tmp_path / request.param))
    with np.load(tiny_models.CASES / f"{request.param}.npz") as golden:
        expected = [golden[f"prompt{i}"] for i in range(len(described["prompts"]))]
    yield described["prompts"], checkpoint, expected
    checkpoint.close()


def compiled(checkpoint, prompts):
    graph = build(checkpoint)
    return compile(graph, host(2), Bounds(len(prompts), min(64, graph.config.context)))


def pages(seed):
    return np.random.default_rng(seed).permutation(8)


def check(found, expected):
    compared = 0
    for logits, golden in zip(found, expected, strict=True):
        for position, row in logits.items():
            if position < len(golden):
                np.testing.assert_allclose(row, golden[position], rtol=0, atol=TOLERANCE * np.abs(row).max())
                compared += 1
    assert compared >= len(expected)


@pytest.mark.parametrize("name", tiny_models.NOT_FOR_THE_HOST)
def test_sizes_that_the_engine_does_not_take_are_refused(name, tmp_path):
    checkpoint = open_checkpoint(tiny_models.make_folder(tiny_models.load_case(name), tmp_path / name))
    with pytest.raises(UnsupportedError, match="multiples of"):
        compiled(checkpoint, [[1]])
    checkpoint.close()


def test_every_family_is_computed():
    families = {name: tiny_models.load_case(name)["family"] for name in tiny_models.case_names()}
    assert {families[name] for name in tiny_models.host_cases()} == set(families.values())


def test_a_row_of_a_draft_has_the_bits_that_it_has_alone(case):
    """Whatever is drafted, logits are those of one token at a time: products, norms and experts take rows apart."""
    prompts, checkpoint, _ = case
    program = compile(build(checkpoint), host(2), Bounds(1, 32))
    check_rows_alone(program, checkpoint, prompts)


@pytest.mark.parametrize("chunk", [1, 5, 64])
def test_interpreter_computes_golden_logits(case, chunk):
    prompts, checkpoint, expected = case
    program = compiled(checkpoint, prompts)
    check(run(InterpreterBackend(program, checkpoint, pages=8), program, prompts, chunk, pages(0)), expected)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("chunk", [1, 5, 64])
def test_team_computes_what_the_interpreter_does(case, chunk, threads):
    prompts, checkpoint, _ = case
    program = compiled(checkpoint, prompts)
    twin = run(InterpreterBackend(program, checkpoint, pages=8, kv_rounded=True), program, prompts, chunk, pages(0))
    backend = HostBackend(program, checkpoint, threads=threads, pages=8)
    try:
        found = run(backend, program, prompts, chunk, pages(1))
    finally:
        backend.close()
    for logits, same in zip(found, twin, strict=True):
        for position, row in logits.items():
            np.testing.assert_allclose(row, same[position], rtol=0, atol=10 * TOLERANCE * np.abs(row).max())
