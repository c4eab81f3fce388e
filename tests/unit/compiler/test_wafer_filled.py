"""Narrow weights in memory that is left: some blocks have 16-bit weights there; keys and values asked for have room."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from support.mesh_configs import DENSE
from support.mesh_models import randomly

from undiced.compiler.wafer.asked import options_of
from undiced.compiler.wafer.lower.choices import LEAN
from undiced.compiler.wafer.mixing import evenly
from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.core.mapping import MappingOptions
from undiced.machine.presets import toy
from undiced.model import MoeConfig
from undiced.program import Bounds
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.value import DType, Kind
from undiced.sim.clock import time_step
from undiced.sim.mesh.binding import bind
from undiced.sim.mesh.executor import MeshExecutor

REGION, TOKENS = (16, 16), [5, 11, 3, 36, 0, 7]
NONE, SOME, ALL = 27_600, 28_400, 30_000  # bytes of a core that leave room for no feed-forward block, some, all of them
ROOM_OF_EXPERTS = 38_400  # that leave room for some blocks of experts
NARROW = (DType.I8, DType.F8, DType.I4)


@cache
def model():
    """Weights are 127 times a power of two, of either sign: int8 with such scales holds them as they are."""
    graph, weights = randomly(replace(DENSE, dim=192, ffn=384, layers=4))
    matrices = {slot.name for slot in graph.slots if slot.rows > 1}
    return graph, {
        name: np.copysign(np.float32(127 * 2**-11), w) if name in matrices else w for name, w in weights.items()
    }


@cache
def experts():
    """A dense layer and three mixtures with a shared expert; weights as checkpoints have them."""
    moe = MoeConfig(experts=8, top_k=2, ffn=128, layers=(1, 2, 3), shared_ffn=64)
    return randomly(replace(DENSE, dim=160, ffn=384, layers=4, moe=moe))


@cache
def compiled(sram, fill=True, dtype=DType.I8, context=64, ahead=True, of=model):
    choices = replace(LEAN, weights=dtype)
    options = Options(
        Bounds(1, context), choices=choices, region=REGION, wafers=1, ahead_of_products=ahead, filled=fill
    )
    return compile_graph(of()[0], toy(16, 16, sram), options)


def wide(program):
    """Blocks of layers by whether their matrices have 16 bits."""
    found = []
    for run in (run for region in program.regions for run in region.runs if run.layer >= 0):
        types = {v.dtype for v in program.streams[run.stream].values if v.kind is Kind.WEIGHT and not v.again}
        found.append(not types & set(NARROW))
    return found


def widens_ahead(program):
    return any(isinstance(i, isa.Widen) for stream in program.streams for i in stream.instructions)


def layers_weights(program):
    """Of each block of a layer: what cores hold of its own weights, and their scales."""
    made = zip(program.regions[0].runs, bind(program, experts()[1].__getitem__, "wafer")[0], strict=True)
    return [
        {name: array for name, array in bound.items() if not name.startswith("next: ")}
        for run, bound in made
        if run.layer >= 0
    ]


def token(program, sram):
    return time_step(program, toy(16, 16, sram)).token_cycles


def logits(program, numbers):
    return MeshExecutor(program, model()[1].__getitem__, numbers).step([(0, TOKENS)]).logits


@pytest.mark.parametrize("sram", [NONE, SOME, ALL])
def test_a_mixture_of_blocks_computes_the_same_to_the_bit(sram):
    """Where int8 holds every weight exactly, and scales change no bit: narrow, widened, or with 16 bits."""
    narrow, mixed = compiled(ALL, fill=False), compiled(sram)
    assert widens_ahead(narrow)
    assert np.array_equal(logits(mixed, "fp32"), logits(narrow, "fp32"))
    exact = logits(narrow, "fp32")
    errors = [float(np.abs(logits(program, "wafer") - exact).max()) for program in (mixed, narrow)]
    assert errors[0] < 1.2 * errors[1]  # as cores round


@pytest.mark.parametrize("dtype", NARROW)
def test_blocks_of_experts_are_mixed_in_every_narrow_format(dtype):
    """The bits of narrow blocks in 32-bit numbers, which hold every weight. As cores round, those of the same mixture
    without anything widened ahead; and each block holds what it does where all have its kind of weights."""
    mixed, bare, narrow = (
        compiled(ROOM_OF_EXPERTS, fill, dtype, ahead=ahead, of=experts)
        for fill, ahead in ((True, True), (True, False), (False, False))
    )
    assert widens_ahead(mixed) and not widens_ahead(bare)
    assert wide(mixed) == wide(bare) and not any(wide(narrow))
    assert set(wide(mixed)[3::2]) == {True, False}  # feed-forward blocks, from the second on

    def told(program, numbers):
        return MeshExecutor(program, experts()[1].__getitem__, numbers).step([(0, TOKENS)]).logits

    assert np.array_equal(told(mixed, "fp32"), told(narrow, "fp32"))
    assert np.array_equal(told(mixed, "wafer"), told(bare, "wafer"))
    held, as_narrow, as_wide = map(layers_weights, (mixed, narrow, compiled(48 << 10, dtype=DType.F16, of=experts)))
    for own, has_16_bits, other, same in zip(held, wide(mixed), as_narrow, as_wide, strict=True):
        expected = same if has_16_bits else other
        assert own.keys() == expected.keys()
        assert all(np.array_equal(own[name], expected[name]) for name in own)


def test_more_memory_holds_more_16_bit_weights_and_no_token_is_slower():
    programs = [compiled(sram) for sram in (NONE, SOME, ALL)]
    blocks = [sum(wide(program)) for program in programs]
    assert blocks == [program.fact("wide_blocks") for program in programs]
    assert blocks[0] < blocks[1] < blocks[2] == 8 == programs[2].fact("blocks")
    shares = [program.fact("wide_share") for program in programs]
    assert 0 < shares[0] < shares[1] < shares[2] < 1  # embedding and head stay as they are
    times = [token(program, sram) for program, sram in zip(programs, (NONE, SOME, ALL), strict=True)]
    assert times[0] > times[1] > times[2]
    for sram, program in zip((NONE, SOME, ALL), programs, strict=True):
        assert token(program, sram) < token(compiled(sram, fill=False), sram)
        assert program.fact("sram_bytes_max_per_core") <= sram


def test_16_bit_weights_make_way_for_keys_and_values_that_are_asked_for():
    """However many are asked for: they have room, and what is left of it is told beside what there would be."""
    programs = {context: compiled(ALL, context=context) for context in (64, 800, 1088)}
    for context, program in programs.items():
        assert context <= program.fact("max_context_tokens") <= program.fact("narrow_context_tokens")
    blocks = [program.fact("wide_blocks") for program in programs.values()]
    assert blocks[0] == 8 and blocks == sorted(blocks, reverse=True) and blocks[-1] < 8
    told = compiled(ALL).fact("narrow_context_tokens")
    assert compiled(ALL, fill=False, ahead=False).fact("max_context_tokens") == told


def test_by_default_one_users_latency_fills_memory_and_a_frontier_does_not():
    def filled(**asked):
        options = options_of(MappingOptions(scheme={"weights": "int8"}, **asked))
        return options.filled, options.ahead_of_products

    assert filled() == (True, True)
    assert filled(frontier=True) == filled(objective="interval") == (False, True)
    assert filled(frontier=True, fill=True) == (True, True)
    assert filled(fill=False) == (False, False)


def test_whole_segments_lie_evenly():
    sizes = [3, 1, 4, 1, 5, 9, 2, 6]
    whole = list(enumerate(sizes, 1))
    for regions in range(1, len(sizes) + 1):
        ends = evenly(whole, sum(sizes), regions)
        held = [sum(sizes[start:end]) for start, end in zip((0, *ends), ends, strict=False)]
        assert len(held) <= regions and sum(held) == sum(sizes)
        assert max(held) == min(_fullest(sizes, regions))
    assert evenly(whole, 8, 8) is None
    assert evenly(whole, 9, 3) is None


def _fullest(sizes, regions):
    """The fullest region of every way to cut."""
    if regions == 1 or len(sizes) == 1:
        return [sum(sizes)]
    first = [(sum(sizes[:n]), sizes[n:]) for n in range(1, len(sizes))]
    return [sum(sizes), *(max(held, least) for held, rest in first for least in _fullest(rest, regions - 1))]
