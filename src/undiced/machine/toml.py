"""A machine as a file that `load_machine` reads back, with what every field means. Knows no meaning itself."""

from __future__ import annotations

import json
from collections.abc import Iterator

from undiced.machine.constant import Constant
from undiced.machine.wafer import Wafer


def as_toml(wafer: Wafer) -> str:
    """All figures of a machine, section by section, each under a comment with its meaning and unit."""
    return "\n".join(_lines(wafer)) + "\n"


def _lines(wafer: Wafer) -> Iterator[str]:
    yield f"# All figures of {wafer.name}; the machine is called as this file is."
    yield "# A shorter file: base = a preset's name, and the fields that differ."
    meanings, before = Wafer.meanings(), ""
    for name, constant in wafer.constants():
        section, field = name.split(".")
        if section != before:
            yield f"\n[{section}]"
        before = section
        yield f"# {meanings[name]} [{constant.unit}]"
        yield f"{field} = {_table(constant)}"


def _table(constant: Constant) -> str:
    entries = {"value": constant.value, "unit": constant.unit, "provenance": constant.provenance}
    ends = {"low": constant.low, "high": constant.high}
    every = {**entries, "source": constant.source, **{name: end for name, end in ends.items() if end is not None}}
    return f"{{ {', '.join(f'{name} = {json.dumps(value)}' for name, value in every.items())} }}"
