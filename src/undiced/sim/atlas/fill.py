"""Fill: what takes the memory of a core of each place, as the program lays it out. All cores of a region share one map.

Knows programs and how the compiler counts code; no time.
"""

from __future__ import annotations

from dataclasses import dataclass

from undiced.machine.arithmetic import banks
from undiced.machine.wafer import Wafer
from undiced.program.wafer.code import code_bytes
from undiced.program.wafer.memory import LASTING, aligned, share_bytes
from undiced.program.wafer.program import Run, Stream, WaferProgram
from undiced.program.wafer.share import Shares
from undiced.program.wafer.value import Kind
from undiced.sim.atlas.contents import Role, role
from undiced.sim.outlook import mapping_of

_ORDER = (Kind.WEIGHT, Kind.CACHE, Kind.TABLE)
_OURS = "undiced"


@dataclass(frozen=True, slots=True)
class Fill:
    """Bytes on the fullest core of a place, with the keys and values of all sequences that the program holds.

    Attributes:
        scratch: states and activations.
        replayed: what layers would take that a benchmark does not hold, for it runs one of them again and again.
    """

    weights: int
    cache: int
    tables: int
    code: int
    scratch: int
    replayed: int
    sram: int

    @property
    def used(self) -> int:
        """All that is there."""
        return self.weights + self.cache + self.tables + self.code + self.scratch

    @property
    def needed(self) -> int:
        """What the whole model would take here; more than `sram` if it does not fit."""
        return self.used + self.replayed

    @property
    def free(self) -> int:
        """What is left."""
        return max(self.sram - self.needed, 0)


def fills(program: WaferProgram, wafer: Wafer) -> tuple[Fill, ...]:
    """Of every place, in the program's order of them."""
    period = banks(wafer.core).period
    kept = [_kept(program, stream, period) for stream in program.streams]
    code = _Code.of(program, period)
    sram = int(wafer.core.sram_bytes.value)
    facts = dict(program.facts)
    replayed = max(int(facts.get("sram_bytes_max_per_core", 0) - facts.get("sram_bytes_resident_per_core", sram)), 0)
    out = []
    for visits in program.places:
        runs = tuple(dict.fromkeys(run for visit in visits for run in visit.runs))
        weights, cache, tables = (sum(kept[run.stream][kind] for run in runs) for kind in _ORDER)
        begun = min((run.base for run in runs), default=0)
        scratch = max(begun - (0 if code.behind else code.shared), 0)
        out.append(Fill(weights, cache, tables, code.bytes(runs), scratch, replayed, sram))
    return tuple(out)


def _kept(program: WaferProgram, stream: Stream, period: int) -> dict[Kind, int]:
    """What a run of a stream keeps, in whole periods of banks."""
    shares = Shares({value.name: value for value in stream.values}, program.trees)
    found = dict.fromkeys(LASTING, 0)
    for value in stream.values:
        if value.view is None and value.kind in LASTING and not value.again:
            copies = program.bounds.batch if value.kind is Kind.CACHE else 1
            found[value.kind] += aligned(share_bytes(shares, value.name), period) * copies
    return found


@dataclass(frozen=True, slots=True)
class _Code:
    """How a program's code is counted.

    Attributes:
        behind: whether it lies behind everything else, counted for each place by itself, as in published programs.
        shared: of the streams that any region may run. own: what ends of the model add, by stream.
    """

    program: WaferProgram
    behind: bool
    shared: int
    own: dict[int, int]

    @classmethod
    def of(cls, program: WaferProgram, period: int) -> _Code:
        """Ends add nothing to a size that was given instead of counted."""
        told = int(dict(program.facts).get("code_bytes", 0))
        if mapping_of(program) != _OURS:
            return cls(program, True, told, {})
        ends = [n for n, stream in enumerate(program.streams) if role(stream, False) in (Role.EMBEDDING, Role.HEAD)]
        common = [s for n, s in enumerate(program.streams) if n not in ends and not _is_part(s)]
        base = code_bytes(common)
        streams = program.streams
        own = {n: aligned(code_bytes([*common, streams[n]]) - base, period) for n in ends}
        return cls(program, False, told, own if base == told else {})

    def bytes(self, runs: tuple[Run, ...]) -> int:
        """On a core that makes these runs."""
        used = dict.fromkeys(run.stream for run in runs)
        if self.behind:
            return code_bytes(self.program.streams[n] for n in used)
        return self.shared + sum(self.own.get(n, 0) for n in used)


def _is_part(stream: Stream) -> bool:
    return any(value.weights is not None and value.weights.shared for value in stream.values)
