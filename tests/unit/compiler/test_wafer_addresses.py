"""Memory of a core: what still travels is not overwritten, and what is read together lies in different banks."""

from dataclasses import replace

import pytest
from msgspec import structs
from support.mesh_configs import DENSE
from support.streams import line, sliced_sum, value

from undiced.compiler.wafer.addresses import shares_of
from undiced.compiler.wafer.published.build import build_whole
from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.core.errors import CompileError
from undiced.machine import toy
from undiced.machine.arithmetic import banks
from undiced.model import build_config
from undiced.program import Bounds
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.lifetimes import lifetimes
from undiced.program.wafer.meetings import meetings
from undiced.program.wafer.program import Stream, WaferProgram
from undiced.program.wafer.verify import verify

TREE, VALUES = sliced_sum(64, 12, 2)
SUM = isa.Reduce("n", "sum", "sum.roots", "sum.terms", line(64), "f32")
SEND = isa.Multicast("n", "sum", "sum.roots", line(64), "f32")
OTHER = isa.Scale("n", "multiply", "own", "own", 2.0)
USE = isa.Combine("n", "add", "own", "own", "sum")


def lives(*instructions: isa.Instruction) -> dict[str, tuple[int, int]]:
    stream = Stream("s", (*VALUES, value("own", ("flat", 12))), instructions)
    return lifetimes(stream, shares_of(stream, (TREE,)).stored)


def test_what_a_mover_sends_lives_until_what_it_brings_is_read() -> None:
    found = lives(SUM, OTHER, SEND, OTHER, USE)
    assert found["sum.terms"] == (0, 2)
    assert found["sum.roots"] == (0, 4)


def test_what_nobody_waits_for_lives_to_the_end() -> None:
    assert lives(OTHER, SUM, OTHER)["sum.terms"] == (1, 3)


MACHINE = toy(12, 12)
RULE = banks(MACHINE.core)
BOUNDS = Bounds(2, 64)


@pytest.fixture(scope="module")
def ours() -> WaferProgram:
    return compile_graph(build_config(replace(DENSE, qk_norm="weight")), MACHINE, Options(bounds=BOUNDS))


@pytest.fixture(scope="module")
def engine() -> WaferProgram:
    return build_whole(build_config(DENSE), MACHINE, "waferengine", (6, 6), BOUNDS, 3)


def moved(program: WaferProgram, by: int) -> WaferProgram:
    """With what runs keep further on."""
    runs = [tuple(structs.replace(run, base=run.base + by) for run in r.runs) for r in program.regions]
    regions = (structs.replace(r, runs=each) for r, each in zip(program.regions, runs, strict=True))
    return structs.replace(program, regions=tuple(regions))


def everywhere_first(program: WaferProgram) -> WaferProgram:
    """With every value in the first half, as if addresses were multiples of a period and nothing else."""
    streams = []
    for s in program.streams:
        values = tuple(structs.replace(v, address=v.address // RULE.period * RULE.period) for v in s.values)
        streams.append(structs.replace(s, values=values))
    return structs.replace(program, streams=tuple(streams))


def test_no_reads_meet_for_where_values_lie(ours: WaferProgram) -> None:
    found, before = meetings(ours, RULE), meetings(everywhere_first(ours), RULE)
    assert found["placed"] == 0 < before["placed"] <= found["apart"]
    assert sum(before.values()) == sum(found.values())


def test_a_rotation_that_reads_each_half_of_its_pairs_beside_both_factors_meets_half_the_time(
    engine: WaferProgram,
) -> None:
    """Columns and factors lie in pairs: no place fits both. Nothing else meets for where it lies."""
    found, before = meetings(engine, RULE), meetings(everywhere_first(engine), RULE)
    assert found["placed"] == 4 * DENSE.layers < before["placed"]


def test_what_lasts_is_read_from_its_runs_base_on() -> None:
    program = build_whole(build_config(DENSE), MACHINE, "waferllm", (12, 12), BOUNDS, 3)
    found = [meetings(moved(program, by), RULE)["placed"] for by in (0, RULE.half, RULE.period)]
    assert found[0] == found[2] == 0 < found[1]


def test_every_run_begins_where_banks_do(ours: WaferProgram, engine: WaferProgram) -> None:
    for program in (ours, engine):
        assert all(run.base % RULE.period == 0 for region in program.regions for run in region.runs)


def test_a_run_that_begins_between_words_is_refused(ours: WaferProgram) -> None:
    with pytest.raises(CompileError, match="begins at no multiple of 4"):
        verify(moved(ours, 2))
    verify(moved(ours, 4))
