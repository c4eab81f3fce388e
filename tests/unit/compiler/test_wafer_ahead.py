"""Narrow weights widened ahead of their products: nothing that is computed changes, and cores wait less."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from msgspec.structs import replace as with_fields
from support.fabric_runs import differing_values, whole_run
from support.fabric_steps import watched
from support.mesh_configs import DENSE
from support.mesh_models import prompt, randomly, tiny

from undiced.compiler.wafer.ahead import BUFFER, targets
from undiced.compiler.wafer.lower.choices import LEAN
from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.core.errors import CompileError
from undiced.machine.presets import toy
from undiced.machine.timeline import critical_path
from undiced.program import Bounds
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import FLAT, Dim
from undiced.program.wafer.share import Shares, values_of
from undiced.program.wafer.step import Step
from undiced.program.wafer.value import DType, Kind, Value, View
from undiced.program.wafer.verify import verify
from undiced.sim.clock import time_step
from undiced.sim.mesh.executor import MeshExecutor

TOY, REGION, TOKENS = toy(16, 16, 48 << 10), (16, 16), [5, 11, 3, 36, 0, 7]
NARROW = (DType.I8, DType.F8)


@cache
def model():
    return randomly(replace(DENSE, dim=96, ffn=128, layers=3))


@cache
def compiled(dtype, ahead=True):
    options = Options(
        Bounds(1, 64),
        choices=replace(LEAN, weights=dtype),
        region=REGION,
        wafers=1,
        ahead_of_products=ahead,
        filled=False,
    )
    return compile_graph(model()[0], TOY, options)


def widenings(program):
    return [i for stream in program.streams for i in stream.instructions if isinstance(i, isa.Widen)]


def logits(program, numbers="wafer"):
    return MeshExecutor(program, model()[1].__getitem__, numbers).step([(0, TOKENS)]).logits


@pytest.mark.parametrize("numbers", ["wafer", "fp32"])
@pytest.mark.parametrize("dtype", NARROW)
def test_every_logit_has_the_bits_that_it_has_without(dtype, numbers):
    assert widenings(compiled(dtype)) and not widenings(compiled(dtype, ahead=False))
    assert np.array_equal(logits(compiled(dtype), numbers), logits(compiled(dtype, ahead=False), numbers))


def altered(program, change):
    """The program, its instructions as `change` makes them; None leaves one out."""
    streams = tuple(
        with_fields(s, instructions=tuple(new for i in s.instructions if (new := change(i)) is not None))
        for s in program.streams
    )
    return with_fields(program, streams=streams)


def test_products_read_what_was_widened_and_nothing_else():
    """Rows in another order make other logits; without the instruction nobody has written them."""
    program = compiled(DType.I8)

    def turned(i):
        return with_fields(i, weights=i.weights[::-1]) if isinstance(i, isa.Widen) else i

    assert not np.array_equal(logits(altered(program, turned)), logits(program))
    with pytest.raises(CompileError, match=r"not all is written|no run before it writes"):
        verify(altered(program, lambda i: None if isinstance(i, isa.Widen) else i))


def cycles(program, stream):
    shares = Shares(values_of(program, stream), program.trees, Step(context=64))
    return critical_path(TOY, stream.instructions, shares, 1e9).cost.cycles


def free(stream):
    """The stream, all rows widened already at no cost."""
    values, instructions = list(stream.values), []
    products = {target.index: target for target in targets(stream)}
    for index, i in enumerate(stream.instructions):
        if index in products:
            name, rows = f"free {index}", products[index].rows
            values.append(Value(name, (Dim(FLAT, rows.words * rows.pitch),), DType.F16, kind=Kind.STATE))
            i = with_fields(i, ahead=name)
        instructions += [] if isinstance(i, isa.Widen) else [i]
    return with_fields(stream, values=tuple(values), instructions=tuple(instructions))


@pytest.mark.parametrize("dtype", NARROW)
def test_a_token_takes_no_longer_than_without_and_no_less_than_if_widening_were_free(dtype):
    plain, ahead = compiled(dtype, ahead=False), compiled(dtype)
    bound = with_fields(plain, streams=tuple(map(free, plain.streams)))
    times = [sum(cycles(p, p.streams[run.stream]) for r in p.regions for run in r.runs) for p in (plain, ahead, bound)]
    assert times[0] > times[1] > times[2]
    assert times[0] == pytest.approx(time_step(plain, TOY).token_cycles)
    assert times[1] == pytest.approx(time_step(ahead, TOY).token_cycles)


def buffer_of(program):
    return next((v.dims[0].size * 2 for s in program.streams for v in s.values if v.name == BUFFER), 0)


def test_memory_holds_what_is_widened():
    roomy = compiled(DType.I8)
    used = roomy.fact("sram_bytes_max_per_core")
    assert used >= compiled(DType.I8, ahead=False).fact("sram_bytes_max_per_core") + buffer_of(roomy)


def test_weights_of_16_bits_and_chunks_are_as_they_were():
    assert not widenings(compiled(DType.F16))
    chunks = Options(Bounds(1, 64), choices=replace(LEAN, weights=DType.I8), region=REGION, chunk=4)
    assert not widenings(compile_graph(model()[0], TOY, chunks))


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"start": 99}, "it widens rows of words 99"),
        ({"count": 2, "start": 0}, "has no room"),
        ({"together": 0}, "it widens rows of words"),
        ({"weights": ("ffn.norm",)}, "not of one narrow type"),
    ],
)
def test_what_is_no_row_is_refused(fields, complaint):
    def change(i):
        mine = isinstance(i, isa.Widen) and i.weights[0] == "next: attn.q"
        return with_fields(i, **fields) if mine else i

    with pytest.raises(CompileError, match=complaint):
        verify(altered(compiled(DType.I8), change))


def test_a_product_that_can_have_no_rows_ahead_is_refused():
    def change(i):
        return with_fields(i, ahead=i.results[0]) if isinstance(i, isa.Product) and i.weights == ("attn.o",) else i

    with pytest.raises(CompileError, match="does not hold whole rows of 16-bit floats"):
        verify(altered(compiled(DType.I8, ahead=False), change))


def test_the_fabric_has_the_same_bits_and_waits_less_too():
    """Wavelet by wavelet, with microthreads that take the datapath before what is widened: a layer of a tiny model."""
    graph, weights = tiny("llama")
    given, taken = prompt("llama", 5), []
    for ahead in (False, True):
        options = Options(
            Bounds(1, 64),
            choices=replace(LEAN, weights=DType.I8),
            region=(18, 16),
            ahead_of_products=ahead,
            filled=False,
        )
        program = unplanned(compile_graph(graph, toy(18, 16, 48 << 10), options))
        moments, total = watched(program, weights, given), 0
        runs = [n for n, run in enumerate(program.regions[0].runs) if run.layer == 1]
        for number in runs:
            frame, outcome = whole_run(program, given, moments, number)
            wrong, right = differing_values(frame, outcome, moments, number)
            assert outcome.status == "finished" and right and not wrong
            total += outcome.cycles
        taken.append(total)
    assert taken[1] < taken[0]


def unplanned(program):
    """Every value in a place of its own, so that nothing is written over before it is looked at."""
    streams = tuple(with_fields(s, values=tuple(with_fields(v, address=-1) for v in s.values)) for s in program.streams)
    regions = tuple(with_fields(r, runs=tuple(with_fields(run, base=0) for run in r.runs)) for r in program.regions)
    return with_fields(program, streams=streams, regions=regions)


def test_views_of_the_buffer_lie_in_it():
    for value in (v for s in compiled(DType.I8).streams for v in s.values if isinstance(v.view, View)):
        if value.view.parent == BUFFER:
            assert value.view.offset + value.dims[0].size <= buffer_of(compiled(DType.I8)) // 2
