"""Qwen 3 Coder, Qwen 3.5 and later: a tag for the function and one for each parameter, whose value is plain text.

<tool_call>
<function=f>
<parameter=a>
1
</parameter>
</function>
</tool_call>
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from undiced.text.formats.calls import attempt, choices, kinds, lark, rooted, typed, word
from undiced.text.formats.tape import NotACallError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undiced.text.formats.calls import Tool, Tools
    from undiced.text.formats.dialect import Has, Spell
    from undiced.text.formats.tape import Put, Step, Tape

TRIGGER, _END = "<tool_call>", "</tool_call>"
_FUNCTION, _FUNCTION_END = "<function=", "</function>"
_PARAMETER, _PARAMETER_END = "<parameter=", "</parameter>"
BARE = ""
MARKS = (TRIGGER, _END, _FUNCTION, _FUNCTION_END, _PARAMETER, _PARAMETER_END)


def fits(source: str, has: Has) -> bool:
    """See `dialect.Format`."""
    return TRIGGER in source and _FUNCTION in source and _PARAMETER in source


def read(tape: Tape, tools: Tools) -> Step[None]:
    """See `dialect.Format`. A model may leave the outer pair out."""
    while mark := (yield from tape.content(TRIGGER, _FUNCTION)):
        yield from attempt(tape, mark, _call(tape, tools, mark), _FUNCTION_END, _END)


def _call(tape: Tape, tools: Tools, mark: str) -> Step[None]:
    if mark == TRIGGER:
        yield from tape.blank()
        if not (yield from tape.meets(_FUNCTION)):
            raise NotACallError
    name, _ = yield from word(tape, ">")
    tape.call(name)
    yield from _parameters(tape, tools[name].schema if name in tools else {})
    tape.done()
    if mark == TRIGGER and not tape.ended:
        yield from tape.blank()
        yield from tape.meets(_END)


def _parameters(tape: Tape, schema: Mapping[str, object]) -> Step[None]:
    """The arguments. What stands between parameters is content."""
    properties = schema.get("properties")
    before = "{"
    while (mark := (yield from tape.until(tape.talk, _PARAMETER, _FUNCTION_END, _END))) == _PARAMETER:
        name, _ = yield from word(tape, ">")
        types = kinds(properties.get(name)) if isinstance(properties, Mapping) else frozenset()
        tape.argue(f"{before}{json.dumps(name, ensure_ascii=False)}: ")
        yield from (_text if types == {"string"} else _value)(tape, types)
        before = ", "
    if mark:
        tape.argue("{}" if before == "{" else "}")


def _text(tape: Tape, types: frozenset[str]) -> Step[None]:
    """A string, told as it comes; a line end behind the opening tag and one before the closing tag are not its own."""
    begun, line = False, ""

    def put(text: str) -> None:
        nonlocal begun, line
        text = text if begun else text.removeprefix("\n")
        begun = True
        text, line = (line + text).removesuffix("\n"), "\n" if (line + text).endswith("\n") else ""
        tape.argue(json.dumps(text, ensure_ascii=False)[1:-1])

    tape.argue('"')
    if (yield from _until_end(tape, put)):
        tape.argue('"')


def _value(tape: Tape, types: frozenset[str]) -> Step[None]:
    parts: list[str] = []
    ended = yield from _until_end(tape, parts.append)
    text = "".join(parts).removeprefix("\n")
    tape.argue(typed(text.removesuffix("\n"), types) if ended else text)


def _until_end(tape: Tape, put: Put) -> Step[str]:
    return (yield from tape.until(put, _PARAMETER_END))


def grammar(tools: Sequence[Tool], spell: Spell, *, many: bool) -> str:
    """See `dialect.Format`."""
    lines = [f"tail: one (/\\n?/ {spell(TRIGGER)} one)*" if many else "tail: one"]
    lines.append(f'one: "\\n" ({choices(tools)}) "</function>\\n" {spell(_END)}')
    for at, tool in enumerate(tools):
        lines += _function(at, tool)
    lines.append("line[lazy]: /(.|\\n)*?\\n<\\/parameter>\\n/")
    return "\n".join(lines)


def _function(at: int, tool: Tool) -> list[str]:
    """Rules for a call of one function: its required parameters in order, the others where they may stand."""
    properties = tool.schema.get("properties")
    required = tool.schema.get("required")
    named = properties if isinstance(properties, Mapping) else {}
    needed = required if isinstance(required, list) else []
    rules, parts = [], []
    for number, (name, schema) in enumerate(named.items()):
        rule = f"p{at}x{number}"
        head = lark(f"<parameter={name}>\n")
        if kinds(schema) == {"string"} and not _bounded(schema):
            rules.append(f"{rule}: {head} line")
        else:
            rules += [f'{rule}: {head} {rule}v "\\n</parameter>\\n"', f"{rule}v: {_value_rule(schema, tool.schema)}"]
        parts.append(rule if name in needed else f"{rule}?")
    head = lark(f"<function={tool.name}>\n")
    return [f"f{at}: {head} {' '.join(parts)}".rstrip(), *rules]


def _bounded(schema: object) -> bool:
    return isinstance(schema, Mapping) and any(name in schema for name in ("enum", "const"))


def _value_rule(schema: object, root: Mapping[str, object]) -> str:
    """A value other than a free text: one of its texts, or JSON."""
    if isinstance(schema, Mapping) and kinds(schema) == {"string"}:
        values = schema.get("enum", [schema.get("const")])
        return " | ".join(lark(str(value)) for value in values)
    return "%json " + json.dumps(rooted(schema, root), ensure_ascii=False)
