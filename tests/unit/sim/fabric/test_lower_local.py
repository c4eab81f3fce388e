"""Local instructions at level 2: each alone has the numbers of level 1, and together they take the clock's time."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import get_args

import pytest
from support.fabric_steps import alone, differing, recorded
from support.mesh_models import prompt, tiny
from support.meshes import compile_mesh

from undiced.compiler.wafer.lower.choices import EXACT, LEAN
from undiced.core.errors import UnsupportedError
from undiced.machine import wse3
from undiced.machine.arithmetic import local_cost
from undiced.machine.cost import repriced
from undiced.machine.timeline import critical_path
from undiced.program import Bounds, Rect
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import POSITION, Dim, Shard
from undiced.program.wafer.program import Region, Run, Stream, WaferProgram
from undiced.program.wafer.value import DType, Kind, Value, View, Weights
from undiced.program.wafer.workload import work
from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.lower.frames import frames
from undiced.sim.fabric.lower.local import LACKING, LOCAL
from undiced.sim.fabric.lower.lower import lower, lowered
from undiced.sim.fabric.simulate import simulate


def locals_of(moments, streams):
    """Each local instruction of the first run of each stream, with the moment before it."""
    seen = set()
    for before, moment in pairwise(moments):
        key = streams(moment.run), moment.index
        if type(moment.instruction) in LOCAL and not isinstance(moment.instruction, isa.Slice) and key not in seen:
            seen.add(key)
            yield before, moment


@pytest.mark.parametrize(
    ("name", "rows", "columns", "choices", "tokens"),
    [
        ("qwen3", 3, 4, EXACT, 7),
        pytest.param("llama-bias-linear-tied", 5, 7, LEAN, 6, marks=pytest.mark.slow),
        pytest.param("gemma3", 3, 4, LEAN, 12, marks=pytest.mark.slow),
        pytest.param("gpt2", 2, 3, LEAN, 1, marks=pytest.mark.slow),
    ],
)
def test_an_instruction_alone_has_the_bits_of_level_1(name, rows, columns, choices, tokens):
    given = prompt(name, tokens)
    program, moments = recorded(name, rows, columns, choices, given)
    kinds = set()
    for before, moment in locals_of(moments, lambda run: program.regions[0].runs[run].stream):
        frame, outcome = alone(program, before, moment, given[-1], tokens - 1)
        assert outcome.status == "finished"
        assert not differing(frame, outcome.memory, moment), moment.instruction
        kinds.add(type(moment.instruction))
    assert len(kinds) >= 9


@pytest.mark.parametrize(("name", "masks"), [("mistral", 3), pytest.param("llama4", 3, marks=pytest.mark.slow)])
def test_positions_out_of_a_window_or_a_chunk_are_masked_as_level_1_masks_them(name, masks):
    given = prompt(name, 12)
    program, moments = recorded(name, 3, 4, LEAN, given, chunk=6)
    found = []
    for earlier, moment in pairwise(moments):
        if isinstance(moment.instruction, isa.Mask) and (moment.instruction.window or moment.instruction.chunk):
            frame, outcome = alone(program, earlier, moment, given[-1], 11)
            assert not differing(frame, outcome.memory, moment)
            found.append(outcome.cycles)
    assert len(found) == masks
    assert min(found) > 0


@pytest.mark.parametrize(
    ("name", "choices", "groups", "kinds"),
    [
        ("mixtral", LEAN, 1, {"Product": 2}),
        ("gpt-oss", LEAN, 1, {"Product": 2, "Mark": 2}),
        ("deepseek-v3", LEAN, 1, {"Product": 2, "Mark": 1, "Place": 10}),
        pytest.param("mixtral", EXACT, 1, {"Product": 2}, marks=pytest.mark.slow),
        pytest.param("qwen3-moe", LEAN, 2, {"Product": 2}, marks=pytest.mark.slow),
    ],
)
def test_chosen_experts_and_elements_have_the_bits_of_level_1(name, choices, groups, kinds):
    """Products with experts where ids in memory say, marks of ids, copies of what cores hold and need."""
    given = prompt(name, 6)
    program, moments = recorded(name, 3, 4, choices, given, groups=groups)
    found = Counter()
    for before, moment in locals_of(moments, lambda run: program.regions[0].runs[run].stream):
        if type(moment.instruction) in (isa.Mark, isa.Place) or _chosen(moment.instruction):
            frame, outcome = alone(program, before, moment, given[-1], 5)
            assert outcome.status == "finished"
            assert not differing(frame, outcome.memory, moment), moment.instruction
            found[type(moment.instruction).__name__] += 1
    assert found == kinds


@pytest.mark.parametrize(
    ("name", "dtype", "choices", "groups"),
    [
        ("llama", DType.I8, LEAN, 1),
        ("llama", DType.I4, LEAN, 1),
        pytest.param("qwen3", DType.I8, EXACT, 1, marks=pytest.mark.slow),
        pytest.param("mixtral", DType.I4, LEAN, 2, marks=pytest.mark.slow),
        pytest.param("deepseek-v3", DType.I8, LEAN, 1, marks=pytest.mark.slow),
    ],
)
def test_rows_of_integers_are_widened_and_scaled_as_level_1_does(name, dtype, choices, groups):
    """Products and the embedding; in the clock's time."""
    given = prompt(name, 6)
    program, moments = recorded(name, 3, 4, replace(choices, weights=dtype), given, groups=groups)
    kinds = set()
    for before, moment in locals_of(moments, lambda run: program.regions[0].runs[run].stream):
        if type(moment.instruction) in (isa.Lookup, isa.Product):
            frame, outcome = alone(program, before, moment, given[-1], 5)
            assert outcome.status == "finished"
            assert not differing(frame, outcome.memory, moment), moment.instruction
            whole = work(moment.instruction, frame.shares)
            if frame.value(_weight(moment.instruction)).dtype is dtype:
                assert outcome.cycles == pytest.approx(
                    local_cost(wse3().core, whole).cycles, abs=len(whole.vectors) + 1
                )
                kinds.add(type(moment.instruction))
    assert kinds == {isa.Lookup, isa.Product}


def test_pairs_in_words_are_refused_by_name():
    given = prompt("llama", 2)
    program = compile_mesh(tiny("llama")[0], 3, 4, choices=replace(LEAN, weights=DType.F8), context=64)
    number = next(n for n, run in enumerate(program.regions[0].runs) if program.streams[run.stream].name == "attn.sum")
    with pytest.raises(UnsupportedError) as caught:
        lower(program, 0, [number], token=given[-1], position=1, wafer=wse3())
    assert "is fp8, which has no level 2" in caught.value.message


def _weight(instruction):
    return instruction.table if isinstance(instruction, isa.Lookup) else instruction.weights[0]


@pytest.mark.parametrize(
    ("name", "rows", "columns", "kinds"),
    [
        ("llama", 2, 7, {"largest.own"}),
        ("mixtral", 3, 4, {"largest.own", "moe.best.own"}),
        ("deepseek-v3", 3, 7, {"largest.own", "moe.best.own", "moe.pairs.own", "moe.groups"}),
    ],
)
def test_the_largest_of_a_share_are_those_of_level_1(name, rows, columns, kinds):
    """One or several, of one list or of each group's, with what they carry; on some cores of nothing."""
    given = prompt(name, 3)
    program, moments = recorded(name, rows, columns, LEAN, given)
    found = set()
    for earlier, moment in pairwise(moments):
        i = moment.instruction
        if isinstance(i, isa.Select) and i.result not in found:
            found.add(i.result)
            frame, outcome = alone(program, earlier, moment, given[-1], 2)
            assert not differing(frame, outcome.memory, moment), i
    assert found == kinds


def test_a_token_is_drawn_from_lists_as_level_1_draws_it():
    given = prompt("llama", 3)
    program, moments = recorded("llama", 2, 3, replace(LEAN, candidates=4), given)
    found = set()
    for earlier, moment in pairwise(moments):
        if isinstance(moment.instruction, isa.Select | isa.Draw):
            frame, outcome = alone(program, earlier, moment, given[-1], 2)
            assert not differing(frame, outcome.memory, moment)
            found.add(type(moment.instruction))
    assert found == {isa.Select, isa.Draw}
    assert outcome.cycles == wse3().core.draw_cycles.value


def test_every_instruction_has_a_level_2_or_is_refused_by_name():
    kinds = set(get_args(isa.Instruction))
    lowered_ = {*LOCAL, isa.Reduce, isa.Multicast, isa.Rebind, isa.Repaint, isa.ShiftProduct, isa.ShiftScores}
    assert lowered_ | set(LACKING) == kinds
    assert not lowered_ & set(LACKING)
    program = compile_mesh(tiny("llama")[0], 2, 2, context=8)
    (frame,), _ = frames(program, 0, [0], 0, 0, wse3())
    fields = {isa.Transfer: ("r", "a", "f32"), isa.Return: ("a", 1, False)}
    for kind, remedy in LACKING.items():
        with pytest.raises(UnsupportedError, match=f"{kind.__name__} of somewhere has no level 2") as refusal:
            lowered(kind("somewhere", *fields[kind]), frame)
        assert refusal.value.remedy == remedy


def _chosen(instruction):
    return isinstance(instruction, isa.Product) and instruction.expert


def _values():
    """Of one core or more: a hidden state, two weights side by side, a cache, and what is made of them."""
    hidden, feature, half = Dim("hidden", 12), Dim("feature", 10), DType.F16
    rows = (Shard("hidden", 2),)
    payload = (Dim("flat", 20),)

    def weight(name):
        held = Weights(name, (feature, hidden), layer=False)
        return Value(name, (hidden, feature), half, rows, (), Kind.WEIGHT, weights=held)

    return (
        Value("hidden", (hidden,), DType.F32, rows, (), Kind.STATE),
        Value("squares", (hidden,), DType.F32, rows),
        Value("square", (), DType.F32),
        weight("gate"),
        weight("up"),
        Value("payload", payload, half),
        Value("gated", (feature,), half, view=View("payload")),
        Value("upped", (feature,), half, view=View("payload", 10)),
        Value("active", (feature,), DType.F32),
        Value("keys", (feature, Dim(POSITION, 8)), half, (Shard(POSITION, 2, "cyclic"),), (), Kind.CACHE),
        Value("scores", (Dim(POSITION, 8),), DType.F32, (Shard(POSITION, 2, "cyclic"),)),
    )


_INSTRUCTIONS = (
    isa.Fill("n", "hidden", 0.5),
    isa.Combine("n", "multiply", "squares", "hidden", "hidden"),
    isa.Fold("n", "sum", "square", "squares"),
    isa.Scale("n", "multiply_add", "square", "square", 0.1, 1e-5),
    isa.Apply("n", "inverse_root", "square", "square"),
    isa.Combine("n", "multiply", "hidden", "hidden", "square"),
    isa.Product("n", "hidden", ("gate", "up"), ("gated", "upped"), ("feature",)),
    isa.Apply("n", "silu", "active", "gated"),
    isa.Combine("n", "multiply", "active", "active", "upped"),
    isa.Append("n", "keys", "gated"),
    isa.Product("n", "gated", ("keys",), ("scores",), (POSITION,)),
    isa.Apply("n", "gelu_tanh", "active", "active", by="library"),
)

OPERATIONS = 52  # each is rounded up to whole cycles


@pytest.mark.parametrize("rounding", [False, True])
def test_a_stream_of_local_instructions_takes_what_the_clock_says(rounding):
    wafer = wse3() if rounding else repriced(wse3(), {"vector_setup": 4, "straight_setup": 30, "loop_iteration": 7})
    stream = Stream("locals", _values(), _INSTRUCTIONS)
    region = Region("r", 0, Rect(0, 0, 1, 2), (Run(0),))
    program = WaferProgram("m", "toy", "", "", Bounds(1, 8), (region,), (stream,), (), (), 1)
    made = lower(program, 0, [0], token=0, position=6, wafer=wafer)
    outcome = simulate(made.program, Hardware.of(wafer), memory=made.memory([{}]), threads=1)
    path = critical_path(wafer, _INSTRUCTIONS, made.frames[0].shares, 1e9)
    apart = outcome.cycles - path.cost.cycles
    assert 0 <= apart < OPERATIONS if rounding else apart == 0
