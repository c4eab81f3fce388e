"""Chunks of a prompt: what they leave is what single tokens leave, for every family; only last tokens get logits."""

from dataclasses import replace
from math import prod

import numpy as np
import pytest
from msgspec import structs
from support.mesh_models import executor, prompt, tiny
from support.meshes import compile_mesh
from support.tiny_models import case_names

from undiced.compiler.wafer.lower.choices import EXACT, LEAN
from undiced.core.errors import CompileError, InvalidRequestError
from undiced.program.wafer.value import DType, Kind, local_shape
from undiced.program.wafer.verify import verify

CHUNK = 4


def _after(mesh, tokens, chunk):
    """Logits after the last of the tokens, which are taken so many at a time; and after one more."""
    for at in range(0, len(tokens) - 1, chunk):
        made = mesh.step([(0, tokens[at : min(at + chunk, len(tokens) - 1)])])
    return np.concatenate([made.logits[-1:], mesh.step([(0, tokens[-1:])]).logits])


@pytest.mark.parametrize("family", case_names())
def test_a_chunk_leaves_what_its_tokens_leave_one_by_one(family):
    tokens = prompt(family, 11)
    single = executor(family, 4, 3, choices=LEAN)
    wanted = _after(single, tokens, 1)
    found = _after(executor(family, 4, 3, choices=LEAN, prompt=CHUNK), tokens, CHUNK)
    assert np.abs(found - wanted).max() < 1e-4 * wanted.std()


@pytest.mark.parametrize("choices", [EXACT, LEAN, replace(LEAN, weights=DType.I8)], ids=["exact", "lean", "int8"])
def test_with_the_wafers_numbers_a_chunk_has_the_bits_of_single_tokens(choices):
    tokens, more = prompt("llama", 11), {"choices": choices, "numbers": "wafer", "prompt": CHUNK}
    found = [_after(executor("llama", 5, 7, **more), tokens, chunk) for chunk in (1, 3, CHUNK)]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_over_regions_only_last_tokens_reach_the_end():
    tokens = prompt("llama", 9)
    mesh = executor("llama", 4, 3, cuts=[2, 4], prompt=8)
    made = mesh.step([(0, tokens[:5]), (1, tokens[:3])])
    assert made.logits.shape[0] == len(made.tokens) == 2
    wanted = [_after(executor("llama", 4, 3), [*tokens[:n], 0], 1)[0] for n in (5, 3)]
    np.testing.assert_allclose(made.logits, wanted, atol=1e-4)
    with pytest.raises(InvalidRequestError, match="A chunk has 8 tokens, and 9 are given"):
        mesh.step([(2, tokens)])
    assert mesh.most_tokens_each == 8


def _altered(program, change):
    return structs.replace(program, streams=tuple(map(change, program.streams)))


def test_what_is_no_chunk_is_refused():
    graph, _ = tiny("llama")
    program = compile_mesh(graph, 4, 3, prompt=CHUNK)
    verify(program)
    embedding = program.streams[program.regions[0].runs[1].stream].name
    early = _altered(program, lambda s: structs.replace(s, last=s.last or s.name == embedding))
    with pytest.raises(CompileError, match="runs all tokens of a chunk after"):
        verify(early)

    def once(stream):
        if not any(v.name == "payload" for v in stream.values):
            return stream
        values = [structs.replace(v, once=v.kind is Kind.ACTIVATION and v.name == "payload") for v in stream.values]
        return structs.replace(stream, values=tuple(values))

    with pytest.raises(CompileError, match="the same for all tokens"):
        verify(_altered(program, once))
    with pytest.raises(CompileError, match="chunk of 0"):
        verify(structs.replace(program, facts=(("chunk", 0.0),)))


@pytest.mark.parametrize("family", case_names())
def test_heads_one_after_the_other_are_the_heads_together(family):
    tokens = prompt(family, 11)
    wanted = _after(executor(family, 4, 3, choices=LEAN), tokens, 1)
    apart = replace(LEAN, head_by_head=True)
    found = _after(executor(family, 4, 3, choices=apart, prompt=CHUNK), tokens, CHUNK)
    assert np.abs(found - wanted).max() < 1e-4 * wanted.std()


def test_scores_of_one_head_take_the_room_of_one():
    graph, _ = tiny("llama")
    group = graph.config.heads // graph.config.kv_heads
    sizes = []
    for each in (LEAN, replace(LEAN, head_by_head=True)):
        program = compile_mesh(graph, 4, graph.config.kv_heads, choices=each, prompt=CHUNK)
        values = {v.name: v for stream in program.streams for v in stream.values}
        sizes.append(prod(local_shape(values["scores.terms"])))
    assert group > 1 and sizes[0] == group * sizes[1]
