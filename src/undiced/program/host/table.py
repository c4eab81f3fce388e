"""The instruction table as data: codes, names and fields of each instruction, taken from its class."""

from __future__ import annotations

import re
from enum import IntEnum
from functools import cache
from typing import Literal, NamedTuple, get_args, get_type_hints

from undiced.program.host.field import BUFFERS, Kind
from undiced.program.host.instr import Instr

_REPORTED = ("layer", "note")  # fields for reports only


def code_of(row: type[Instr]) -> int:
    """The operation code of an instruction, its tag in files."""
    code = row.__struct_config__.tag
    assert isinstance(code, int)
    return code


def name_of(row: type[Instr]) -> str:
    """The name of an instruction in text and in C++: KV_STORE for KvStore."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", row.__name__).upper()


class Field(NamedTuple):
    """A field of an instruction: its name, its type, and what a number means (None: any number, or one of `enum`)."""

    name: str
    form: Literal["int", "float", "bool"]
    kind: Kind | None = None
    enum: type[IntEnum] | None = None


@cache
def fields_of(row: type[Instr]) -> tuple[Field, ...]:
    """The fields of an instruction that executors need, in the table's order."""
    hints = get_type_hints(row, include_extras=True)
    return tuple(_field(name, hints[name]) for name in row.__struct_fields__ if name not in _REPORTED)


def _field(name: str, hint: object) -> Field:
    if hint is bool:
        return Field(name, "bool")
    if hint is float:
        return Field(name, "float")
    if isinstance(hint, type) and issubclass(hint, IntEnum):
        return Field(name, "int", enum=hint)
    base, kind = get_args(hint)
    assert base in (int, float) and isinstance(kind, Kind), f"{name}: {hint}"
    return Field(name, "int" if base is int else "float", kind)


@cache
def words_of(row: type[Instr]) -> tuple[Field, ...]:
    """The fields that take four bytes each."""
    return tuple(field for field in fields_of(row) if field.form != "bool")


@cache
def flags_of(row: type[Instr]) -> tuple[str, ...]:
    """The truth values, lowest bit first."""
    return tuple(field.name for field in fields_of(row) if field.form == "bool")


@cache
def operands_of(row: type[Instr]) -> tuple[str, ...]:
    """Names of the fields that name buffers."""
    return tuple(field.name for field in fields_of(row) if field.kind in BUFFERS)


class Integer(NamedTuple):
    """An integer field whose legal values depend on its kind."""

    name: str
    kind: Kind


@cache
def integers_of(row: type[Instr]) -> tuple[Integer, ...]:
    """The integers; enumerations are not among them."""
    return tuple(Integer(f.name, f.kind) for f in fields_of(row) if f.form == "int" and f.kind is not None)


@cache
def floats_of(row: type[Instr]) -> tuple[Field, ...]:
    """The floats."""
    return tuple(field for field in fields_of(row) if field.form == "float")
