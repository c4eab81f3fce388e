"""Some hundred positions on the host, of every family: what the graph computes in numpy, whether a prompt comes whole
or in pieces, and for the tokens after it. From position 256 on a prompt attends in 16-bit integers where a level can.
"""

import numpy as np
import pytest
from support import tiny_models
from support.engines import run

from undiced import _native
from undiced.checkpoint import open_checkpoint
from undiced.compiler import compile
from undiced.engine.backend import SlotState
from undiced.engine.host import HostBackend
from undiced.engine.interpreter import InterpreterBackend
from undiced.machine.host import host
from undiced.model import KvState, build, load_weights, run_graph
from undiced.program import Bounds

PROMPT, AFTER = 600, 5
CONTEXT = 640
TOLERANCE = 1e-4  # of the largest logit
ROUNDED = 0.02  # of it, the most that f16 takes from keys and values
CASES = [name for name in tiny_models.host_cases() if tiny_models.stretched(tiny_models.load_case(name), CONTEXT)]


@pytest.fixture(params=CASES)
def long_case(request, tmp_path):
    case = tiny_models.stretched(tiny_models.load_case(request.param), CONTEXT)
    checkpoint = open_checkpoint(tiny_models.make_folder(case, tmp_path / request.param))
    yield checkpoint, build(checkpoint)
    checkpoint.close()


def tokens_of(graph):
    return np.random.default_rng(4).integers(0, graph.config.vocab, PROMPT + AFTER, np.int32)


def told(backend, program, tokens, pieces):
    """Logits of the last token of each piece, by its position."""
    (found,) = run(backend, program, [tokens], pieces, np.random.default_rng(2).permutation(backend.limits.pages))
    return found


def told_by_the_host(checkpoint, program, tokens, pieces, prompt, isa=""):
    """`prompt`: how long the engine is told that it is."""
    backend = HostBackend(program, checkpoint, threads=2, pages=CONTEXT // 32, max_tokens=max(pieces), isa=isa)
    try:
        backend.open_slot(0, SlotState(prompt_tokens=prompt))
        return told(backend, program, tokens, pieces)
    finally:
        backend.close()


def apart(found, expected):
    """The largest difference, in shares of the largest logit of its position."""
    return max(
        np.abs(row - expected[position]).max() / np.abs(expected[position]).max() for position, row in found.items()
    )


def test_a_long_prompt_and_tokens_after_it_are_what_the_graph_computes(long_case):
    """Up to what f16 takes from keys and values; words take less."""
    checkpoint, graph = long_case
    program, tokens = compile(graph, host(2), Bounds(1, CONTEXT)), tokens_of(graph)
    steps = [PROMPT] + [1] * AFTER
    expected = run_graph(graph, load_weights(graph, checkpoint), tokens.tolist(), KvState())
    exact, rounded = (
        told(
            InterpreterBackend(program, checkpoint, pages=CONTEXT // 32, max_tokens=PROMPT, kv_rounded=is_rounded),
            program,
            tokens,
            steps,
        )
        for is_rounded in (False, True)
    )
    assert apart(exact, expected) < TOLERANCE
    whole = told_by_the_host(checkpoint, program, tokens, steps, PROMPT)
    assert apart(whole, rounded) < apart(rounded, exact) < ROUNDED
    pieces = told_by_the_host(checkpoint, program, tokens, [250, 20, 257, 73] + [1] * AFTER, PROMPT)
    assert len(pieces) == 4 + AFTER and apart(pieces, expected) < ROUNDED
    for position, row in whole.items():
        np.testing.assert_array_equal(row, pieces[position])


@pytest.mark.parametrize("isa", ["avx2", "avx512"])
def test_a_prompt_attends_in_words_and_an_answer_in_floats(isa, tmp_path):
    """Or what is compared above would never be words. A few tokens of which nobody says that they are a prompt's are an
    answer's."""
    if not _native.isa_supported(isa):
        pytest.skip(f"this processor has no {isa}")
    case = tiny_models.stretched(tiny_models.load_case("qwen3"), CONTEXT)
    checkpoint = open_checkpoint(tiny_models.make_folder(case, tmp_path / "m"))
    graph = build(checkpoint)
    program, tokens, pieces = (
        compile(graph, host(2), Bounds(1, CONTEXT)),
        tokens_of(graph)[:PROMPT],
        [25] * (PROMPT // 25),
    )
    words, floats = (told_by_the_host(checkpoint, program, tokens, pieces, prompt, isa) for prompt in (PROMPT, 0))
    checkpoint.close()
    for position in words:
        assert np.array_equal(words[position], floats[position]) == (position < 256), position
