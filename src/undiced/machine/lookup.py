"""From a name or a TOML file to a machine. The only place that parses machine descriptions, and trusts none of them.

A machine file has tables [core], [mesh], [link], [queues], [spares] and [system] with the fields of those
dataclasses. A field is a number, or a table {value, provenance, source, low, high}; `base = "wse3"` takes what is not
given from a preset.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import fields, replace
from pathlib import Path
from typing import TypeVar

from undiced.core.errors import CheckpointError, CompileError
from undiced.core.opening import read_file
from undiced.machine.constant import PROVENANCES, Constant
from undiced.machine.core import Core
from undiced.machine.link import Link
from undiced.machine.mesh import Mesh
from undiced.machine.presets import PRESETS, parse_toy, wse3
from undiced.machine.queues import Queues
from undiced.machine.spares import Spares
from undiced.machine.wafer import PARTS, System, Wafer

_FILE_MAX_BYTES = 1 << 20
Part = TypeVar("Part", Core, Mesh, Link, Queues, Spares, System)

# Fields whose plausible range is narrower than "positive and finite": smallest, largest.
_BOUNDS: dict[str, tuple[float, float]] = {
    "core.sram_bytes": (1024, 1 << 32),
    "core.read_bytes_per_cycle": (1, 4096),
    "core.write_bytes_per_cycle": (1, 4096),
    "core.lanes_16bit": (1, 4096),
    "core.lanes_32bit": (1, 4096),
    "mesh.width": (1, 16384),
    "mesh.height": (1, 16384),
    "mesh.colors": (1, 4096),
    "mesh.reserved_colors": (0, 4096),
    "mesh.switch_positions": (1, 4096),
    "core.sram_banks": (1, 4096),
    "core.read_bank_modulus": (4, 64),
    "link.wavelet_bytes": (1, 256),
    "link.wavelets_per_cycle": (1e-3, 256),
    "spares.columns": (0, 16384),
    "system.clock_hz": (1e6, 1e11),
}
# Counts: a fraction of one would be cut off in silence.
_WHOLE = frozenset({
    "core.sram_bytes", "core.sram_banks", "core.read_bank_modulus", "mesh.width", "mesh.height", "mesh.colors",
    "mesh.reserved_colors", "mesh.switch_positions", "spares.columns",
})  # fmt: skip
_READ_BANKS = 4  # banks of two reads of 32 bits
_MAY_BE_ZERO = 0.0
_QUEUE_MOST = 4096.0
_LARGEST = 1e18


def find_machine(ref: str) -> Wafer:
    """The wafer called `ref`: a preset, a toy, or the path of a TOML file.

    Raises:
        CompileError: unknown name, or a bad file; says what is known or which field is wrong.
    """
    preset = PRESETS.get(ref.lower())
    if preset is not None:
        return preset()
    toy = parse_toy(ref)
    if toy is not None:
        return toy
    path = Path(ref)
    if ref.endswith(".toml") or path.is_file():
        return load_machine(path)
    raise CompileError(
        f"There is no machine called {ref!r}.",
        remedy=f"Known: {', '.join(sorted(PRESETS))}, toy-8x8, toy-8x8:48K, or the path of a machine file (.toml).",
    )


def load_machine(path: Path) -> Wafer:
    """A machine from a TOML file.

    Raises:
        CompileError: unreadable, not TOML, or a field missing, unknown or absurd.
    """
    remedy = "undiced.presets.wse3() shows what belongs into one."
    try:
        data = tomllib.loads(read_file(path, _FILE_MAX_BYTES).decode("utf-8-sig"))
    except CheckpointError as error:
        raise CompileError(error.message, remedy=error.remedy) from None
    except (ValueError, RecursionError) as error:  # syntax, encoding, numbers of thousands of digits
        raise CompileError(f"{path} is not a TOML file: {error}.", remedy=remedy) from None
    return parse_machine(data, path.stem, str(path))


def parse_machine(data: dict[str, object], name: str, where: str) -> Wafer:
    """A machine from parsed TOML. `where` names the file in errors and sources."""
    unknown = sorted(set(data) - {*PARTS, "name", "base"})
    if unknown:
        raise CompileError(f"{where}: unknown entry {unknown[0]!r}.", remedy=f"Known: name, base, {', '.join(PARTS)}.")
    base = None
    if "base" in data:
        preset = PRESETS.get(str(data["base"]))
        if preset is None:
            raise CompileError(f"{where}: base {data['base']!r} is no preset.", remedy=f"Known: {', '.join(PRESETS)}.")
        base = preset()
    template = base or wse3()
    wafer = Wafer(
        name=_text(data.get("name", name), "name", where),
        core=_section(data, "core", template.core, base is not None, where),
        mesh=_section(data, "mesh", template.mesh, base is not None, where),
        link=_section(data, "link", template.link, base is not None, where),
        queues=_section(data, "queues", template.queues, base is not None, where),
        spares=_section(data, "spares", template.spares, base is not None, where),
        system=_section(data, "system", template.system, base is not None, where),
    )
    _check_together(wafer, where)
    return wafer


def _check_together(wafer: Wafer, where: str) -> None:
    """Fields that are right only beside each other."""
    colors, reserved = wafer.mesh.colors.value, wafer.mesh.reserved_colors.value
    if reserved >= colors:
        raise CompileError(
            f"{where}: mesh.reserved_colors = {reserved:g} leaves programs none of {colors:g} colors.",
            remedy=f"It must be at most {colors - 1:g}.",
        )
    banks, modulus = wafer.core.sram_banks.value, wafer.core.read_bank_modulus.value
    if modulus % _READ_BANKS or banks % modulus:
        raise CompileError(
            f"{where}: core.read_bank_modulus = {modulus:g} does not fit {banks:g} banks.",
            remedy=f"It must be a multiple of {_READ_BANKS}, and divide core.sram_banks.",
        )


def _text(value: object, field: str, where: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 64 or not value.isprintable():
        raise CompileError(f"{where}: {field} must be a short text.", remedy='For example name = "my-wafer".')
    return value


def _section(data: dict[str, object], section: str, template: Part, inherit: bool, where: str) -> Part:
    table = data.get(section, {})
    if not isinstance(table, dict):
        raise CompileError(f"{where}: {section} must be a table.", remedy=f"Start it with [{section}].")
    names = [field.name for field in fields(template)]
    unknown = sorted(set(table) - set(names))
    if unknown:
        raise CompileError(
            f"{where}: [{section}] has no field {unknown[0]!r}.", remedy=f"Its fields: {', '.join(names)}."
        )
    missing = [name for name in names if name not in table]
    if missing and not inherit:
        raise CompileError(
            f"{where}: [{section}] lacks {missing[0]}.",
            remedy='Add it, or base = "wse3" to take over what is not given.',
        )
    return replace(
        template,
        **{
            name: _constant(value, getattr(template, name), f"{section}.{name}", where) for name, value in table.items()
        },
    )


def _constant(value: object, like: Constant, field: str, where: str) -> Constant:
    if isinstance(value, dict):
        unknown = sorted(set(value) - {"value", "unit", "provenance", "source", "low", "high"})
        if unknown or "value" not in value:
            what = f"has no entry {unknown[0]!r}" if unknown else "has no value"
            raise CompileError(
                f"{where}: {field} {what}.", remedy="It needs value; unit, provenance, source, low and high may follow."
            )
        if value.get("unit", like.unit) != like.unit:
            raise CompileError(f"{where}: {field} is in {like.unit}, not {value['unit']!r}.", remedy="Convert it.")
        provenance = value.get("provenance", "assumed")
        if provenance not in PROVENANCES:
            raise CompileError(
                f"{where}: {field} has no such provenance: {provenance!r}.", remedy=f"One of {', '.join(PROVENANCES)}."
            )
        low, high = (_number(value[k], f"{field}.{k}", where) if k in value else None for k in ("low", "high"))
        source = value.get("source", where)
        return Constant(
            _in_range(_number(value["value"], field, where), like, field, where),
            like.unit,
            provenance,
            source if isinstance(source, str) else where,
            low,
            high,
        )
    return Constant(_in_range(_number(value, field, where), like, field, where), like.unit, "assumed", where)


def _number(value: object, field: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CompileError(
            f"{where}: {field} must be a number.", remedy="Write it without quotes, in the preset's unit."
        )
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise CompileError(f"{where}: {field} must be finite.", remedy="Give the number itself.")
    return number


def _in_range(number: float, like: Constant, field: str, where: str) -> float:
    queue = field.startswith("queues.")
    smallest = _MAY_BE_ZERO if queue or like.unit in ("cycle", "s") or field.startswith("link.") else 1e-12
    low, high = _BOUNDS.get(field, (smallest, _QUEUE_MOST if queue else _LARGEST))
    if not low <= number <= high:
        raise CompileError(
            f"{where}: {field} = {number:g} {like.unit} is absurd.",
            remedy=f"It must lie in {low:g} to {high:g}; {like.value:g} is the preset's.",
        )
    if (queue or field in _WHOLE) and number != int(number):
        raise CompileError(f"{where}: {field} = {number:g} must be a whole number.", remedy="Drop the fraction.")
    return number
