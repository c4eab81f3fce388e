"""The executor as a whole: what every instruction has, what steps share, what is refused."""

from typing import get_args

import numpy as np
import pytest
from msgspec import structs
from support.mesh_cores import cores, execute
from support.mesh_models import executor, forced, prompt, tiny
from support.meshes import compile_mesh

from undiced.compiler.wafer.lower.choices import LEAN
from undiced.core.errors import (
    CheckpointError,
    CompileError,
    ContextLengthError,
    EngineError,
    InvalidRequestError,
    ProgramFileError,
)
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis, Dim, Partial, Roots
from undiced.program.wafer.tree import Level, Tree
from undiced.program.wafer.value import DType, Value, View
from undiced.sim.mesh.executor import EXECUTORS, MeshExecutor

DIMS = (Dim("d", 4),)


def test_every_instruction_has_an_executor():
    assert set(EXECUTORS) == set(get_args(isa.Instruction))


@pytest.mark.parametrize("copying", [isa.Copy("n", "b", "a"), isa.Fold("n", "sum", "b", "a")])
def test_results_share_no_memory_with_operands(copying):
    made = cores(1, 2, (Value("a", DIMS), Value("b", DIMS)), {"a": [[1, 2, 3, 4]]})
    execute(made, copying)
    made.read("a")[...] = 0
    assert made.read("b").ravel().tolist()[:4] == [1, 2, 3, 4]


def test_reading_what_nobody_has_written_is_refused_by_name():
    made = cores(1, 2, (Value("a", DIMS), Value("b", DIMS)), {})
    with pytest.raises(ProgramFileError, match="reads a before it writes it"):
        execute(made, isa.Copy("n", "b", "a"))
    with pytest.raises(ProgramFileError, match="'c', which it doesn't declare"):
        execute(made, isa.Copy("n", "b", "c"))


def test_what_is_not_written_of_a_value_is_no_number():
    values = (Value("a", DIMS), Value("part", (Dim("d", 2),), view=View("a", 1)))
    made = cores(1, 1, values, {})
    execute(made, isa.Fill("n", "part", 7.0))
    assert np.isnan(made.read("a").ravel()).tolist() == [True, False, False, True]


def test_only_roots_hold_a_sum():
    terms = Value("terms", DIMS, columns=(Partial("sum", 5),))
    result = Value("sum", DIMS, columns=(Roots(5, 0),))
    made = cores(2, 5, (terms, result), {}, trees=(Tree(5, (Level(5),), 2),))
    made.keep("terms", np.ones((2, 5, 1, 4), np.float32))
    execute(made, isa.Reduce("n", "sum", "sum", "terms", isa.Line(Axis.COLUMNS, 5), "f32"))
    held = np.isfinite(made.read("sum")).all(axis=(2, 3))
    assert held.sum(axis=1).tolist() == [2, 2], "two slices of each line"
    assert np.nansum(made.read("sum")) == 2 * 4 * 5


def test_numbers_of_the_wafer_are_those_of_their_types():
    values = (Value("a", DIMS), Value("half", DIMS, DType.F16), Value("brain", DIMS, DType.BF16))
    for numbers, exact in (("fp32", True), ("wafer", False)):
        made = cores(1, 1, values, {"a": [[1 + 2**-12, 2049.0, 1e5, -3.0]]}, numbers=numbers)
        execute(made, isa.Copy("n", "half", "a"), isa.Copy("n", "brain", "a"))
        half, brain = made.read("half").ravel(), made.read("brain").ravel()
        assert (half.tolist() == [1 + 2**-12, 2049.0, 1e5, -3.0]) is exact
        if not exact:
            assert half.tolist() == [1.0, 2048.0, np.inf, -3.0]
            assert (np.ascontiguousarray(brain).view(np.uint32) & 0xFFFF == 0).all()


def test_a_prompt_in_pieces_is_the_prompt():
    tokens = prompt("gemma3", 9)
    found = [forced(executor("gemma3", 4, 3), tokens, first) for first in (9, 4, 1)]
    for other in found[1:]:
        np.testing.assert_allclose(found[0], other, atol=1e-4)


def test_sequences_of_a_batch_do_not_see_each_other():
    tokens = prompt("llama", 8)
    first, second = tokens[:5], tokens[3:]
    mesh = executor("llama", 4, 3)
    mesh.step([(7, first[:2])])
    both = mesh.step([(7, first[2:]), (1, second)])
    assert len(both.tokens) == len(first) - 2 + len(second) and both.finite.all()
    np.testing.assert_allclose(both.logits[:3], forced(executor("llama", 4, 3), first)[2:], atol=1e-4)
    np.testing.assert_allclose(both.logits[3:], forced(executor("llama", 4, 3), second), atol=1e-4)
    assert both.tokens == tuple(both.logits.argmax(axis=1))


def test_a_forgotten_sequence_begins_again():
    tokens, mesh = prompt("llama", 4), executor("llama", 2, 2)
    before = mesh.step([(0, tokens)]).logits
    mesh.forget(0)
    np.testing.assert_array_equal(mesh.step([(0, tokens)]).logits, before)


def test_a_step_that_is_refused_leaves_sequences_as_they_were():
    tokens, mesh = prompt("llama", 4), executor("llama", 2, 2, context=16)
    wanted = forced(executor("llama", 2, 2), tokens)
    mesh.step([(0, tokens[:2])])
    for work, error in (
        ([(0, [1] * 15)], ContextLengthError),
        ([(0, [1]), (0, [2])], InvalidRequestError),
        ([(0, [10**6])], InvalidRequestError),
        ([(0, [-1])], InvalidRequestError),
        ([], InvalidRequestError),
        ([(0, [])], InvalidRequestError),
    ):
        with pytest.raises(error):
            mesh.step(work)
    np.testing.assert_allclose(mesh.step([(0, tokens[2:])]).logits, wanted[2:], atol=1e-4)


def test_sixteen_bit_sums_are_close_and_not_equal():
    tokens = prompt("llama", 8)
    exact = forced(executor("llama", 5, 7, choices=LEAN), tokens)
    found = forced(executor("llama", 5, 7, choices=LEAN, numbers="wafer"), tokens)
    apart = np.abs(found - exact).max()
    assert 1e-4 < apart < 0.05 * exact.std()


def test_weights_that_are_no_numbers_are_refused_by_name():
    graph, weights = tiny("llama")
    name = "layers.1.ffn.up"
    bad = {**weights, name: np.where(np.arange(weights[name].shape[1]) == 1, np.nan, weights[name])}
    with pytest.raises(CheckpointError, match=name):
        MeshExecutor(compile_mesh(graph, 2, 2, context=16), bad.__getitem__)


def test_steps_stay_within_their_memory_and_their_rings():
    mesh = executor("gemma3", 4, 3, context=64, chunk=5)
    assert mesh.most_tokens_each == 5 and mesh.most_tokens > 5


def test_cuts_outside_the_graph_are_refused():
    graph, _ = tiny("llama")
    with pytest.raises(CompileError, match="do not lie inside"):
        compile_mesh(graph, 2, 2, cuts=[3, 3])


def test_an_instruction_that_cannot_be_executed_is_named_before_any_is():
    graph, weights = tiny("llama")
    program = compile_mesh(graph, 2, 2, context=16)
    stream = next(s for s in program.streams if any(isinstance(i, isa.Rotate) for i in s.instructions))
    broken = tuple(structs.replace(i, cosine="hidden") if isinstance(i, isa.Rotate) else i for i in stream.instructions)
    streams = tuple(structs.replace(s, instructions=broken) if s is stream else s for s in program.streams)
    with pytest.raises(CompileError, match=r"Instruction \d+ of stream .* \(rotate of attn"):
        MeshExecutor(structs.replace(program, streams=streams), weights.__getitem__)


def test_weights_that_memory_cannot_hold_are_refused(monkeypatch):
    monkeypatch.setattr("undiced.sim.mesh.executor.main_memory_bytes", lambda: 1000)
    with pytest.raises(EngineError, match="weights of all cores"):
        executor("llama", 2, 2)


def test_scores_that_an_exponential_cannot_take_are_counted():
    made = cores(1, 2, (Value("a", DIMS), Value("b", DIMS)), {"a": [[80, 80.5, -200, 81]]})
    execute(made, isa.Apply("n", "exp", "b", "a"))
    assert made.clamped == 2
    execute(made, isa.Apply("n", "exp", "b", "a", "library"))
    assert made.clamped == 2


def test_a_draw_takes_the_first_of_a_list():
    lists = Value("lists", (Dim("which", 2), Dim("candidate", 3)))
    made = cores(1, 1, (lists, Value("token", (Dim("count", 1),))), {"lists": [[[9, 8, 7], [40, 41, 42]]]})
    execute(made, isa.Draw("n", "token", "lists"))
    assert made.read("token").ravel().tolist() == [40]
