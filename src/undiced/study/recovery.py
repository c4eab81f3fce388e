"""Recovery: a program after one of its cores has failed, and what that takes: detection, weights again, text again.

The core joins the map of its wafer, the program is placed anew around it, and whoever drives an executor reads the
texts so far again. Seconds are simulated at the machine's clock and its published rates; what is assumed says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from undiced.compiler.wafer.settle import settle
from undiced.machine.availability import Availability, availability
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
from undiced.sim.outlook import first_token_cycles

PATIENCE = assumed(2, "1", "tokens' time after which whoever waits for a core gives it up", 1, 10)
REMAP_S = assumed(0.1, "s", "the host places a program anew around one more dead core; our own takes so long", 0.01, 1)


@dataclass(frozen=True, slots=True)
class Lost:
    """Seconds lost to one failure: until it is seen, placing anew, weights of cores that moved, the text so far."""

    detect_s: float
    remap_s: float
    reload_s: float
    rebuild_s: float

    @property
    def total_s(self) -> float:
        """All of them, one after the other."""
        return self.detect_s + self.remap_s + self.reload_s + self.rebuild_s


def recovered(program: WaferProgram, wafer: Wafer, failure: Failure) -> WaferProgram:
    """The program around one more dead core.

    Raises:
        UnrepairableError: no spare helps; the wafer must be replaced.
    """
    maps = {one.wafer: DefectMap(one.map, one.columns, one.rows, one.dead, one.cuts) for one in program.individuals}
    hurt = maps[failure.wafer]
    cores = tuple(sorted({*hurt.cores, (failure.x, failure.y)}))
    maps[failure.wafer] = replace(hurt, name=f"{hurt.name.removesuffix(', worn')}, worn", cores=cores)
    return settle(program, wafer, maps.__getitem__)


def lost(before: WaferProgram, after: WaferProgram, wafer: Wafer, positions: int, silent: bool) -> Lost:
    """What a failure took when texts had so many positions."""
    clock = wafer.system.clock_hz.value
    token_s = time_step(before, wafer, Step(1, 1, positions)).token_cycles / clock
    size = moved_cores(before, after) * wafer.core.sram_bytes.value
    reload_s = wafer.system.launch_s.value + size / wafer.system.host_to_device_bytes_per_s.value
    rebuild_s = first_token_cycles(after, wafer, positions, clock) / clock
    return Lost(token_s * (PATIENCE.value if silent else 1), REMAP_S.value, reload_s, rebuild_s)


def moved_cores(before: WaferProgram, after: WaferProgram) -> int:
    """Logical cores that lie elsewhere than before."""
    count = 0
    for old, new in zip(before.individuals, after.individuals, strict=True):
        for row in {shift.row for shift in (*old.shifts, *new.shifts)}:
            count += sum(a != b for a, b in zip(old.row(row), new.row(row), strict=True))
    return count


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


def year(program: WaferProgram, wafer: Wafer, positions: int) -> tuple[Lost, float, tuple[Availability, ...]]:
    """What a failed core in the middle takes, cycles of a token's checks, and a year with 0 and 1 spare wafers."""
    columns, rows = wafer.built
    placed = settle(program, wafer, lambda number: DefectMap("new", columns, rows))
    region = placed.regions[0].rect
    row = region.y + region.height // 2
    x = placed.individuals[0].row(row)[region.x + region.width // 2]
    after = recovered(placed, wafer, Failure(placed.regions[0].wafer, x, row, "silent"))
    took = lost(placed, after, wafer, positions, silent=True)
    years = tuple(availability(wafer, program.wafers, took.total_s, spare_wafers=spare) for spare in (0, 1))
    return took, check_cycles(placed, wafer, positions), years
