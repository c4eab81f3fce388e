"""Gemma 4: a call between two control tokens, in a notation of its own: bare keys, and a token for quotes.

    <|tool_call>call:f{city:<|"|>Paris<|"|>,days:2,more:{a:[true]}}<tool_call|>

Nothing is escaped: a text can't hold the quote.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from undiced.text.formats.calls import attempt, expect, typed, word
from undiced.text.formats.notation import Notation
from undiced.text.formats.tape import NotACallError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undiced.text.formats.calls import Tool, Tools
    from undiced.text.formats.dialect import Has, Spell
    from undiced.text.formats.tape import Put, Step, Tape

TRIGGER, _END = "<|tool_call>", "<tool_call|>"
_QUOTE = '<|"|>'
BARE = ""
MARKS = (TRIGGER, _END, _QUOTE)
_HEAD = "call:"
_MOST_NESTED = 64


def fits(source: str, has: Has) -> bool:
    """See `dialect.Format`."""
    return TRIGGER in source and _QUOTE in source


def read(tape: Tape, tools: Tools) -> Step[None]:
    """See `dialect.Format`."""
    while mark := (yield from tape.content(TRIGGER)):
        yield from attempt(tape, mark, _call(tape), _END)


def _call(tape: Tape) -> Step[None]:
    yield from tape.blank()
    if not (yield from tape.meets(_HEAD)):
        raise NotACallError
    name, _ = yield from word(tape, "{", leave=True)
    tape.call(name)
    yield from _object(tape, tape.argue, 0)
    tape.done()
    if not tape.ended:
        yield from tape.blank()
        yield from tape.meets(_END)


def _object(tape: Tape, put: Put, depth: int) -> Step[None]:
    yield from expect(tape, "{")
    put("{")
    before = ""
    while (yield from tape.blank()) != "}":
        put(f"{before}{json.dumps((yield from _key(tape)), ensure_ascii=False)}: ")
        before = ", "
        yield from _value(tape, put, depth + 1)
        if (yield from tape.blank()) == ",":
            tape.take(1)
        elif (yield from tape.peek()) != "}":
            raise NotACallError
    tape.take(1)
    put("}")


def _key(tape: Tape) -> Step[str]:
    if (yield from tape.meets(_QUOTE)):
        name, _ = yield from word(tape, _QUOTE)
        yield from expect(tape, ":")
    else:
        name, _ = yield from word(tape, ":")
    return name


def _list(tape: Tape, put: Put, depth: int) -> Step[None]:
    yield from expect(tape, "[")
    put("[")
    before = ""
    while (yield from tape.blank()) != "]":
        put(before)
        before = ", "
        yield from _value(tape, put, depth + 1)
        if (yield from tape.blank()) == ",":
            tape.take(1)
        elif (yield from tape.peek()) != "]":
            raise NotACallError
    tape.take(1)
    put("]")


def _value(tape: Tape, put: Put, depth: int) -> Step[None]:
    if depth > _MOST_NESTED:
        raise NotACallError
    first = yield from tape.blank()
    if first == "{":
        yield from _object(tape, put, depth)
    elif first == "[":
        yield from _list(tape, put, depth)
    elif first == '"':
        yield from tape.json(put)
    elif (yield from tape.meets(_QUOTE)):
        put('"')
        if (yield from tape.until(lambda text: put(json.dumps(text, ensure_ascii=False)[1:-1]), _QUOTE)):
            put('"')
    else:
        parts: list[str] = []
        mark = yield from tape.until(parts.append, ",", "}", "]", leave=True)
        text = "".join(parts)
        if not mark or not text.strip():
            put(text)
            raise NotACallError
        put(typed(text, frozenset()))


def grammar(tools: Sequence[Tool], spell: Spell, *, many: bool) -> str:
    """See `dialect.Format`."""
    notation = Notation(spell(_QUOTE))
    one = " | ".join(notation.call(at, tool) for at, tool in enumerate(tools))
    lines = [f"tail: one (/\\n?/ {spell(TRIGGER)} one)*" if many else "tail: one"]
    lines.append(f'one: "{_HEAD}" ({one}) {spell(_END)}')
    return "\n".join([*lines, *notation.rules])
