"""Layers of the published mappings at level 2: 16-bit sums, cores that wait for movers, colors that take turns."""

import numpy as np
import pytest
from msgspec.structs import replace
from support.fabric_steps import before, differing, watched
from support.mesh_models import prompt, tiny

from undiced.compiler.wafer.published.build import build_whole
from undiced.core.errors import ProgramFileError, UnsupportedError
from undiced.machine import find_machine, wse2, wse3
from undiced.machine.fabric import repainting
from undiced.machine.timeline import critical_path
from undiced.program import Bounds, Rect
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.workload import work
from undiced.sim.fabric.carried import carried
from undiced.sim.fabric.hardware import Hardware
from undiced.sim.fabric.lower import image
from undiced.sim.fabric.lower.legs import lower_token, memories
from undiced.sim.fabric.lower.lower import frames, lower, lowered
from undiced.sim.fabric.lower.repaints import see_crosswise
from undiced.sim.fabric.microops import Bind, Repaint
from undiced.sim.fabric.simulate import simulate

TOKENS = 6


def built(mapping, machine="toy-6x6", region="auto"):
    return build_whole(tiny("llama")[0], find_machine(machine), mapping, region, Bounds(1, 64), 64)


@pytest.mark.parametrize("wafer", [wse2(), wse3()], ids=["wse2", "wse3"])
@pytest.mark.parametrize(
    ("mapping", "machine"), [("waferllm", "toy-6x6"), ("waferengine", "toy-6x6"), ("waferllm", "toy-7x5")]
)
def test_a_layer_has_the_bits_of_level_1(mapping, machine, wafer):
    program, given = built(mapping, machine), prompt("llama", TOKENS)
    moments = watched(program, tiny("llama")[1], given)
    for number, run in enumerate(program.regions[0].runs):
        stream = program.streams[run.stream]
        if run.layer != 0:
            continue
        made = lower(program, 0, [number], token=given[-1], position=TOKENS - 1, wafer=wafer)
        frame, mine = made.frames[0], [moment for moment in moments if moment.run == number]
        memory = made.memory([before(moments, number, frame)])
        outcome = simulate(made.program, Hardware.of(wafer), memory=memory, threads=1)
        assert outcome.status == "finished"
        assert not differing(frame, outcome.memory, mine[-1]), stream.name
        clock = critical_path(wafer, stream.instructions, frame.shares, 1e9, synchronous=True).cost.cycles
        assert outcome.cycles == pytest.approx(clock, rel=0.25)
        assert any(isinstance(i, isa.Repaint) for i in stream.instructions)


def repaints(program, wafer):
    """Each repaint of the first layer with its frame and what it becomes."""
    number = next(n for n, run in enumerate(program.regions[0].runs) if run.layer == 0)
    (frame,), (stream,) = frames(program, 0, [number], 0, 0, wafer)
    for i in stream.instructions:
        if isinstance(i, isa.Repaint):
            yield i, frame, lowered(i, frame).sections[0].blocks


def test_a_repaint_takes_what_its_registers_take_on_every_core():
    wafer = wse3()
    for i, frame, blocks in repaints(built("waferengine", "toy-7x6"), wafer):
        wanted = repainting(wafer).cycles * work(i, frame.shares).writes
        cores = {}
        for role, ops in blocks:
            assert sum(op.cycles for op in ops) == wanted
            assert all(op.cycles % repainting(wafer).cycles == 0 for op in ops if isinstance(op, Repaint | Bind))
            for x in range(7):
                for y in range(6):
                    cores[x, y] = cores.get((x, y), 0) + ((x, y) in role)
        assert set(cores.values()) == {1} and len(cores) == 42
        assert any(isinstance(op, Repaint) for _, ops in blocks for op in ops)


def test_columns_beside_the_bands_of_heads_take_no_way():
    """Else what their columns send early would go by the routes before."""
    blocks = next(blocks for i, _, blocks in repaints(built("waferengine", "toy-7x6"), wse3()) if i.after == 1)
    (beside,) = (ops for role, ops in blocks if (6, 0) in role)
    assert {op.color: op.switch for op in beside if isinstance(op, Repaint)} == {0: None, 1: None, 2: None}


@pytest.fixture(scope="module")
def attention():
    program = built("waferengine")
    return lower(program, 0, [2], token=0, position=5, wafer=wse3())


def test_cores_of_different_speeds_write_routes_at_different_times_and_nothing_goes_astray(attention):
    """Who is early waits at ports that a router does not take from yet: the same wavelets by the same links."""
    even = simulate(attention.program, Hardware.of(wse3()))
    for seed in range(5):
        uneven = simulate(attention.program, Hardware.of(wse3()), jitter=2000, seed=seed)
        assert uneven.status == "finished" and uneven.cycles > 2 * even.cycles
        assert (uneven.loads == even.loads).all()


def test_cores_that_start_later_than_collectives_take_are_refused_by_name(attention):
    """Before the first collective nothing has brought cores together."""
    with pytest.raises(ProgramFileError, match="on its way by the route that is written over") as refused:
        for seed in range(60):
            simulate(attention.program, Hardware.of(wse3()), skew=5000, seed=seed)
    assert "core (" in str(refused.value) and "in repaint of 'repaint of attn" in str(refused.value)


def test_trees_along_one_axis_do_not_follow_each_other():
    """But where nothing follows that would use the second of them."""
    program = built("waferengine")
    (frame,), (stream,) = frames(program, 0, [2], 0, 0, wse3())
    bands = next(at for at, i in enumerate(stream.instructions) if getattr(i, "after", -1) == 1)
    along_rows = stream.instructions[-2:]  # a sum of tree 2 and its multicast
    change = isa.Repaint("somewhere", 1, 2)
    see_crosswise(change, frame, (stream.instructions[bands], *along_rows))
    see_crosswise(change, frame, ())
    with pytest.raises(UnsupportedError, match="from lines of 3 cores to lines of 6 along the same axis") as refused:
        see_crosswise(change, frame, along_rows)
    assert refused.value.remedy


def test_collectives_by_themselves_take_the_routes_of_their_time(attention):
    """What links carry for each of them adds up to what they carry for all."""
    wafer = wse3()
    found = carried(attention, wafer, threads=1)
    assert len(found) == 14 and len({each.span for each in found}) == 2
    whole = simulate(attention.program, Hardware.of(wafer), threads=1)
    assert (sum(each.loads.astype(int) for each in found) == whole.loads).all()


@pytest.mark.parametrize(
    ("machine", "region", "names"),
    [
        ("toy-6x6", "auto", ["0"]),
        ("toy-140x6:24K", (6, 6), ["embedding", "0", "head"]),
        pytest.param("toy-146x12:20K", (6, 6), ["embedding", "0", "head"], marks=pytest.mark.slow),
    ],
)
def test_a_token_of_an_engine_with_bands_for_its_ends_chooses_what_level_1_does(machine, region, names):
    """Bands are wider than regions: rows are handed over to as many rows, however many columns there are."""
    wafer, given = find_machine(machine), prompt("llama", TOKENS)
    graph, weights = tiny("llama")
    program = build_whole(graph, wafer, "waferengine", region, Bounds(1, 64), 64)
    assert [each.name for each in program.regions] == names
    moments = watched(program, weights, given)
    (leg,) = lower_token(program, token=given[-1], position=TOKENS - 1, wafer=wafer)
    sites = [(n, run) for n, each in enumerate(program.regions) for run in range(len(each.runs))]
    lasting = [next(m for m in moments if (m.region, m.run) == site).lasting for site in sites]
    memory = memories((leg,), lasting)[0]
    outcome = simulate(leg.run.program, Hardware.of(wafer), memory=memory)
    assert outcome.status == "finished", outcome.waiting[:3]
    chosen = moments[-1].arrays["token"].ravel()[0]
    assert np.unique(image.read(memory, leg.run.frames[0], "token")).tolist() == [chosen] and chosen > 0


def test_what_passes_over_a_third_region_is_refused_by_name():
    program = built("waferengine", "toy-140x6:24K", (6, 6))
    regions = (program.regions[0], replace(program.regions[1], rect=Rect(0, 0, 6, 6)))
    between = replace(program.regions[1], name="1", rect=Rect(6, 0, 6, 6))
    with pytest.raises(UnsupportedError, match="'embedding' to '0' over '1'") as refused:
        lower_token(replace(program, regions=(*regions, between)), token=0, position=0, wafer=wse3())
    assert refused.value.remedy
