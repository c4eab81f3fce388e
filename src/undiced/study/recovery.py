"""Recovery: a program after one of its cores has failed, and what that takes: to see it and to find the core, weights
again, text again.

A sum that does not add up names a region; a roll call there finds the core. It joins the map of its wafer, the program
is placed anew around it, and whoever drives an executor reads the texts so far again. Seconds are simulated at the
machine's clock and its published rates; what is assumed says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil

from undiced.compiler.wafer.settle import settle
from undiced.machine.constant import assumed
from undiced.machine.defects import DefectMap
from undiced.machine.lines import wavelets
from undiced.machine.wafer import Wafer
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.share import Shares, values_of
from undiced.program.wafer.step import Step
from undiced.program.wafer.work import BYTES
from undiced.sim.clock import time_step
from undiced.sim.mesh.failing import Failure
from undiced.sim.mesh.ground import Ground
from undiced.sim.mesh.roll_call import Places, answers, roll_call
from undiced.sim.outlook import prompt_cycles

PATIENCE = assumed(2, "1", "tokens' time after which whoever waits for a core gives it up", 1, 10)
_COUNT_BYTES = 4
REMAP_S = assumed(0.1, "s", "the host places a program anew around one more dead core; our own takes so long", 0.01, 1)


@dataclass(frozen=True, slots=True)
class Lost:
    """Seconds lost to one failure: until it is seen, until the core is found, placing anew, weights of cores that
    moved, the texts so far. `roll_call_cycles`: of what finds the core, which the host starts.
    """

    detect_s: float
    locate_s: float
    remap_s: float
    reload_s: float
    rebuild_s: float
    roll_call_cycles: float

    @property
    def total_s(self) -> float:
        """All of them, one after the other."""
        return self.detect_s + self.locate_s + self.remap_s + self.reload_s + self.rebuild_s

    def as_dict(self) -> dict[str, float]:
        """Under stable keys, for scripts."""
        return {**asdict(self), "total_s": self.total_s}


def recovered(program: WaferProgram, wafer: Wafer, number: int, cores: Places) -> WaferProgram:
    """The program around more dead cores of the wafer of that number.

    Raises:
        UnrepairableError: no spare helps; the wafer must be replaced.
    """
    maps = {one.wafer: DefectMap(one.map, one.columns, one.rows, one.dead, one.cuts) for one in program.individuals}
    hurt = maps[number]
    dead = tuple(sorted({*hurt.cores, *cores}))
    maps[number] = replace(hurt, name=f"{hurt.name.removesuffix(', worn')}, worn", cores=dead)
    return settle(program, wafer, maps.__getitem__)


def lost(
    before: WaferProgram, after: WaferProgram, wafer: Wafer, positions: Sequence[int], region: int, silent: bool
) -> Lost:
    """What a failure seen in a region took when texts had so many positions; they are read again one after another."""
    clock, host = wafer.system.clock_hz.value, wafer.system
    token_s = time_step(before, wafer, Step(1, 1, max(positions))).token_cycles / clock
    calling = time_step(roll_call(before, region), wafer, Step(1, 1, 1)).token_cycles
    place = before.regions[region]
    counts = (place.rows + place.columns) * _COUNT_BYTES
    size = moved_cores(before, after) * wafer.core.sram_bytes.value
    return Lost(
        detect_s=token_s * (PATIENCE.value if silent else 1),
        locate_s=host.launch_s.value + calling / clock + counts / host.device_to_host_bytes_per_s.value,
        remap_s=REMAP_S.value,
        reload_s=host.launch_s.value + size / host.host_to_device_bytes_per_s.value,
        rebuild_s=sum(prompt_cycles(after, wafer, each, clock) for each in positions) / clock,
        roll_call_cycles=calling,
    )


def moved_cores(before: WaferProgram, after: WaferProgram) -> int:
    """Logical cores of regions that lie elsewhere than before."""
    pairs = zip(_grounds(before), _grounds(after), strict=True)
    return sum(int(((old.x != new.x) | (old.y != new.y)).sum()) for old, new in pairs)


def _grounds(program: WaferProgram) -> Iterator[Ground]:
    """Of each place that regions lie on."""
    for region, *_ in program.places:
        one = program.individual(region.wafer)
        assert one is not None, "cores move on wafers with maps"
        yield Ground(one, region)


def check_cycles(program: WaferProgram, wafer: Wafer, positions: int) -> float:
    """What checking every sum takes of a token, at most: nothing of it is taken to run beside anything else.

    A core makes one element of its terms (a scalar reduction), each slice carries it, and a root adds up its result.
    """
    core, link, cycles = wafer.core, wafer.link, 0.0
    times = [sum(run.stream == n for r in program.regions for run in r.runs) for n in range(len(program.streams))]
    for stream, often in zip(program.streams, times, strict=True):
        shares = Shares(values_of(program, stream), program.trees, Step(1, 1, positions))
        for i in stream.instructions:
            if isinstance(i, isa.Reduce) and i.operation == "sum":
                terms, result = shares.size(i.a), shares.size(i.result)
                adding = (terms + result) / core.scalar_reduction_per_cycle.value + 2 * core.straight_setup_cycles.value
                wire = wavelets(link, BYTES[shares.values[i.result].dtype]) / link.wavelets_per_cycle.value
                cycles += often * (adding + ceil(wire) + core.scalar_step_cycles.value)
    return cycles


def individual(program: WaferProgram, wafer: Wafer) -> WaferProgram:
    """The program on wafers with maps: those that it was placed for, or new ones without a defect."""
    columns, rows = wafer.built
    return program if program.individuals else settle(program, wafer, lambda _: DefectMap("new", columns, rows))


def used_cores(program: WaferProgram) -> int:
    """Cores that have a part in a token."""
    return sum(visits[0].rect.cores for visits in program.places)


def in_the_middle(program: WaferProgram, wafer: Wafer, positions: int) -> Lost:
    """What a core takes that goes silent in the middle of the first region."""
    placed = individual(program, wafer)
    region = placed.regions[0]
    row = region.rect.y + region.rect.height // 2
    x = placed.individuals[0].row(row)[region.rect.x + region.rect.width // 2]
    found = answers(placed, 0, Failure(region.wafer, x, row, "silent"))
    after = recovered(placed, wafer, region.wafer, found)
    return lost(placed, after, wafer, [positions], 0, silent=True)
