"""DeepSeek V3, R1 and V3.1: calls between control tokens; the older ones name a type and fence the arguments.

<|calls|><|call|>function<|sep|>f          V3 and R1; the marks are spelled in other characters than here
```json
{"a": 1}
```<|call end|><|calls end|>
<|calls|><|call|>f<|sep|>{"a": 1}<|call end|><|calls end|>          V3.1
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undiced.text.formats.calls import arguments, attempt, choices, lark, schema_rule, word
from undiced.text.formats.tape import NotACallError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undiced.text.formats.calls import Tool, Tools
    from undiced.text.formats.dialect import Has, Spell
    from undiced.text.formats.tape import Step, Tape

TRIGGER, _END = "<\uff5ctool\u2581calls\u2581begin\uff5c>", "<\uff5ctool\u2581calls\u2581end\uff5c>"
_CALL, _CALL_END = "<\uff5ctool\u2581call\u2581begin\uff5c>", "<\uff5ctool\u2581call\u2581end\uff5c>"
_SEP = "<\uff5ctool\u2581sep\uff5c>"
BARE = ""
MARKS = (TRIGGER, _END, _CALL, _CALL_END, _SEP)
_TYPE = "function"  # which older ones name before a call


def fits(source: str, has: Has) -> bool:
    """See `dialect.Format`."""
    return TRIGGER in source and _SEP in source


def read(tape: Tape, tools: Tools) -> Step[None]:
    """See `dialect.Format`. A model may leave the outer pair out."""
    while mark := (yield from tape.content(TRIGGER, _CALL)):
        yield from attempt(tape, mark, _calls(tape, mark), _CALL_END, _END)


def _calls(tape: Tape, mark: str) -> Step[None]:
    if mark == TRIGGER:
        yield from _another(tape)
    while True:
        yield from _call(tape)
        if tape.ended or (yield from _after(tape)) != _CALL:
            return


def _another(tape: Tape) -> Step[None]:
    yield from tape.blank()
    if not (yield from tape.meets(_CALL)):
        raise NotACallError


def _after(tape: Tape) -> Step[str]:
    """What follows a call: another one, or the end of all."""
    tape.keep()
    yield from tape.blank()
    return (yield from tape.meets(_CALL, _END))


def _call(tape: Tape) -> Step[None]:
    name, _ = yield from word(tape, _SEP)
    if name == _TYPE:
        name, _ = yield from word(tape, "\n")
        yield from tape.until(lambda text: None, "{", _CALL_END, leave=True)
    tape.call(name)
    yield from arguments(tape, tape.argue)
    tape.done()
    for mark in ("```", _CALL_END):
        yield from tape.blank()
        yield from tape.meets(mark)


def grammar(tools: Sequence[Tool], spell: Spell, *, many: bool) -> str:
    """See `dialect.Format`."""
    one = "one (/\\n?/ one)*" if many else "one"
    lines = [f"tail: {one} {spell(_END)}"]
    lines.append(f"one: {spell(_CALL)} ({choices(tools)}) {spell(_CALL_END)}")
    for at, tool in enumerate(tools):
        lines += [f"f{at}: {lark(tool.name)} {spell(_SEP)} a{at}", f"a{at}: {schema_rule(tool)}"]
    return "\n".join(lines)
