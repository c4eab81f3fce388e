"""Hermes 2 and 3, Qwen 2.5 and 3, and whoever learned from them: a JSON object in a pair of tags for each call.

<tool_call>
{"name": "f", "arguments": {"a": 1}}
</tool_call>
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from undiced.text.formats.calls import attempt, call_object, choices, named_rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undiced.text.formats.calls import Tool, Tools
    from undiced.text.formats.dialect import Has, Spell
    from undiced.text.formats.tape import Step, Tape

TRIGGER, _END = "<tool_call>", "</tool_call>"
BARE = ""
MARKS = (TRIGGER, _END)
# How templates show a call; others have the tag, too, but no object with a name in it.
_OBJECT = re.compile(r"""<tool_call>[^<]{0,99}["']name""")


def fits(source: str, has: Has) -> bool:
    """See `dialect.Format`."""
    return _OBJECT.search(source) is not None


def read(tape: Tape, tools: Tools) -> Step[None]:
    """See `dialect.Format`."""
    while mark := (yield from tape.content(TRIGGER)):
        yield from attempt(tape, mark, _pair(tape), _END)


def _pair(tape: Tape) -> Step[None]:
    yield from call_object(tape)
    while not tape.ended and (yield from tape.blank()) == "{":
        tape.keep()
        yield from call_object(tape)
    if not tape.ended:
        yield from tape.meets(_END)


def grammar(tools: Sequence[Tool], spell: Spell, *, many: bool) -> str:
    """See `dialect.Format`."""
    lines = [f"tail: one (/\\n?/ {spell(TRIGGER)} one)*" if many else "tail: one"]
    lines.append(f'one: "\\n" ({choices(tools)}) "}}\\n" {spell(_END)}')
    for at, tool in enumerate(tools):
        lines += named_rules(at, tool, "arguments")
    return "\n".join(lines)
