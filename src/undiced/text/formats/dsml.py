"""DeepSeek V3.2 and V4: calls in tags around a token; V4 calls the outermost pair `tool_calls`.

<|DSML|function_calls>          the bars are full-width ones
<|DSML|invoke name="f">
<|DSML|parameter name="a" string="true">text as it is</|DSML|parameter>
<|DSML|parameter name="b" string="false">[1, 2]</|DSML|parameter>
</|DSML|invoke>
</|DSML|function_calls>
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from undiced.text.formats.calls import MOST_NAME, attempt, choices, kinds, lark, rooted, typed
from undiced.text.formats.tape import NotACallError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undiced.text.formats.calls import Tool, Tools
    from undiced.text.formats.dialect import Has, Spell
    from undiced.text.formats.tape import Step, Tape

_TOKEN = "\uff5cDSML\uff5c"
TRIGGER, _CLOSE = f"<{_TOKEN}", f"</{_TOKEN}"
BARE = ""
MARKS = (_TOKEN,)
_NAMES = ("function_calls", "tool_calls")
_BLOCKS = tuple(f"{TRIGGER}{name}>" for name in _NAMES)
_BLOCK_ENDS = tuple(f"{_CLOSE}{name}>" for name in _NAMES)
_INVOKE, _INVOKE_END = f'{TRIGGER}invoke name="', f"{_CLOSE}invoke>"
_PARAMETER, _PARAMETER_END = f'{TRIGGER}parameter name="', f"{_CLOSE}parameter>"


def fits(source: str, has: Has) -> bool:
    """See `dialect.Format`."""
    return _TOKEN in source


def read(tape: Tape, tools: Tools) -> Step[None]:
    """See `dialect.Format`."""
    while mark := (yield from tape.content(*_BLOCKS)):
        yield from attempt(tape, mark, _calls(tape), *_BLOCK_ENDS)


def _calls(tape: Tape) -> Step[None]:
    yield from tape.blank()
    if not (yield from tape.meets(_INVOKE)):
        raise NotACallError
    while True:
        yield from _call(tape)
        if tape.ended:
            return
        tape.keep()
        yield from tape.blank()
        if (yield from tape.meets(_INVOKE, *_BLOCK_ENDS)) != _INVOKE:
            return


def _call(tape: Tape) -> Step[None]:
    tape.call((yield from _quoted(tape, ">")))
    before = "{"
    while (mark := (yield from tape.until(tape.talk, _PARAMETER, _INVOKE_END, *_BLOCK_ENDS))) == _PARAMETER:
        name = yield from _quoted(tape, "")
        tape.argue(f"{before}{json.dumps(name, ensure_ascii=False)}: ")
        before = ", "
        yield from _value(tape)
    if mark:
        tape.argue("{}" if before == "{" else "}")
    tape.done()


def _quoted(tape: Tape, end: str) -> Step[str]:
    """A name up to its quote, and to this sign behind it. Raises NotACallError where there is none."""
    parts: list[str] = []

    def put(text: str) -> None:
        parts.append(text)
        if len("".join(parts)) > MOST_NAME:
            raise NotACallError

    mark = yield from tape.until(put, f'"{end}')
    if not mark or not parts:
        raise NotACallError
    return "".join(parts)


def _value(tape: Tape) -> Step[None]:
    """A parameter's value: a text, told as it comes, or JSON."""
    yield from tape.blank()
    if (yield from tape.meets('string="true">')):
        tape.argue('"')
        if (yield from tape.until(lambda text: tape.argue(json.dumps(text, ensure_ascii=False)[1:-1]), _PARAMETER_END)):
            tape.argue('"')
        return
    parts: list[str] = []
    if not (yield from tape.meets('string="false">')):
        yield from tape.until(lambda text: None, ">")
    ended = yield from tape.until(parts.append, _PARAMETER_END)
    text = "".join(parts)
    tape.argue(typed(text, frozenset()) if ended else text)


def grammar(tools: Sequence[Tool], spell: Spell, *, many: bool) -> str:
    """See `dialect.Format`."""
    names, close = " | ".join(map(lark, _NAMES)), spell(_CLOSE)
    calls = f"one ({lark(chr(10))} one)*" if many else "one"
    lines = [f'tail: ({names}) ">\\n" {calls} "\\n" {close} ({names}) ">"']
    lines.append(f'one: {spell(TRIGGER)} "invoke name=\\"" ({choices(tools)}) {close} "invoke>"')
    for at, tool in enumerate(tools):
        lines += _function(at, tool, spell)
    if spell(_TOKEN) == lark(_TOKEN):
        lines.append(f"said[lazy]: /(.|\\n)*?<\\/{_TOKEN}parameter>\\n/")
    else:
        lines += [f'said: SAID {spell(_TOKEN)} "parameter>\\n"', "SAID: /(.|\\n)*<\\//"]
    return "\n".join(lines)


def _function(at: int, tool: Tool, spell: Spell) -> list[str]:
    """Rules for a call of one function: its required parameters in order, the others where they may stand."""
    properties = tool.schema.get("properties")
    required = tool.schema.get("required")
    needed = required if isinstance(required, list) else []
    rules, parts = [], []
    end = f'{spell(_CLOSE)} "parameter>\\n"'
    for number, (name, schema) in enumerate(properties.items() if isinstance(properties, Mapping) else ()):
        rule, text = f"p{at}x{number}", kinds(schema) == {"string"}
        head = f'{spell(TRIGGER)} {lark(f"""parameter name="{name}" string="{str(text).lower()}">""")}'
        fixed = [schema[key] for key in ("const",) if key in schema] or schema.get("enum") if text else None
        if fixed:
            rules.append(f"{rule}: {head} ({' | '.join(lark(str(one)) for one in fixed)}) {end}")
        elif text:
            rules.append(f"{rule}: {head} said")
        else:
            value = "%json " + json.dumps(rooted(schema, tool.schema), ensure_ascii=False)
            rules += [f"{rule}: {head} {rule}v {end}", f"{rule}v: {value}"]
        parts.append(rule if name in needed else f"{rule}?")
    name_end = f'{tool.name}">\n'
    return [f"f{at}: {lark(name_end)} {' '.join(parts)}".rstrip(), *rules]
