"""Mistral: `[TOOL_CALLS]` and what follows it, which the tokenizer's version decides. All three are read.

[TOOL_CALLS][{"name": "f", "arguments": {"a": 1}, "id": "abcdefghi"}]      before version 11
[TOOL_CALLS]f[CALL_ID]abcdefghi[ARGS]{"a": 1}                              version 11
[TOOL_CALLS]f[ARGS]{"a": 1}[TOOL_CALLS]g[ARGS]{}                           from version 13 on
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.text.formats.calls import (
    arguments,
    attempt,
    call_object,
    choices,
    expect,
    lark,
    named_rules,
    schema_rule,
    word,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undiced.text.formats.calls import Tool, Tools
    from undiced.text.formats.dialect import Has, Spell
    from undiced.text.formats.tape import Step, Tape

TRIGGER = "[TOOL_CALLS]"
_ID, _ARGS = "[CALL_ID]", "[ARGS]"
BARE = ""
MARKS = (TRIGGER, _ID, _ARGS)


def fits(source: str, has: Has) -> bool:
    """See `dialect.Format`."""
    return TRIGGER in source


def read(tape: Tape, tools: Tools) -> Step[None]:
    """See `dialect.Format`."""
    while mark := (yield from tape.content(TRIGGER)):
        yield from attempt(tape, mark, _calls(tape), TRIGGER)


def _calls(tape: Tape) -> Step[None]:
    if (yield from tape.blank()) == "[":
        yield from _listed(tape)
        return
    name, _ = yield from word(tape, _ID, _ARGS, "{", leave=True)
    if (yield from tape.meets(_ID)):
        yield from word(tape, _ARGS, leave=True)
    yield from tape.meets(_ARGS)
    tape.call(name)
    yield from arguments(tape, tape.argue)
    tape.done()


def _listed(tape: Tape) -> Step[None]:
    tape.take(1)
    yield from call_object(tape)
    while not tape.ended and (yield from tape.blank()) == ",":
        tape.keep()
        tape.take(1)
        yield from call_object(tape)
    if not tape.ended:
        tape.keep()
        yield from expect(tape, "]")


def grammar(tools: Sequence[Tool], spell: Spell, *, many: bool) -> str:
    """See `dialect.Format`."""
    lines: list[str] = []
    if spell(_ARGS) == lark(_ARGS):
        lines.append('tail: "[" one (", " one)* "]"' if many else 'tail: "[" one "]"')
        lines.append(f'one: ({choices(tools)}) id? "}}"')
        lines.append('id: /, "id": "[A-Za-z0-9]{9}"/')
        return "\n".join(lines + [line for at, tool in enumerate(tools) for line in named_rules(at, tool, "arguments")])
    lines.append(f"tail: one ({spell(TRIGGER)} one)*" if many else "tail: one")
    lines.append(f"one: {choices(tools)}")
    id_ = f"{spell(_ID)} /[A-Za-z0-9]{{9}}/ " if spell(_ID) != lark(_ID) else ""
    for at, tool in enumerate(tools):
        lines += [f"f{at}: {lark(tool.name)} {id_}{spell(_ARGS)} a{at}", f"a{at}: {schema_rule(tool)}"]
    return "\n".join(lines)
