"""Rules of what passes between regions: over as many hops as lie between them, off the wafer where they do."""

from __future__ import annotations

from undiced.program.rect import hops
from undiced.program.wafer import instruction as isa
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.rules.fault import Fault, Faults


def hand_overs(program: WaferProgram) -> Faults:
    """Every transfer of a region from the one before; a distance of 0 leaves it open, as programs for no machine do.

    What comes back arrives where the first region lies.
    """
    first = [(region.wafer, region.rect) for region in program.regions[:1]]
    arriving = [[i for i in stream.instructions if isinstance(i, isa.Transfer)] for stream in program.streams]
    for before, region in zip(program.regions, program.regions[1:], strict=False):
        apart = before.wafer != region.wafer
        for run in region.runs:
            for i in arriving[run.stream]:
                stream = program.streams[run.stream].name
                where = f"stream {stream!r} in region {region.name!r} takes {i.a} from region {before.name!r}"
                if i.back and (region.wafer, region.rect) not in first:
                    yield Fault(f"{where} as what comes back to the first region")
                elif i.distance and i.off_wafer != apart:
                    yield Fault(f"{where} as if that were on {'another' if i.off_wafer else 'the same'} wafer")
                elif i.distance and not apart and i.distance < hops(before.rect, region.rect, region.turned):
                    far = hops(before.rect, region.rect, region.turned)
                    yield Fault(f"{where} over {i.distance} hops, and {far} lie between them")
