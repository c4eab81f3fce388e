"""Llama 3.2 and 4: a list of calls as Python spells them, alone or between `<|python_start|>` and `<|python_end|>`.

    [f(a=1), g(b="x")]

An answer to a person may begin with a bracket too: names of functions that the model was told of are calls alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from undiced.text.formats.calls import bare_or_marked, choices, expect, lark, python_call, rooted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undiced.text.formats.calls import Tool, Tools
    from undiced.text.formats.dialect import Has, Spell
    from undiced.text.formats.tape import Step, Tape

TRIGGER = ""
MARKS = (_START := "<|python_start|>", _END := "<|python_end|>")
BARE = "["


def fits(source: str, has: Has) -> bool:
    """See `dialect.Format`."""
    return has(_START) or "[func_name1(" in source or "func_name(params" in source


def read(tape: Tape, tools: Tools) -> Step[None]:
    """See `dialect.Format`."""
    yield from bare_or_marked(tape, tools, _START, _calls)


def _calls(tape: Tape, tools: Tools) -> Step[None]:
    yield from tape.blank()
    yield from tape.meets(_START)
    yield from expect(tape, "[")
    yield from python_call(tape, tools)
    while not tape.ended and (yield from tape.blank()) == ",":
        tape.keep()
        tape.take(1)
        yield from python_call(tape, tools)
    if not tape.ended:
        tape.keep()
        yield from expect(tape, "]")
        yield from tape.blank()
        yield from tape.meets(_END)


def grammar(tools: Sequence[Tool], spell: Spell, *, many: bool) -> str:
    """See `dialect.Format`. Arguments are JSON values, which are Python's too but for three words."""
    lines = ['tail: "[" one ("," /[ ]?/ one)* "]"' if many else 'tail: "[" one "]"', f"one: {choices(tools)}"]
    for at, tool in enumerate(tools):
        lines += _function(at, tool)
    return "\n".join(lines)


def _function(at: int, tool: Tool) -> list[str]:
    """Rules for a call of one function: its required parameters, then any of the others in their order."""
    properties, required = tool.schema.get("properties"), tool.schema.get("required")
    named = properties if isinstance(properties, Mapping) else {}
    needed = [name for name in named if isinstance(required, list) and name in required]
    names = [*needed, *(name for name in named if name not in needed)]
    rules = [f'f{at}: {lark(tool.name + "(")} {f"r{at}x0" if needed else f"r{at}x0?" if names else ""} ")"']
    for number, name in enumerate(names):
        schema = json.dumps(rooted(named[name], tool.schema), ensure_ascii=False)
        rules += [f"p{at}x{number}: {lark(name + '=')} v{at}x{number}", f"v{at}x{number}: %json {schema}"]
        later = f"r{at}x{number + 1}" if number + 1 < len(names) else ""
        more = f'("," /[ ]?/ {later})' if later else ""
        this = f"p{at}x{number} {more}" if number + 1 < len(needed) else f"p{at}x{number} {more and more + '?'}"
        rules.append(f"r{at}x{number}: {this}{f' | {later}' if later and name not in needed else ''}".rstrip())
    return rules
