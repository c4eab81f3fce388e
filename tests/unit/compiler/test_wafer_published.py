"""The published mappings, collective by collective and operation by operation where the sources say."""

import pytest
from msgspec import structs

from undiced.compiler.wafer.published.build import build_published
from undiced.compiler.wafer.published.grid import best_square, default_groups, one_head
from undiced.core.errors import CompileError, ModelNotFoundError
from undiced.core.mapping import MappingOptions
from undiced.machine import find_machine
from undiced.machine.fabric import fabric
from undiced.model import preset
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.layout import Axis
from undiced.program.wafer.share import Shares, values_of
from undiced.program.wafer.step import Step
from undiced.program.wafer.tree import Level, roots
from undiced.program.wafer.verify import verify
from undiced.program.wafer.workload import work

WSE2, WSE3 = find_machine("wse2"), find_machine("wse3")
QWEN = {"region": (256, 256), "groups": 16, "stages": (2, 4, 4, 4, 4, 4, 4, 2), "context": 1536}


def layer(program):
    """Instructions of a layer with the shares of their stream."""
    held = next(region for region in program.regions if any(run.layer >= 0 for run in region.runs))
    first = next(run.layer for run in held.runs if run.layer >= 0)
    step = Step(1, 1, program.bounds.context)
    for run in dict.fromkeys(run for run in held.runs if run.layer == first):
        stream = program.streams[run.stream]
        shares = Shares(values_of(program, stream), program.trees, step)
        yield from ((i, shares) for i in stream.instructions)


def collectives(program):
    """Axis and elements of each sum or maximum."""
    return [(i.line.axis, shares.size(i.a)) for i, shares in layer(program) if isinstance(i, isa.Reduce)]


@pytest.fixture(scope="module")
def engine():
    return build_published("qwen3-1.7b", WSE3, "waferengine", MappingOptions(**QWEN))


@pytest.fixture(scope="module")
def llm():
    return build_published("llama-3-8b", WSE2, "waferllm", MappingOptions(region=(420, 420), groups=20, context=4200))


@pytest.mark.parametrize(
    ("grid", "dim", "ffn"), [(360, 4320, 14400), (420, 4200, 14700), (512, 4096, 14336), (660, 4620, 14520)]
)
def test_8b_padding_is_the_published_one(grid, dim, ffn):
    padded = one_head(preset("llama-3-8b"), grid)
    assert (padded.dim, padded.ffn, padded.heads, padded.head_dim) == (dim, ffn, 1, dim)


@pytest.mark.parametrize(("grid", "dim", "ffn"), [(420, 8400, 29820), (660, 8580, 29700), (720, 8640, 30240)])
def test_72b_padding_is_the_published_one(grid, dim, ffn):
    padded = one_head(preset("qwen2-72b"), grid)
    assert (padded.dim, padded.ffn) == (dim, ffn)


def test_waferllm_layer_makes_ten_allreduces(llm):
    x, y = Axis.COLUMNS, Axis.ROWS
    assert collectives(llm) == [
        (y, 1), (y, 30), (x, 10), (y, 1), (y, 1), (y, 10), (x, 10), (y, 1), (y, 70), (x, 10),
    ]  # fmt: skip
    calls = sum(work(i, shares).calls for i, shares in layer(llm))
    assert (
        calls == 10 + 1 + 2 * 2 + 2 * 10
    )  # softmax, its division, norms, and silu over dim / P elements, as published
    assert all(i.wire == "f16" for i, _ in layer(llm) if isinstance(i, isa.Reduce | isa.Multicast))
    assert all(i.apart for i, _ in layer(llm) if isinstance(i, isa.Multicast))


def test_a_two_tree_ends_in_the_middle_core_of_the_middle_group(llm):
    assert {tree.levels for tree in llm.trees} == {(Level(21), Level(20))}
    assert {roots(tree) for tree in llm.trees} == {(10 * 21 + 10,)}


def test_waferllm_turns_colors_where_queues_serve_one():
    options = MappingOptions(region=(420, 420), groups=20, context=4200)
    turned = build_published("llama-3-8b", WSE3, "waferllm", options)
    assert sum(work(i, shares).writes for i, shares in layer(turned)) == 6 * 5
    plain = build_published("llama-3-8b", WSE2, "waferllm", options)
    assert not any(isinstance(i, isa.Repaint) for i, _ in layer(plain))


def test_waferllm_prefill_runs_p_steps_a_product():
    options = MappingOptions(region=(480, 480), groups=20, context=4096, phase="prefill")
    program = build_published("llama-3-8b", WSE2, "waferllm", options)
    rings = [work(i, shares).ring for i, shares in layer(program)]
    rings = [ring for ring in rings if ring is not None]
    assert [ring.steps for ring in rings] == [480] * 9  # eight products pass both tiles, the scores the keys alone
    assert sorted(len(ring.tiles) for ring in rings) == [1] + [2] * 8
    assert [ring.aligned for ring in rings].count(240) == 5
    products = [i for i, _ in layer(program) if isinstance(i, isa.ShiftProduct)]
    assert sum(not i.aligned for i in products) == 5


def test_waferengine_layer_makes_eleven_collectives(engine):
    x, y = Axis.COLUMNS, Axis.ROWS
    assert collectives(engine) == [
        (y, 1), (y, 16), (x, 3), (x, 136), (y, 2), (y, 2), (y, 8), (x, 8), (y, 1), (y, 48), (x, 8),
    ]  # fmt: skip
    assert sum(work(i, shares).writes for i, shares in layer(engine)) == 28
    wires = [i.wire for i, _ in layer(engine) if isinstance(i, isa.Reduce)]
    assert wires.count("f16") == 1 and wires.index("f16") == 4  # the softmax's maximum
    spans = [i.line.span for i, _ in layer(engine) if isinstance(i, isa.Reduce) and i.line.axis is x]
    assert spans == [32, 32, 256, 256]  # bands of a KV head


def test_waferengine_never_rebinds_and_its_collectives_take_three_colors(engine):
    assert not any(isinstance(i, isa.Rebind) for stream in engine.streams for i in stream.instructions)
    colors = {
        color
        for stream in engine.streams
        for i in stream.instructions
        if isinstance(i, isa.Reduce | isa.Multicast) and i.route and i.route.color < 3
        for color in range(i.route.color, i.route.color + i.route.colors)
    }
    assert colors == {0, 1, 2}
    assert all(stream.synchronous for stream in engine.streams)


def test_waferengine_ends_lie_in_bands_and_the_head_holds_1187_rows_a_core(engine):
    assert [region.name for region in engine.regions][:: len(engine.regions) - 1] == ["embedding", "head"]
    assert [region.rect.width for region in engine.regions] == [128, *[256] * 8, 128]
    stream = engine.streams[engine.regions[-1].runs[-2].stream]
    shares = Shares(values_of(engine, stream), engine.trees)
    product = next(i for i in stream.instructions if isinstance(i, isa.Product))
    assert shares.shape(product.weights[0]) == (8, 1187)
    lists = next(i for i in stream.instructions if isinstance(i, isa.Select))
    assert shares.shape(lists.result) == (2, 20)


def test_regions_and_bands_lie_apart_on_the_mesh(engine):
    from itertools import combinations

    rects = [region.rect for region in engine.regions]
    assert not any(a.meets(b) for a, b in combinations(rects, 2))
    width, height = WSE3.mesh.size
    assert all(r.x + r.width <= width and r.y + r.height <= height for r in rects)


def test_what_passes_between_regions_goes_as_far_as_they_lie_apart(engine):
    far = {}
    for region in engine.regions[1:]:
        for i in engine.streams[region.runs[0].stream].instructions:
            if isinstance(i, isa.Transfer):
                far[region.name] = i.distance
    assert far == {"0": 512, "1": 256, "2": 512, "3": 256, "4": 512, "5": 256, "6": 512, "7": 256, "head": 384}
    streams = tuple(
        structs.replace(
            stream,
            instructions=tuple(
                structs.replace(i, distance=300) if isinstance(i, isa.Transfer) else i for i in stream.instructions
            ),
        )
        for stream in engine.streams
    )
    with pytest.raises(CompileError, match="from region 'embedding' over 300 hops, and 512 lie between them"):
        verify(structs.replace(engine, streams=streams))


def test_groups_default_to_the_published_or_the_root():
    assert default_groups(660) == 22
    assert default_groups(100) == 10


def test_best_square_is_no_worse_than_the_published_best():
    square = best_square(preset("llama-3-8b"), WSE2, 4096, None)
    assert 250 <= square.side <= 450


def test_unknown_names_are_refused():
    with pytest.raises(ModelNotFoundError, match="nonesuch"):
        build_published("nonesuch", WSE2, "waferllm", MappingOptions())


def test_waferengine_has_no_experts():
    with pytest.raises(CompileError, match="no experts"):
        build_published("mixtral-8x7b", WSE3, "waferengine", MappingOptions(region=(64, 64), groups=8))


def test_what_does_not_fit_says_by_how_much():
    with pytest.raises(CompileError, match=r"takes [\d,]+ bytes on a core of region 0: [\d,]+ more") as caught:
        build_published("qwen3-1.7b", WSE3, "waferengine", MappingOptions(region=(64, 64), groups=8, stages=(28,)))
    assert "fewer layers" in caught.value.remedy


def test_stages_default_to_the_fewest_that_fit():
    program = build_published("qwen3-1.7b", WSE3, "waferengine", MappingOptions(region=(256, 256), context=4096))
    assert len(program.regions) == 3 + 2 and program.bounds.context == 17_408
    fewer = build_published(
        "qwen3-1.7b", WSE3, "waferengine", MappingOptions(region=(256, 256), context=4096, capacity=4096)
    )
    assert len(fewer.regions) == 2 + 2


def test_positions_beyond_the_strides_of_a_core_do_not_place(engine):
    assert engine.fact("max_context_tokens") <= WSE3.core.stride_max.value * 256


def test_a_machine_without_colors_for_all_is_refused():
    from dataclasses import replace

    few = replace(WSE3, mesh=replace(WSE3.mesh, colors=replace(WSE3.mesh.colors, value=8.0)))
    assert fabric(few).colors == 5
    with pytest.raises(CompileError, match="colors") as caught:
        build_published("qwen3-1.7b", few, "waferengine", MappingOptions(**QWEN))
    assert caught.value.remedy
