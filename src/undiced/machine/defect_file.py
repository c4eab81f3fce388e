"""Maps of defects from files: CSV of our own, and wafer maps in the G85 format (XML). Files are untrusted.

CSV has a line `x,y,what` for each broken part: `core`, `router`, or a link by where it leads. In a G85 map each
device is a core of the wafer, and bins say which work.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from undiced.core.errors import CheckpointError, CompileError
from undiced.core.opening import read_file
from undiced.machine.defects import DefectMap
from undiced.program.wafer.individual import WAYS, Cut

_FILE_MAX_BYTES = 1 << 26
_CORES = ("core", "router")
_HEAD = ["x", "y", "what"]
_CODES_MAX = 4096
_NAME_MAX = 64


def read_defects(path: Path, columns: int, rows: int) -> DefectMap:
    """The map of a file, of a wafer of so many cores, spares included.

    Raises:
        CompileError: unreadable, neither format, of another size, or with defects off the wafer.
    """
    try:
        data = read_file(path, _FILE_MAX_BYTES)
    except CheckpointError as error:
        raise CompileError(error.message, remedy=error.remedy) from None
    name = path.name[:_NAME_MAX]
    if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        return _g85(data, name, columns, rows)
    return _csv(data, name, columns, rows)


def _csv(data: bytes, name: str, columns: int, rows: int) -> DefectMap:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise CompileError(f"{name} is no text and no XML.", remedy="Give a CSV with x,y,what, or a G85 map.") from None
    lines = csv.reader(line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    cores, links = set[tuple[int, int]](), set[Cut]()
    try:
        if [cell.strip() for cell in next(lines, [])] != _HEAD:
            raise CompileError(f"{name} does not begin with x,y,what.", remedy="That is the head of a map of defects.")
        for cells in lines:
            x, y, what = _line(cells, lines.line_num, name)
            if what in _CORES:
                cores.add((x, y))
            else:
                links.add(Cut(x, y, what))
    except csv.Error as error:
        raise CompileError(f"{name}, line {lines.line_num}: {error}.", remedy="Write it anew.") from None
    return DefectMap(name, columns, rows, tuple(sorted(cores)), tuple(sorted(links)))


def _line(cells: list[str], number: int, name: str) -> tuple[int, int, str]:
    """One broken part."""
    if len(cells) == len(_HEAD):
        x, y, what = (cell.strip() for cell in cells)
        if x.isascii() and x.isdecimal() and y.isascii() and y.isdecimal() and max(len(x), len(y)) < 10:
            if what not in (*_CORES, *WAYS):
                known = ", ".join((*_CORES, *WAYS))
                raise CompileError(f"{name}: entry {number} breaks {what!r:.40}.", remedy=f"Use {known}.")
            return int(x), int(y), what
    raise CompileError(
        f"{name}: entry {number} is {','.join(cells)!r:.60}.", remedy="Each is x,y,what: 17,4,core, counted from 0."
    )


@dataclass(slots=True)
class _Device:
    """What is read of a G85 map: size, how codes are written, which are bad, and the rows."""

    attributes: dict[str, str] = field(default_factory=dict)
    passes: dict[str, bool] = field(default_factory=dict)
    rows: list[str] = field(default_factory=list)
    text: list[str] | None = None


def _g85(data: bytes, name: str, columns: int, rows: int) -> DefectMap:
    device = _parsed(data, name)
    found = [_codes(row, device.attributes.get("BinType", ""), columns) for row in device.rows]
    wide = {len(row) for row in found}
    if len(found) != rows or wide != {columns}:
        size = f"{'/'.join(map(str, sorted(wide)[:3])) or 0} x {len(found)}"
        raise CompileError(
            f"{name} is of {size} devices, and the wafer has {columns} x {rows} cores, spares included.",
            remedy="Give a map in which each device is a core.",
        )
    return DefectMap(name, columns, rows, tuple(sorted(_bad(device, found, name))))


def _bad(device: _Device, found: list[list[str]], name: str) -> Iterator[tuple[int, int]]:
    """Devices whose bin is not a good one, and places without a device."""
    null = device.attributes.get("NullBin")
    for y, row in enumerate(found):
        for x, code in enumerate(row):
            good = False if code == null else device.passes.get(code)
            if good is None:
                raise CompileError(
                    f"{name}: the device at {x}, {y} has bin {code!r:.20}, which the map does not describe.",
                    remedy="Each bin needs a Bin with BinCode and BinQuality.",
                )
            if not good:
                yield x, y


def _codes(row: str, kind: str, columns: int) -> list[str]:
    """The codes of a row: apart, or each of the same length."""
    parts = row.split()
    if len(parts) != 1:
        return parts
    each = max(1, len(parts[0]) // columns) if kind != "Ascii" else 1
    return [parts[0][at : at + each] for at in range(0, len(parts[0]), each)]


def _parsed(data: bytes, name: str) -> _Device:
    """The first device of the file. No entities, no document types: nothing in it can grow or reach outside."""
    device, parser = _Device(), expat.ParserCreate(namespace_separator="}")

    def refuse(*_: object) -> None:
        raise CompileError(
            f"{name} declares a document type or entities.", remedy="G85 maps need none: leave them out."
        )

    def begin(tag: str, attributes: dict[str, str]) -> None:
        kind = tag.rsplit("}", 1)[-1]
        if kind == "Device" and not device.attributes:
            device.attributes = {"BinType": "Decimal", **attributes}
        elif kind == "Bin" and len(device.passes) < _CODES_MAX:
            device.passes[attributes.get("BinCode", "")] = attributes.get("BinQuality", "").lower() == "pass"
        elif kind == "Row":
            device.text = []

    def text(piece: str) -> None:
        if device.text is not None:
            device.text.append(piece)

    def end(tag: str) -> None:
        if device.text is not None and tag.rsplit("}", 1)[-1] == "Row":
            device.rows.append("".join(device.text).strip())
            device.text = None

    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = begin, end, text
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise CompileError(f"{name} is no XML that can be read: {error}.", remedy="Give a G85 map or a CSV.") from None
    if not device.rows:
        raise CompileError(f"{name} holds no G85 map: no rows of devices.", remedy="It needs Map, Device, Data, Row.")
    return device
