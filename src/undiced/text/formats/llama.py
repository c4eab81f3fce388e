"""Llama 3.1 and 3.3: an answer that is a JSON object is a call; `<|python_tag|>` may stand before it.

    {"name": "f", "parameters": {"a": 1}}

An answer to a person may be such an object too: names of functions that the model was told of are calls alone.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from undiced.text.formats.calls import ROOTED, bare_or_marked, call_object, choices, python_call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undiced.text.formats.calls import Tool, Tools
    from undiced.text.formats.dialect import Has, Spell
    from undiced.text.formats.tape import Step, Tape

TRIGGER = ""
MARKS = (_TAG := "<|python_tag|>",)
BARE = "{"  # with what an answer begins that is a call


def fits(source: str, has: Has) -> bool:
    """See `dialect.Format`."""
    return has(_TAG) and '"parameters"' in source and '"name"' in source


def read(tape: Tape, tools: Tools) -> Step[None]:
    """See `dialect.Format`."""
    yield from bare_or_marked(tape, tools, _TAG, _calls)


def _calls(tape: Tape, tools: Tools) -> Step[None]:
    yield from tape.blank()
    yield from tape.meets(_TAG)
    if (yield from tape.blank()) != BARE:
        yield from python_call(tape, tools)
        return
    yield from call_object(tape, tools)
    while not tape.ended and (yield from tape.blank()) in (";", ",", BARE):
        tape.keep()
        if (yield from tape.peek()) != BARE:
            tape.take(1)
        yield from tape.blank()
        yield from call_object(tape, tools)


def grammar(tools: Sequence[Tool], spell: Spell, *, many: bool) -> str:
    """See `dialect.Format`. These models make one call at a time. A call is one JSON value here, so that a document,
    which begins alike, may stand beside it.
    """
    rules = [f"f{at}: %json {json.dumps(_call_schema(tool), ensure_ascii=False)}" for at, tool in enumerate(tools)]
    return "\n".join([f"tail: {choices(tools)}", *rules])


def _call_schema(tool: Tool) -> dict[str, object]:
    """The schema of a call. What the parameters define, and how they are laid out, is said at its root."""
    parameters = dict(tool.schema) or {"type": "object"}
    outer = {name: parameters.pop(name) for name in ROOTED if name in parameters}
    return {
        "type": "object",
        "properties": {"name": {"const": tool.name}, "parameters": parameters},
        "required": ["name", "parameters"],
        "additionalProperties": False,
        **outer,
    }
