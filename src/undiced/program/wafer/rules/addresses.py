"""Rules of addresses: aligned, inside a core's memory, and no two values in one place while both are needed.

Holds for programs whose memory is planned; in others no value has an address.
"""

from __future__ import annotations

from collections.abc import Iterator

from undiced.program.wafer.lifetimes import lifetimes
from undiced.program.wafer.memory import ALIGNMENT, LASTING, share_bytes, tokens
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.rules.fault import Fault, Faults
from undiced.program.wafer.rules.rectangles import Box, meeting
from undiced.program.wafer.rules.scope import Scope
from undiced.program.wafer.value import Kind, Value

_SMALLER = "Use more wafers, or larger regions."


def _stored(scope: Scope) -> list[Value]:
    return [value for value in scope.stream.values if value.view is None]


def stream(scope: Scope, sram_bytes: int | None) -> Faults:
    """Values of one stream: all of them have an address, or none."""
    values = _stored(scope)
    planned = [value.name for value in values if value.address >= 0]
    if not planned:
        return
    if len(planned) < len(values):
        missing = next(value.name for value in values if value.address < 0)
        yield Fault(f"{missing} has no address, and others have")
        return
    for value in values:
        if value.address % ALIGNMENT:
            yield Fault(f"{value.name} lies at {value.address}, which is no multiple of {ALIGNMENT}")
    for lasting in (False, True):
        yield from _apart(scope, [v for v in values if (v.kind in LASTING) is lasting and not v.again])
    top = _top(scope, lasting=False)
    if sram_bytes is not None and top > sram_bytes:
        yield Fault(f"its values end at {top}, {top - sram_bytes} bytes beyond the memory of a core", _SMALLER)


def _apart(scope: Scope, values: list[Value]) -> Faults:
    lives = lifetimes(scope.stream, scope.shares.stored)
    boxes, end = [], len(scope.stream.instructions)
    for value in values:
        first, last = lives.get(value.name, (0, 0)) if value.kind is Kind.ACTIVATION else (0, end)
        boxes.append(Box(first, last + 1, value.address, value.address + _bytes(scope, value)))
    found = meeting(boxes)
    if found is not None:
        a, b = (f"{values[n].name} at {boxes[n].y} to {boxes[n].y_end}" for n in found)
        yield Fault(f"{a} and {b} share memory while both are needed")


def _bytes(scope: Scope, value: Value) -> int:
    """Of all tokens of a chunk; a cache's of all sequences."""
    copies = scope.program.bounds.batch if value.kind is Kind.CACHE else 1
    return max(share_bytes(scope.shares, value.name, tokens(scope.program.chunk, scope.stream, value)) * copies, 1)


def _top(scope: Scope, *, lasting: bool) -> int:
    """Where values end that last, or those that don't."""
    values = [v for v in _stored(scope) if (v.kind in LASTING) is lasting and v.address >= 0 and not v.again]
    return max((v.address + _bytes(scope, v) for v in values), default=0)


def runs(program: WaferProgram, scopes: list[Scope], sram_bytes: int | None) -> Faults:
    """What runs keep on the same cores: apart from each other, above all values of streams, inside the memory.

    A run that is there again, with the same weights, keeps what it kept before.
    """
    tops = [(_top(scope, lasting=False), _top(scope, lasting=True)) for scope in scopes]
    for regions in program.places:
        every = ((region, n, run) for region in regions for n, run in enumerate(region.runs) if tops[run.stream][1])
        held = list({(region.name, run): (region, n, run) for region, n, run in every}.values())
        boxes = [Box(0, 1, run.base, run.base + tops[run.stream][1]) for _, _, run in held]
        names = [
            f"run {n} of region {region.name!r} at {box.y} to {box.y_end}"
            for (region, n, _), box in zip(held, boxes, strict=True)
        ]
        below = max((tops[run.stream][0] for region in regions for run in region.runs), default=0)
        found = meeting(boxes)
        if found is not None:
            yield Fault(f"what is kept for {names[found[0]]} and for {names[found[1]]} shares memory")
        yield from _inside(list(zip(names, boxes, strict=True)), below, sram_bytes)


def _inside(named: list[tuple[str, Box]], below: int, sram_bytes: int | None) -> Iterator[Fault]:
    for name, box in named:
        if box.y % ALIGNMENT:
            yield Fault(f"what is kept for {name} begins at no multiple of {ALIGNMENT}")
        if box.y < below:
            yield Fault(f"what is kept for {name} begins below {below}, where other values end")
        if sram_bytes is not None and box.y_end > sram_bytes:
            yield Fault(
                f"what is kept for {name} ends {box.y_end - sram_bytes} bytes beyond the core's memory", _SMALLER
            )
