"""Harmony, as gpt-oss writes it: every message names its channel, and a call's message the function that it goes to.

    <|channel|>analysis<|message|>Let me see.<|end|><|start|>assistant<|channel|>commentary to=functions.f
     <|constrain|>json<|message|>{"a": 1}<|call|>
    <|start|>assistant<|channel|>final<|message|>It is 1.<|return|>

`to=` may stand before the channel and `<|constrain|>` may miss. Commentary that goes to nobody is for the user.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from undiced.text.formats.calls import choices, lark, schema_rule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undiced.text.formats.calls import Tool, Tools
    from undiced.text.formats.dialect import Has, Spell
    from undiced.text.formats.tape import Step, Tape

_START, _CHANNEL, MESSAGE, _CONSTRAIN = "<|start|>", "<|channel|>", "<|message|>", "<|constrain|>"
_ENDS = ("<|end|>", "<|call|>", "<|return|>")
TRIGGER = _CHANNEL
BARE = ""
MARKS = (_START, _CHANNEL, MESSAGE, _CONSTRAIN, *_ENDS)
# How a thought begins and ends, what follows it, and what then comes before a content.
THOUGHT = (f"{_CHANNEL}analysis{MESSAGE}", "<|end|>", f"{_START}assistant", f"{_CHANNEL}final{MESSAGE}")
_TO = re.compile(r"\bto=([\w.:-]+)")
_OURS = "functions."


def fits(source: str, has: Has) -> bool:
    """See `dialect.Format`."""
    return _CHANNEL in source and MESSAGE in source and has(_CHANNEL)


def read(tape: Tape, tools: Tools) -> Step[None]:
    """See `dialect.Format`."""
    apart = {True: "", False: ""}
    while True:
        mark = yield from tape.until(tape.talk, _START, _CHANNEL, MESSAGE, *_ENDS)
        if not mark:
            tape.close()
            return
        if mark in _ENDS:
            continue
        head = yield from _head(tape, mark)
        if head is None:
            return
        name, thinks = _read_head(head, tools)
        if name:
            yield from _call(tape, name)
        else:
            tape.turn(thinking=thinks, apart=apart[thinks])
            apart[thinks] = "\n\n"
            yield from tape.until(tape.reason if thinks else tape.talk, _START, *_ENDS)
            if thinks:
                tape.rest()
        if tape.ended:
            return


def _head(tape: Tape, mark: str) -> Step[str | None]:
    """What stands before a message; None if the answer ends there."""
    parts: list[str] = []
    while mark and mark != MESSAGE:
        mark = yield from tape.until(parts.append, _CHANNEL, MESSAGE, _CONSTRAIN, _START, *_ENDS)
        parts.append(" ")
    return "".join(parts) if mark else None


def _read_head(head: str, tools: Tools) -> tuple[str, bool]:
    """The function that a message goes to, or nothing, and whether it is a thought. Without tools there is none."""
    to = _TO.search(head) if tools else None
    name = to[1] if to is not None else ""
    if name.startswith(_OURS):
        return name.removeprefix(_OURS), False
    return (name, False) if name in tools else ("", "analysis" in head.split())


def _call(tape: Tape, name: str) -> Step[None]:
    told = False

    def put(text: str) -> None:
        nonlocal told
        told = told or bool(text.strip())
        tape.argue(text)

    tape.call(name)
    if (yield from tape.until(put, _START, *_ENDS)) or tape.over:
        tape.argue("" if told else "{}")
    tape.done()


def preamble(spell: Spell) -> str:
    """The rule for what is said to the user before a call."""
    begun = f'{spell(_CHANNEL)} "commentary" {spell(MESSAGE)}'
    return f'preamble: {begun} /(.|\\n)*/ {spell(_ENDS[0])} {spell(_START)} "assistant"'


def grammar(tools: Sequence[Tool], spell: Spell, *, many: bool) -> str:
    """See `dialect.Format`. A call ends the answer, so there is one."""
    lines = [f"tail: {choices(tools)}"]
    for at, tool in enumerate(tools):
        head = lark(f"commentary to={_OURS}{tool.name} ")
        lines.append(f'f{at}: {head} {spell(_CONSTRAIN)} "json" {spell(MESSAGE)} a{at}')
        lines.append(f"a{at}: {schema_rule(tool)}")
    return "\n".join(lines)
