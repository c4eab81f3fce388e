"""How much of anything a program may have, so that no file makes a reader hang or fill its memory. Ours.

Also holds every number of a program to be finite and within reach.
"""

from __future__ import annotations

from math import isfinite

import msgspec

from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.rules.fault import Fault, Faults

SIZE_MAX = 1 << 24  # elements of a dimension
WAYS_MAX = 1 << 16  # cores that share anything
SHARE_MAX = 1 << 30  # elements on a core
DIMS_MAX = 8
PARTS_MAX = 4  # of a spread
COUNT_MAX = 4096  # of regions, of streams, and of what each of them has
TOTAL_MAX = 1 << 16  # runs, values and instructions of all
SLOTS_MAX = 1 << 17
TABLE_MAX = 1 << 26  # elements of a table that is made at load
SLICES_MAX = 256
NUMBER_MAX = 1 << 40
FLOAT_MAX = 3.4e38
NAME_MAX = 256
SMALLER = "Programs of `undiced compile` stay far below it."


def numbers(program: WaferProgram) -> Faults:
    """Every number finite and no larger than anything that is counted here; every name of a bounded length."""
    left: list[tuple[str, object]] = [("program", msgspec.to_builtins(program))]
    while left:
        where, value = left.pop()
        if isinstance(value, dict):
            left += [(f"{where}.{key}", each) for key, each in value.items()]
        elif isinstance(value, (list, tuple)):
            left += [(f"{where}[{number}]", each) for number, each in enumerate(value)]
        elif isinstance(value, float) and not (isfinite(value) and abs(value) <= FLOAT_MAX):
            yield Fault(f"{where} is {value}, no finite number of 32 bits")
        elif isinstance(value, int) and abs(value) > NUMBER_MAX:
            yield Fault(f"{where} is {value}, beyond {NUMBER_MAX}", SMALLER)
        elif isinstance(value, str) and len(value) > NAME_MAX:
            yield Fault(f"{where} has {len(value)} characters, more than {NAME_MAX}", SMALLER)


def counts(program: WaferProgram) -> Faults:
    """How many there are of everything."""
    regions, streams = program.regions, program.streams
    found = [
        ("regions", len(regions), COUNT_MAX),
        ("streams", len(streams), COUNT_MAX),
        ("trees", len(program.trees), COUNT_MAX),
        ("slots", len(program.slots), SLOTS_MAX),
        ("facts", len(program.facts), COUNT_MAX),
        ("runs in all", sum(len(region.runs) for region in regions), TOTAL_MAX),
        ("values in all", sum(len(stream.values) for stream in streams), TOTAL_MAX),
        ("instructions in all", sum(len(stream.instructions) for stream in streams), TOTAL_MAX),
        *((f"runs of region {region.name!r}", len(region.runs), COUNT_MAX) for region in regions),
        *((f"values of stream {stream.name!r}", len(stream.values), COUNT_MAX) for stream in streams),
        *((f"instructions of stream {stream.name!r}", len(stream.instructions), COUNT_MAX) for stream in streams),
    ]
    for what, count, most in found:
        if count > most:
            yield Fault(f"there are {count} {what}, more than {most}", SMALLER)
    bounds = program.bounds
    for what, size in (
        ("batch", bounds.batch),
        ("context", bounds.context),
        ("vocabulary", program.vocab),
        ("chunk", program.chunk),
    ):
        if not 1 <= size <= SIZE_MAX:
            yield Fault(f"a {what} of {size} is out of range", f"It is 1 to {SIZE_MAX}.")
