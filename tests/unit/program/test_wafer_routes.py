"""Rules of routes: what each refuses, on compiled programs that are changed in one place."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace
from support.mesh_configs import DENSE, LATENT, MIXED, VOCAB, anything
from support.mesh_models import randomly

from undiced.compiler.wafer.draft import Draft
from undiced.compiler.wafer.lower.choices import LEAN
from undiced.compiler.wafer.lower.grid import Grid
from undiced.compiler.wafer.passes import PASSES, run_passes
from undiced.compiler.wafer.shapes import Shape
from undiced.compiler.wafer.task import Options, Task
from undiced.machine.fabric import fabric
from undiced.machine.presets import toy
from undiced.model.config import ModelConfig
from undiced.program import Bounds
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.fabric import Fabric
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.rules.routes import routes
from undiced.program.wafer.tree import Level, Tree

HAS = fabric(toy(8, 8))


def compiled(config: ModelConfig = DENSE, rows: int = 8, columns: int = 8) -> WaferProgram:
    """Routed streams that no region runs."""
    graph, _ = randomly(config)
    task = Task.of(graph, toy(48, 48), Options(Bounds(1, 32), choices=LEAN))
    draft = run_passes(
        Draft(task, Shape(Grid(rows, columns), False), 1), PASSES[: [p.name for p in PASSES].index("route") + 1]
    )
    assert draft is not None
    return WaferProgram("any", "toy", "", "", Bounds(1, 32), (), draft.streams, draft.trees, (), VOCAB)


def faults(program: WaferProgram, fabric: Fabric) -> list[str]:
    return [fault.what for fault in routes(program, fabric)]


PROGRAM = compiled()


def changed(change: Callable[[isa.Instruction], isa.Instruction | None]) -> WaferProgram:
    """The program with every instruction as `change` makes it; None leaves it out."""
    streams = tuple(
        replace(s, instructions=tuple(new for i in s.instructions if (new := change(i)) is not None))
        for s in PROGRAM.streams
    )
    return replace(PROGRAM, streams=streams)


def routed(of: type[isa.Operation], **fields: int) -> WaferProgram:
    """All movers of a kind with other routes."""
    return changed(lambda i: replace(i, route=replace(i.route, **fields)) if isinstance(i, of) else i)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("config", "region"), [(DENSE, (5, 7)), (DENSE, (1, 1)), (MIXED, (5, 7)), (LATENT, (24, 3))])
def test_compiled_programs_keep_to_the_rules(config: ModelConfig, region: tuple[int, int]) -> None:
    assert not faults(compiled(config, *region), HAS)


@pytest.mark.parametrize("seed", range(4))
def test_programs_of_any_configuration_keep_to_the_rules(seed: int) -> None:
    config, _, _, _ = anything(seed)
    assert not faults(compiled(config), HAS)


def test_movers_without_routes_break_no_rule() -> None:
    bare = changed(
        lambda i: replace(i, route=None) if isinstance(i, isa.MOVERS) else None if isinstance(i, isa.Rebind) else i
    )
    assert not faults(bare, HAS)


OTHER = changed(
    lambda i: replace(i, route=replace(i.route, color=20)) if isinstance(i, isa.Reduce) and "square" in i.a else i
)
NO_REDUCE = changed(lambda i: replace(i, route=None) if isinstance(i, isa.Reduce) else i)
NO_REBIND = changed(lambda i: None if isinstance(i, isa.Rebind) else i)
BACKWARDS = changed(lambda i: replace(i, before=i.after, after=i.before) if isinstance(i, isa.Rebind) else i)
BROKEN = {
    "has no route, and others have": NO_REDUCE,
    "has another route than others of": OTHER,
    "takes colors 20 to 22, and there are 21": routed(isa.Transfer, color=20),
    "takes colors -1 to 1": routed(isa.Transfer, color=-1),
    "takes 1 colors; what passes between regions take 2": routed(isa.Transfer, colors=1),
    "takes input queues 1 to 2, and programs have 2 to 7": routed(isa.Transfer, input_queue=1),
    "takes output queues 8 to 9, and programs have 2 to 7": routed(isa.Transfer, output_queue=8),
    "share color 0, and nothing orders them": routed(isa.Transfer, color=0),
    "needs output queue": NO_REBIND,
    "it is bound to": BACKWARDS,
    "binds output queue 9, and programs have 2 to 7": changed(
        lambda i: replace(i, queue=9) if isinstance(i, isa.Rebind) else i
    ),
    "goes from color 3 to 3 of 21": changed(
        lambda i: replace(i, before=3, after=3) if isinstance(i, isa.Rebind) else i
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_route_is_named(what: str) -> None:
    assert any(what in fault for fault in faults(BROKEN[what], HAS)), faults(BROKEN[what], HAS)


def test_a_queue_that_a_stream_leaves_otherwise_is_named() -> None:
    def last(stream: isa.Instruction) -> bool:
        return isinstance(stream, isa.Rebind)

    name = next(s.name for s in PROGRAM.streams if last(s.instructions[-1]))
    streams = tuple(replace(s, instructions=s.instructions[:-1]) if s.name == name else s for s in PROGRAM.streams)
    [fault] = faults(replace(PROGRAM, streams=streams), HAS)
    assert f"stream {name!r} leaves output queue" in fault or "needs output queue" in fault


@pytest.mark.parametrize(
    ("positions", "needs"), [(2, "need 3 switch positions"), (3, "need 4 switch positions"), (4, "")]
)
def test_switch_positions_are_counted_along_the_path(positions: int, needs: str) -> None:
    found = faults(PROGRAM, Fabric(21, positions, HAS.inputs, HAS.outputs, True))
    assert (needs in " ".join(found)) if needs else not found


def test_a_tree_whose_routers_need_more_positions_than_there_are_is_refused() -> None:
    levels = (Level(2), Level(4, star=True), Level(5), Level(2))
    program = compiled(rows=43, columns=4)
    chains = tuple(Tree(43, (Level(43),), tree.slices) if tree.span == 43 else tree for tree in program.trees)
    trees = tuple(Tree(43, levels, tree.slices) if tree.span == 43 else tree for tree in program.trees)
    few = Fabric(21, 3, HAS.inputs, HAS.outputs, True)
    assert not faults(replace(program, trees=chains), few)
    assert not faults(replace(program, trees=trees), HAS)
    found = faults(replace(program, trees=trees), few)
    assert any("sums over 43 rows" in fault and "switch positions of a color" in fault for fault in found)
