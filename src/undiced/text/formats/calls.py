"""Calls: what the formats have in common: calls as JSON objects, arguments in Python's spelling or as text, attempts
that may turn out to be no call. Knows no marks.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from undiced.text.formats.tape import NotACallError

if TYPE_CHECKING:
    from undiced.text.formats.tape import Put, Step, Tape

ROOTED = ("$defs", "definitions", "x-guidance")  # what stands at the root of a schema
ARGUMENTS = ("arguments", "parameters")
MOST_NAME = 256  # characters; what is longer is no function's name
_NAME = re.compile(r"[A-Za-z_][\w.:-]*")
_WORDS = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that a model may call.

    Attributes:
        schema: of its arguments, a JSON schema.
        strict: the arguments shall fit it, whatever the model would write.
    """

    name: str
    description: str = ""
    schema: Mapping[str, object] = field(default_factory=dict)
    strict: bool = False


Tools = Mapping[str, Tool]


def bare_or_marked(tape: Tape, tools: Tools, mark: str, calls: Callable[[Tape, Tools], Step[None]]) -> Step[None]:
    """Read an answer that may be calls from its beginning on, and may have more behind a mark."""
    yield from tape.opening()
    yield from attempt(tape, "", calls(tape, tools))
    while found := (yield from tape.content(mark)):
        yield from attempt(tape, found, calls(tape, tools))


def attempt(tape: Tape, mark: str, reading: Step[None], *ends: str) -> Step[None]:
    """Read a call behind its mark. What turns out to be none is content; what comes after a call's arguments broke off
    is theirs, up to one of these marks.
    """
    tape.keep(mark)
    try:
        yield from reading
    except NotACallError:
        if tape.calling:
            tape.break_off()
            yield from tape.until(tape.argue, *ends)
            tape.done()
        else:
            tape.give_back()
    tape.forget()


def call_object(tape: Tape, known: Collection[str] | None = None) -> Step[None]:
    """Read {"name": ..., "arguments": {...}} in any order. known: the names that are calls; None: all.

    Raises NotACallError.
    """
    name, kept, begun = "", "", False
    yield from expect(tape, "{")
    while True:
        key = yield from string(tape)
        yield from expect(tape, ":")
        if key == "name":
            name = yield from string(tape)
            if not name or (known is not None and name not in known):
                raise NotACallError
        elif key in ARGUMENTS and name and not begun:
            tape.call(name)
            begun = True
            yield from arguments(tape, tape.argue)
        else:
            parts: list[str] = []
            yield from (arguments if key in ARGUMENTS else _any)(tape, parts.append)
            kept = "".join(parts) if key in ARGUMENTS else kept
        if (yield from tape.blank()) != ",":
            break
        tape.take(1)
    yield from expect(tape, "}")
    if not name:
        raise NotACallError
    if not begun:
        tape.call(name)
        tape.argue(kept or "{}")
    tape.done()


def arguments(tape: Tape, put: Put) -> Step[None]:
    """A call's arguments as JSON: an object, or a text that holds one; nothing is an empty object."""
    first = yield from tape.blank()
    if first == '"':
        put((yield from string(tape)) or "{}")
    elif first == "n":
        yield from tape.json(lambda text: None)
        put("{}")
    else:
        yield from tape.json(put)


def _any(tape: Tape, put: Put) -> Step[None]:
    yield from tape.json(put)


def string(tape: Tape) -> Step[str]:
    """A JSON string's text. Raises NotACallError for anything else."""
    if (yield from tape.blank()) != '"':
        raise NotACallError
    parts: list[str] = []
    yield from tape.json(parts.append)
    return _sound(json.loads("".join(parts)))


def _sound(text: str) -> str:
    """Without lone surrogates, which escapes can spell but no text has."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def expect(tape: Tape, char: str) -> Step[None]:
    """Take a character, behind blanks. Raises NotACallError for another one."""
    if (yield from tape.blank()) != char:
        raise NotACallError
    tape.take(1)


def word(tape: Tape, *marks: str, leave: bool = False) -> Step[tuple[str, str]]:
    """A name up to one of these marks, and the mark. Raises NotACallError where there is none."""
    parts: list[str] = []

    def put(text: str) -> None:
        parts.append(text)
        if len("".join(parts)) > MOST_NAME or "\n" in "".join(parts).strip():
            raise NotACallError

    mark = yield from tape.until(put, *marks, leave=leave)
    name = "".join(parts).strip()
    if not mark or not name:
        raise NotACallError
    return name, mark


def python_call(tape: Tape, known: Collection[str]) -> Step[None]:
    """Read `name(key=value, ...)` as Python spells it; told when it is complete. Raises NotACallError."""
    yield from tape.blank()
    name = ""
    while (char := (yield from tape.peek())) and _NAME.fullmatch(name + char):
        name += tape.take(1)
    name = name if name in known else name.removesuffix(".call")
    if char != "(" or name not in known:
        raise NotACallError
    found = python_arguments((yield from _bracketed(tape)))
    if found is None:
        raise NotACallError
    tape.call(name)
    tape.argue(found)
    tape.done()


def _bracketed(tape: Tape) -> Step[str]:
    """What stands between brackets, strings and brackets inside them skipped."""
    taken, depth, quote, escaped = "", 0, "", False
    while char := (yield from tape.peek()):
        taken += tape.take(1)
        if quote:
            quote = "" if char == quote and not escaped else quote
            escaped = char == "\\" and not escaped
        elif char in "'\"":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
            if not depth:
                return taken[1:-1]
    raise NotACallError


def python_arguments(text: str) -> str | None:
    """Keyword arguments in Python's spelling as a JSON object; None for anything else."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in strings that Python doesn't know
            tree = ast.parse(f"f({text})", mode="eval").body
        if not isinstance(tree, ast.Call) or tree.args:
            return None
        found = {one.arg: _literal(one.value) for one in tree.keywords if one.arg}
        return (
            None if len(found) < len(tree.keywords) else _sound(json.dumps(found, ensure_ascii=False, allow_nan=False))
        )
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None


def _literal(node: ast.expr) -> object:
    if isinstance(node, ast.Name) and node.id in _WORDS:
        return _WORDS[node.id]
    if isinstance(node, ast.List):
        return [_literal(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        return {
            str(ast.literal_eval(key or node)): _literal(item) for key, item in zip(node.keys, node.values, strict=True)
        }
    found: object = ast.literal_eval(node)
    return found


def kinds(schema: object) -> frozenset[str]:
    """JSON types that a schema names; empty where it leaves them open."""
    if not isinstance(schema, Mapping):
        return frozenset()
    said = schema.get("type")
    found = {said} if isinstance(said, str) else set(map(str, said)) if isinstance(said, Sequence) else set()
    for name in ("anyOf", "oneOf", "allOf"):
        options = schema.get(name)
        for one in options if isinstance(options, list) else ():
            found |= kinds(one)
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if not found and isinstance(values, list) and values:
        found = {"string"} if all(isinstance(value, str) for value in values) else {"other"}
    return frozenset(found)


def typed(text: str, types: frozenset[str]) -> str:
    """A value that was written as text, as JSON of one of these types where it can be; else a string."""
    plain = text.strip()
    if "string" in types and not (plain in ("null", "None") and "null" in types):
        return json.dumps(text, ensure_ascii=False)
    if plain in ("True", "False", "None"):
        return {"True": "true", "False": "false", "None": "null"}[plain]
    try:
        value = json.loads(plain, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        found = python_arguments(f"v={plain}") if plain[:1] in ("{", "[") else None
        return json.dumps(text if found is None else json.loads(found)["v"], ensure_ascii=False)
    return plain if types or not isinstance(value, str) else json.dumps(text, ensure_ascii=False)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def json_object(text: str) -> object:
    """The object that a JSON text spells, an empty one for an empty text; any other text stays as it is."""
    try:
        value = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict) else text


def lark(text: str) -> str:
    """A text in a grammar."""
    return json.dumps(text, ensure_ascii=False)


def choices(tools: Sequence[Tool]) -> str:
    """The rules of all tools, any of which may come: f0, f1 and so on."""
    return " | ".join(f"f{at}" for at in range(len(tools)))


def named_rules(at: int, tool: Tool, arguments: str) -> list[str]:
    """Rules for a call as an object, without its closing bracket. arguments: what that member is called."""
    head = f'{{"name": {lark(tool.name)}, "{arguments}": '
    return [f"f{at}: {lark(head)} a{at}", f"a{at}: {schema_rule(tool)}"]


def rooted(schema: object, root: Mapping[str, object]) -> dict[str, object]:
    """A part of a schema as one that stands alone: with what the whole defines and how it is laid out."""
    part = dict(schema) if isinstance(schema, Mapping) else {}
    return part | {name: root[name] for name in ROOTED if name in root}


def schema_rule(tool: Tool) -> str:
    """The right side of a rule for a tool's arguments: by its schema, or any object."""
    return "%json " + json.dumps(dict(tool.schema) or {"type": "object"}, ensure_ascii=False)
