"""Notation: JSON schemas as rules for values in Gemma's notation. Holds types, members in their order, required ones,
lists and their lengths, lengths of texts, constants and references; patterns and formats of texts are not held.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from undiced.text.formats.calls import lark

if TYPE_CHECKING:
    from undiced.text.formats.calls import Tool

_PLAIN = ("integer", "number", "boolean", "null")
_ANY: Mapping[str, object] = {"type": ["string", "number", "boolean", "null", "object", "array"]}
_CHOICES = ("anyOf", "oneOf")
_NOTHING = '""'


class Notation:
    """Collects rules.

    Args:
        quote: as grammars spell it.

    Attributes:
        rules: so far, in llguidance's Lark.
    """

    def __init__(self, quote: str) -> None:
        self.rules: list[str] = []
        self._quote = quote
        self._known: dict[tuple[int, str], str] = {}  # rules of references, by their tool
        self._root: Mapping[str, object] = {}
        self._tool = 0

    def call(self, at: int, tool: Tool) -> str:
        """The rule of a call of a tool."""
        self._root, self._tool = tool.schema, at
        arguments = self._value({"type": "object", **tool.schema})
        return self._rule(f"{lark(tool.name)} {arguments}", f"f{at}")

    def _rule(self, body: str, name: str = "") -> str:
        name = name or f"v{len(self.rules)}"
        self.rules.append(f"{name}: {body}")
        return name

    def _value(self, schema: object) -> str:
        """What a schema's values are written by: the name of a rule, or a rule's part."""
        if not isinstance(schema, Mapping):
            return self._any()
        if isinstance(target := schema.get("$ref"), str):
            return self._reference(target)
        if "const" in schema or isinstance(schema.get("enum"), list):
            values = schema.get("enum", [schema.get("const")])
            return "(" + " | ".join(map(self._constant, values)) + ")"
        for name in _CHOICES:
            if isinstance(ways := schema.get(name), list):
                return self._rule(" | ".join(map(self._value, ways)))
        said = schema.get("type")
        types = [said] if isinstance(said, str) else said if isinstance(said, list) and said else None
        if types is None:
            return self._value({**schema, "type": "object"}) if "properties" in schema else self._any()
        return self._rule(" | ".join(self._typed(str(one), schema) for one in types))

    def _any(self) -> str:
        if (found := self._known.get((-1, ""))) is None:
            found = self._known[-1, ""] = "anything"
            self._rule(" | ".join(self._typed(str(one), {}) for one in _ANY["type"]), found)  # type: ignore[attr-defined]
        return found

    def _reference(self, target: str) -> str:
        key = (self._tool, target)
        if key not in self._known:
            node: object = self._root
            for part in target.removeprefix("#").strip("/").split("/") if target != "#" else ():
                name = part.replace("~1", "/").replace("~0", "~")
                node = node.get(name) if isinstance(node, Mapping) else None
            self._known[key] = f"r{len(self._known)}"
            self._rule(self._value(node), self._known[key])
        return self._known[key]

    def _typed(self, kind: str, schema: Mapping[str, object]) -> str:
        if kind == "object":
            return self._object(schema)
        if kind == "array":
            return self._array(schema)
        if kind in _PLAIN:
            bounds = {name: value for name, value in schema.items() if name.endswith("imum") or name == "multipleOf"}
            return self._rule("%json " + json.dumps({"type": kind, **bounds}))
        least, most = schema.get("minLength", 0), schema.get("maxLength", "")
        count = "*" if not least and most == "" else f"{{{least},{most}}}"
        return f"{self._quote} /(.|\\n){count}/ {self._quote}"

    def _constant(self, value: object) -> str:
        if isinstance(value, str):
            return f"{self._quote} {lark(value)} {self._quote}" if value else f"{self._quote} {self._quote}"
        if isinstance(value, list):
            return " ".join(['"["', ' "," '.join(map(self._constant, value)), '"]"'])
        if isinstance(value, Mapping):
            return " ".join(
                ['"{"', ' "," '.join(f"{lark(f'{k}:')} {self._constant(v)}" for k, v in value.items()), '"}"']
            )
        return lark(json.dumps(value))

    def _array(self, schema: Mapping[str, object]) -> str:
        item = self._value(schema.get("items"))
        least, most = schema.get("minItems", 0), schema.get("maxItems")
        if most == 0:
            return '"[" "]"'
        more = f"{{{max(0, int(str(least)) - 1)},{'' if most is None else int(str(most)) - 1}}}"
        some = f'{item} ("," {item}){more}'
        return f'"[" {some} "]"' if least else f'"[" ({some})? "]"'

    def _object(self, schema: Mapping[str, object]) -> str:
        named = schema.get("properties")
        needed = schema.get("required")
        if not isinstance(named, Mapping) or not named:
            closed = schema.get("additionalProperties") is False or isinstance(named, Mapping)
            member = "" if closed else f'(KEY {self._any()} ("," KEY {self._any()})*)?'
            if member and not any(rule.startswith("KEY:") for rule in self.rules):
                self.rules.append('KEY: /[^\\s:,{}\\[\\]"<>|]+:/')
            return f'"{{" {member} "}}"'
        first, later = "", ""  # what may follow if no member was said, and if one was
        for name, value in reversed(list(named.items())):
            member = f"{lark(f'{name}:')} {self._value(value)}"
            must = isinstance(needed, list) and name in needed
            said = self._rule(f'"," {member} {later}' if must else f'("," {member})? {later}')
            first = self._rule(f"{member} {later}" if must else f"{member} {later} | {first or _NOTHING}")
            later = said
        return f'"{{" {first} "}}"'
