"""The instruction table as a C++ header: `python -m undiced.program.host.mirror > native/engine/instructions.h`.

Knows C++'s spelling of the table; a test holds the header in the tree equal to what this prints.
"""

from __future__ import annotations

from collections.abc import Iterator

from undiced.program.host.encoding import INSTR_BYTES
from undiced.program.host.field import NONE, Activation, Partition, RopeStyle, Scoring
from undiced.program.host.instr import SHARD_GRANULE, SMALL_STEP_TOKENS, Instr
from undiced.program.host.instruction import INSTRUCTIONS
from undiced.program.host.table import Field, code_of, fields_of, flags_of, name_of, words_of

_HEAD = f"""\
// The instruction table: records of {INSTR_BYTES} bytes, and what each of their fields is called.
// Printed by `python -m undiced.program.host.mirror` from instruction.py beside it; a test holds the two equal.
// clang-format off
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

namespace undiced {{

inline constexpr int kNone = {NONE};
inline constexpr int kInstrBytes = {INSTR_BYTES};
inline constexpr int kShardGranule = {SHARD_GRANULE};
inline constexpr int kSmallStepTokens = {SMALL_STEP_TOKENS};
"""
_RECORD = """\
// A record as it comes. `as` reads it by the names of its operation, which is the caller's word.
struct Instr {
    std::uint16_t op, flags;
    std::int32_t words[(kInstrBytes - 4) / 4];

    template <class T>
    T as() const {
        static_assert(sizeof(T) <= sizeof(Instr));
        T out;
        std::memcpy(&out, this, sizeof out);
        return out;
    }
};
static_assert(sizeof(Instr) == kInstrBytes);
"""
_FIELD = """\
// Where a field lies in its record. kind: 'i' or 'f', four bytes from `place` on; 'b', bit `place` of the flags.
struct Field {
    Op op;
    std::string_view name;
    char kind;
    std::size_t place;
};
"""
_OP_NAME = """\
// The name of an operation code, or an empty view for a code that the host does not know.
constexpr std::string_view op_name(std::uint16_t code) {
    for (const auto& [name, op] : kOpNames)
        if (static_cast<std::uint16_t>(op) == code) return name;
    return {};
}
"""


def header() -> str:
    """The text of the header."""
    structs = ("namespace instr {\n", *_enums(), *map(_struct, INSTRUCTIONS), "}  // namespace instr\n")
    return "\n".join((_HEAD, _ops(), _OP_NAME, _RECORD, *structs, _FIELD, _fields(), "}  // namespace undiced\n"))


def _ops() -> str:
    codes = [f"    {name_of(row)} = {code_of(row)},\n" for row in INSTRUCTIONS]
    names = [f'    {{"{name_of(row)}", Op::{name_of(row)}}},\n' for row in INSTRUCTIONS]
    table = f"inline constexpr std::array<std::pair<std::string_view, Op>, {len(names)}> kOpNames = {{{{\n"
    return f"enum class Op : std::uint16_t {{\n{''.join(codes)}}};\n\n{table}{''.join(names)}}}}};\n"


def _enums() -> Iterator[str]:
    for enum in (Partition, Activation, RopeStyle, Scoring):
        members = "".join(f"    {member.name} = {member.value},\n" for member in enum)
        known = " || ".join(f"value == {enum.__name__}::{member.name}" for member in enum)
        yield (
            f"enum class {enum.__name__} : std::int32_t {{\n{members}}};\n"
            f"constexpr bool known({enum.__name__} value) {{ return {known}; }}\n"
        )


def _struct(row: type[Instr]) -> str:
    flags, words = flags_of(row), words_of(row)
    lines = [
        f"static constexpr Op kOp = Op::{name_of(row)};",
        f"static constexpr std::uint16_t kFlags = {(1 << len(flags)) - 1};  // that it takes",
        "std::uint16_t op, flags;",
        *(f"{_type(field)} {field.name};" for field in words),
        *(f"bool {name}() const {{ return (flags & {1 << bit}) != 0; }}" for bit, name in enumerate(flags)),
    ]
    doc = "".join(f"// {line.strip()}\n" for line in (row.__doc__ or "").splitlines())
    body = "".join(f"    {line}\n" for line in lines)
    size = f"static_assert(sizeof({row.__name__}) == {4 + 4 * len(words)});"
    return f"{doc}struct {row.__name__} {{\n{body}}};\n{size}\n"


def _type(field: Field) -> str:
    if field.enum is not None:
        return field.enum.__name__
    return "float" if field.form == "float" else "std::int32_t"


def _fields() -> str:
    lines = [f"    {{Op::{name_of(row)}, {_place(row, field)}}},\n" for row in INSTRUCTIONS for field in fields_of(row)]
    return f"inline constexpr Field kFields[] = {{\n{''.join(lines)}}};\n"


def _place(row: type[Instr], field: Field) -> str:
    if field.form == "bool":
        return f"\"{field.name}\", 'b', {flags_of(row).index(field.name)}"
    return f"\"{field.name}\", '{field.form[0]}', offsetof(instr::{row.__name__}, {field.name})"


if __name__ == "__main__":
    print(header(), end="")
