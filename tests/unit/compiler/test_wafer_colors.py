"""Colors and queues: what shares them, what a change costs, and what happens where they run out."""

from dataclasses import replace

import pytest
from support.mesh_configs import DENSE, MIXED
from support.mesh_models import differences, randomly
from support.tiny_models import case_names, load_case, make_folder

from undiced.checkpoint import open_checkpoint
from undiced.compiler.wafer.colors import NoRoutes, shares_of_all
from undiced.compiler.wafer.lower.choices import EXACT, LEAN
from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.machine.constant import published
from undiced.machine.fabric import fabric, rebinding
from undiced.machine.presets import toy, wse2, wse3
from undiced.machine.wafer import Wafer
from undiced.model import build
from undiced.program import Bounds
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.channel import Channel, channel
from undiced.program.wafer.program import WaferProgram
from undiced.sim.mesh.executor import MeshExecutor


def with_colors(wafer: Wafer, colors: int) -> Wafer:
    """A machine with so many colors for programs."""
    total = published(colors + int(wafer.mesh.reserved_colors.value), "1", "a test")
    return replace(wafer, mesh=replace(wafer.mesh, colors=total))


def compiled(wafer: Wafer, config=DENSE, choices=LEAN, region=(8, 8)) -> WaferProgram:
    graph, _ = randomly(config)
    return compile_graph(graph, wafer, Options(Bounds(1, 32), choices=choices, region=region))


def slices(program: WaferProgram) -> list[int]:
    return [tree.slices for tree in program.trees]


def channels(program: WaferProgram) -> dict[Channel, set[isa.Route]]:
    found: dict[Channel, set[isa.Route]] = {}
    for stream, shares in zip(program.streams, shares_of_all(program.streams, program.trees), strict=True):
        for i in stream.instructions:
            used = channel(i, shares)
            if used is not None:
                assert i.route is not None
                found.setdefault(used, set()).add(i.route)
    return found


def rebinds(program: WaferProgram) -> int:
    return sum(isinstance(i, isa.Rebind) for stream in program.streams for i in stream.instructions)


@pytest.mark.parametrize("config", [DENSE, MIXED])
@pytest.mark.parametrize("choices", [EXACT, LEAN])
def test_movers_of_a_channel_have_one_route_and_no_two_channels_share_a_color(config, choices):
    found = channels(compiled(toy(8, 8), config, choices))
    assert all(len(routes) == 1 for routes in found.values())
    taken = [color for [route] in found.values() for color in range(route.color, route.color + route.colors)]
    assert len(taken) == len(set(taken)) and max(taken) < 21


def test_queues_are_those_that_the_host_leaves():
    assert fabric(wse3()).inputs == fabric(wse3()).outputs == (2, 3, 4, 5, 6, 7)
    assert fabric(wse2()).outputs == (2, 3, 4, 5)
    assert fabric(wse3()).binds and not fabric(wse2()).binds


def test_queues_of_trees_in_layers_are_bound_once_where_they_reach():
    program = compiled(toy(8, 8))
    layer = next(stream for stream in program.streams if stream.name.startswith("attn"))
    assert not any(isinstance(i, isa.Rebind) for i in layer.instructions)
    assert rebinds(program)  # of what passes regions and owners, which come seldom


def test_every_stream_leaves_queues_as_it_found_them():
    program = compiled(toy(8, 8), MIXED)
    for stream in program.streams:
        first: dict[int, int] = {}
        last: dict[int, int] = {}
        for i in stream.instructions:
            if isinstance(i, isa.Rebind):
                assert last.get(i.queue, i.before) == i.before != i.after
                first.setdefault(i.queue, i.before)
                last[i.queue] = i.after
        assert first == last


def test_machines_whose_queues_take_any_color_never_rebind():
    any_color = replace(toy(8, 8), queues=wse2().queues)
    assert not rebinds(compiled(any_color))


def test_a_change_of_color_takes_two_tasks_and_a_write():
    wafer = wse3()
    assert rebinding(wafer).cycles == 2 * wafer.core.local_task_cycles.value + wafer.link.route_write_cycles.value


def test_fewer_colors_mean_fewer_slices():
    ample, scarce = compiled(with_colors(toy(8, 8), 40)), compiled(with_colors(toy(8, 8), 16))
    assert sorted(slices(ample)) > sorted(slices(scarce))
    used = [route.color + route.colors for [route] in channels(scarce).values()]
    assert max(used) <= 16


def test_a_program_with_fewer_slices_computes_the_same():
    graph, weights = randomly(DENSE)
    options = Options(Bounds(1, 32), choices=replace(EXACT, row_slices=3, band_slices=4), region=(8, 8))
    program = compile_graph(graph, with_colors(toy(8, 8), 16), options)
    worst, agree = differences(graph, weights, MeshExecutor(program, weights.__getitem__), [3, 17, 36, 0, 8], first=1)
    assert worst < 5e-3
    assert agree


def test_too_few_colors_for_one_slice_name_what_competes():
    with pytest.raises(
        NoRoutes, match=r"there are 9 colors, 6 queues of a kind and 4 switch positions: .*sums over 8 rows \(.*attn"
    ) as refused:
        compiled(with_colors(toy(8, 8), 9))
    assert "what an owner sends over 8 columns (embedded) 1" in str(refused.value)


@pytest.mark.parametrize("name", case_names())
def test_every_mover_of_every_family_has_a_route_that_its_machine_has(name, tmp_path):
    graph = build(open_checkpoint(str(make_folder(load_case(name), tmp_path / name))))
    program = compile_graph(graph, toy(8, 8), Options(Bounds(1, 32), region=(5, 7)))  # verified for the machine
    movers = [i for stream in program.streams for i in stream.instructions if isinstance(i, isa.MOVERS)]
    assert movers and all(i.route for i in movers)
