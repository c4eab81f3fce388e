"""JSON schemas as they come from clients: bounded, their places walked, what the grammar can't hold found by its path.

Knows the keywords of drafts 4 to 2020-12; compiles nothing.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from undiced.core.errors import InvalidRequestError
from undiced.core.quote import quoted
from undiced.grammar.bounds import MAX_DEPTH, MAX_NODES, MAX_VALUES
from undiced.grammar.dates import PATTERNS

if TYPE_CHECKING:
    from collections.abc import Iterator

_ONE = frozenset({"additionalProperties", "items"})  # a schema, a truth value, or for items of old drafts a list
_LIST = frozenset({"anyOf", "allOf", "oneOf", "prefixItems"})
_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions"})
_KEPT = frozenset({
    "type", "required", "const", "enum", "$ref", "maxProperties", "minItems", "maxItems", "minLength",
    "maxLength", "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
})  # fmt: skip
_NOTES = frozenset({
    "title", "description", "default", "examples", "example", "deprecated", "readOnly", "writeOnly", "$schema", "$id",
    "id", "$comment", "$anchor", "$vocabulary",
})  # fmt: skip
_FORMATS = frozenset({
    "date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri", "unknown",
})  # fmt: skip
_CONTROL = re.compile(r"[\x00-\x07\x0b\x0e-\x1f\x7f]")
_LARGEST = 10**300
_STEPS = 4  # doubles between a bound and what is written for beyond it
_LEAST = 1e-15  # what is written for more than 0; the next double has 324 digits, which no grammar holds
_TYPES = frozenset({"string", "number", "integer", "boolean", "null", "object", "array"})


@dataclass(slots=True)
class Walk:
    """A walk over a schema.

    Attributes:
        strict: what can't be held is refused; else it is left out and told.
        place: where the schema stands in its request; begins every path.
        ignored: paths of what was left out.
        first: where each keyword stands for the first time, by its name.
    """

    strict: bool
    place: str
    ignored: list[str] = field(default_factory=list)
    first: dict[str, str] = field(default_factory=dict)
    _nodes: int = 0

    def root(self, node: object) -> dict[str, object]:
        """As `schema`; a truth value becomes an object, or is refused if nothing would do."""
        found = {} if node is True else self.schema(node)
        if not isinstance(found, dict):
            raise self._refused("", "accepts nothing")
        return found

    def schema(self, node: object, path: str = "", depth: int = 0) -> object:
        """The schema as the grammar takes it.

        Raises:
            InvalidRequestError: it is none, too large, too deep, or, if `strict`, says what a grammar can't hold.
        """
        self._count(path, depth)
        if isinstance(node, dict) and node.get("type") != "integer":
            node = _inclusive(node)
        if isinstance(node, bool):
            return node
        if not isinstance(node, dict):
            raise self._refused(path, "is no schema: an object is expected")
        out: dict[str, object] = {}
        for key, value in node.items():
            inner = f"{path}.{key[:64]}"
            self.first.setdefault(key, self.place + inner)
            if key in _NAMED:
                out[key] = self._named(value, inner, depth + 1)
            elif key in _LIST or (key == "items" and isinstance(value, list)):
                out[key] = self._several(value, inner, depth + 1)
            elif key in _ONE:
                out[key] = self.schema(value, inner, depth + 1)
            elif self._keeps(key, value, inner, depth):
                out[key] = value
        return _dated(out)

    def _named(self, value: object, path: str, depth: int) -> dict[str, object]:
        if not isinstance(value, dict):
            raise self._refused(path, "is no object of schemas")
        if any(_CONTROL.search(name) for name in value):
            raise self._refused(path, "has a control character in a name")
        return {name: self.schema(one, f"{path}.{name[:64]}", depth) for name, one in value.items()}

    def _several(self, value: object, path: str, depth: int) -> list[object]:
        if not isinstance(value, list) or (not value and not path.endswith("Items")):
            raise self._refused(path, "is no list of schemas")
        return [self.schema(one, f"{path}[{at}]", depth) for at, one in enumerate(value)]

    def _keeps(self, key: str, value: object, path: str, depth: int) -> bool:
        """Whether a keyword without schemas goes into the grammar."""
        if key in _NOTES or (key == "uniqueItems" and value is False):
            return False
        if key not in _KEPT or (key == "format" and not (isinstance(value, str) and value in _FORMATS)):
            what = f"the format {quoted(value)}" if key == "format" else f"the keyword '{key[:64]}'"
            if self.strict:
                raise self._refused(path, f"cannot be kept to: {what} is not supported")
            self.ignored.append(self.place + path)
            return False
        self._check(key, value, path, depth)
        return True

    def _check(self, key: str, value: object, path: str, depth: int) -> None:
        for inner_depth, inner in _values(value, depth):
            self._count(path, inner_depth)
            if isinstance(inner, str) and key != "pattern" and _CONTROL.search(inner):
                raise self._refused(path, "has a control character, which would have to be escaped by its number")
            if isinstance(inner, int) and not isinstance(inner, bool) and abs(inner) > _LARGEST:
                raise self._refused(path, "has a number that is too large")
        if key == "enum" and isinstance(value, list) and not 0 < len(value) <= MAX_VALUES:
            raise self._refused(path, f"has {len(value)} values; 1 to {MAX_VALUES} are possible")
        if key == "$ref" and not (isinstance(value, str) and value.startswith("#")):
            raise self._refused(path, "points out of the schema; references begin with '#'")
        if key == "type" and not _are_types(value):
            raise self._refused(path, f"is {quoted(value)}, which is no type")

    def _count(self, path: str, depth: int) -> None:
        self._nodes += 1
        if depth > MAX_DEPTH:
            raise self._refused(path[:200], f"is nested more than {MAX_DEPTH} deep")
        if self._nodes > MAX_NODES:
            raise self._refused("", f"has more than {MAX_NODES} values")

    def _refused(self, path: str, why: str) -> InvalidRequestError:
        param = self.place + path
        return InvalidRequestError(f"{param} {why}.", param=param, remedy="Change or drop it.")


def has(node: object, keyword: str) -> bool:
    """Whether some schema in a walked one has a keyword."""
    return any(isinstance(value, dict) and keyword in value for _, value in _values(node, 0))


def _inclusive(node: dict[str, object]) -> dict[str, object]:
    """The schema with bounds that a number may reach: the library lets 200.0 pass as more than 200. It reads numbers to
    the last bit but one, so that a bound moves by a few.
    """
    moved = dict(node)
    for name, other, way in (("exclusiveMinimum", "minimum", math.inf), ("exclusiveMaximum", "maximum", -math.inf)):
        bound, old = moved.get(name), moved.get(other)
        if isinstance(bound, bool) or not isinstance(bound, int | float) or abs(bound) > _LARGEST:
            continue  # of an old draft, or refused elsewhere
        nearest: float = bound + math.copysign(_STEPS * math.ulp(bound) if bound else _LEAST, way)
        tighter = max if way > 0 else min
        moved[other] = tighter(nearest, old) if isinstance(old, int | float) else nearest
        del moved[name]
    return moved


def _dated(node: dict[str, object]) -> dict[str, object]:
    """The schema with its dates and times as patterns."""
    form = node.get("format")
    if not isinstance(form, str) or form not in PATTERNS:
        return node
    rest = {key: value for key, value in node.items() if key != "format"}
    if "pattern" not in rest:
        return {**rest, "pattern": PATTERNS[form]}
    also = rest.get("allOf", [])
    return {**rest, "allOf": [*(also if isinstance(also, list) else ()), {"pattern": PATTERNS[form]}]}


def _are_types(value: object) -> bool:
    several = value if isinstance(value, list) else [value]
    return bool(several) and all(isinstance(one, str) and one in _TYPES for one in several)


def _values(value: object, depth: int) -> Iterator[tuple[int, object]]:
    """A value and all in it, each with its depth; without recursion, for its depth is not bounded yet."""
    open_ = [(depth, value)]
    while open_:
        depth, value = open_.pop()
        yield depth, value
        if isinstance(value, (dict, list)):
            open_ += [(depth + 1, one) for one in (value.values() if isinstance(value, dict) else value)]
