"""What may stand in a request body, and what becomes of it: served, harmless, or refused by name. Rules only; the names
are in `field_table`.

A member that the table does not know is skipped and reported, so that nothing is lost in silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, Flag, auto
from typing import TYPE_CHECKING

import msgspec

from undiced.api.errors import NotServedError
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_MEMBERS = 50_000  # in all objects of a request; reading their names takes some 30 ms
ANY = "*"  # a line of that name: an object whose members have names of the client's making
_NEUTRAL_BYTES = 64  # no neutral value is longer
_SHORT = 64 << 10  # bytes; a text of that length can't hold many members
_PLAIN = msgspec.json.Decoder(dict[str, msgspec.Raw])
_PLAIN_LIST = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


class Where(Flag):
    """An endpoint that generates text."""

    CHAT = auto()
    TEXT = auto()
    BOTH = CHAT | TEXT


PATHS = {Where.CHAT: "/v1/chat/completions", Where.TEXT: "/v1/completions"}


class Fate(Enum):
    """What becomes of a member. A HARMLESS one changes nothing about an answer; a REFUSED one would."""

    SERVED = "served"
    HARMLESS = "harmless"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Field:
    """One member of an object in a request.

    Attributes:
        where: the endpoints this line is about; a served member is refused at the other one.
        note: what it does, why it is harmless, or what it would change.
        origin: whose API has it.
        neutral: values, besides null, that change nothing where the member is not served.
        remedy: what to do instead.
    """

    name: str
    fate: Fate
    note: str
    origin: str
    where: Where = Where.BOTH
    neutral: tuple[Json, ...] = ()
    remedy: str = "Leave it out."

    def refuses_at(self, where: Where) -> bool:
        """Whether this endpoint takes neutral values only."""
        return self.fate is Fate.REFUSED or (self.fate is Fate.SERVED and where not in self.where)


def served(
    origin: str, note: str, *names: str, where: Where = Where.BOTH, neutral: tuple[Json, ...] = ()
) -> tuple[Field, ...]:
    """Lines of members that are served alike."""
    return tuple(Field(name, Fate.SERVED, note, origin, where, neutral) for name in names)


def harmless(origin: str, note: str, *names: str) -> tuple[Field, ...]:
    """Lines of members that are harmless for the same reason, at both endpoints."""
    return tuple(Field(name, Fate.HARMLESS, note, origin) for name in names)


def refused(
    origin: str, note: str, where: Where = Where.BOTH, remedy: str = "Leave it out.", **names: tuple[Json, ...]
) -> tuple[Field, ...]:
    """Lines of members that are refused for the same reason; each with its neutral values."""
    return tuple(Field(name, Fate.REFUSED, note, origin, where, neutral, remedy) for name, neutral in names.items())


Members = dict[str, msgspec.Raw]
Table = dict[str, tuple[Field, ...]]  # by place: "" is the request, "messages[]." one of its messages


class Examiner:
    """Holds requests to one endpoint against a table."""

    def __init__(self, table: Mapping[str, Sequence[Field]], where: Where) -> None:
        self._kinds = {place: _Kind(place, lines, table, where) for place, lines in table.items()}

    def examine(self, body: bytes | msgspec.Raw, at: str = "") -> tuple[str, ...]:
        """The names of unknown members, sorted, as `messages[].mood`. `body` is a valid request already, or what stands
        at a place of one.

        Raises:
            NotServedError: a member that would change the answer.
            InvalidRequestError: a member that is given twice; too many members.
        """
        unknown: set[str] = set()
        reader = _Reader()
        waiting: list[tuple[_Kind, str, bytes | msgspec.Raw, bool]] = [(self._kinds[""], at, body, False)]
        while waiting:
            kind, where, data, many = waiting.pop()
            for index, members in enumerate(reader.objects(data, where, many=many)):
                place = f"{where}[{index}]." if many else f"{where}." if where else ""
                unknown |= kind.examine(members, place)
                for name in kind.children.keys() & members.keys():
                    first = bytes(memoryview(members[name])[:1])
                    if child := kind.children[name].get(first):
                        waiting.append((self._kinds[child], f"{place}{name}", members[name], first == b"["))
        return tuple(sorted(unknown))


class _Kind:
    """One kind of object at one endpoint.

    Attributes:
        refused: lines of members that must be neutral, by name.
        children: for members that hold objects: the place of those, by the first byte of the member's value.
    """

    def __init__(self, place: str, lines: Sequence[Field], table: Mapping[str, Sequence[Field]], where: Where) -> None:
        here = {line.name: line for line in lines} | {line.name: line for line in lines if where in line.where}
        self.place = place
        self.refused = {name: line for name, line in here.items() if line.refuses_at(where)}
        self.children: dict[str, dict[bytes, str]] = {}
        for name in here:
            ends = {b"{": f"{place}{name}.", b"[": f"{place}{name}[]."}
            if found := {first: child for first, child in ends.items() if child in table}:
                self.children[name] = found
        self._known = None if ANY in here else here.keys()

    def examine(self, members: Members, place: str) -> set[str]:
        """Full names of the unknown ones among an object's members. `place`: where it stands, as `messages[3].`."""
        for name in self.refused.keys() & members.keys():
            _refuse_unless_neutral(self.refused[name], members[name], place)
        return set() if self._known is None else {f"{self.place}{name}" for name in members.keys() - self._known}


class _Name:
    """A member's name as a key that equals no other, so that a decoded object keeps members that are given twice."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class _Reader:
    """Reads the members of objects, but not too many in all, and none twice. Values stay undecoded."""

    def __init__(self) -> None:
        self._left = MAX_MEMBERS

    def objects(self, data: bytes | msgspec.Raw, at: str, *, many: bool) -> list[Members]:
        """The members of an object that stands at `at`, or of each object in a list."""
        size = memoryview(data).nbytes
        if size <= _SHORT:
            found = _PLAIN_LIST.decode(data) if many else [_PLAIN.decode(data)]
            if _length(found) + many * (2 + max(0, len(found) - 1)) == size:
                self._count(sum(map(len, found)))
                return found
        return self._slowly(data, at, many=many)

    def _slowly(self, data: bytes | msgspec.Raw, at: str, *, many: bool) -> list[Members]:
        if not many:
            one = msgspec.json.Decoder(dict[_Name, msgspec.Raw], dec_hook=self._named).decode(data)
            return [_once(one, f"{at}." if at else "")]
        found = msgspec.json.Decoder(list[dict[_Name, msgspec.Raw]], dec_hook=self._named).decode(data)
        return [_once(members, f"{at}[{index}].") for index, members in enumerate(found)]

    def _named(self, _: type, name: str) -> _Name:
        self._count(1)
        return _Name(name)

    def _count(self, members: int) -> None:
        self._left -= members
        if self._left < 0:
            raise InvalidRequestError(f"The request has over {MAX_MEMBERS} members.", remedy="Send fewer.")


def _once(named: dict[_Name, msgspec.Raw], place: str) -> Members:
    members: Members = {}
    for name, value in named.items():
        if name.text in members:
            full = f"{place}{name.text[:64]}"
            raise InvalidRequestError(f"{full} is given twice.", remedy="Send it once.", param=full)
        members[name.text] = value
    return members


def _length(objects: list[Members]) -> int:
    """Bytes that the objects take when written without spaces; less than they took if a member was given twice."""
    return sum(
        2 + max(0, len(members) - 1) + sum(len(name) + 3 + memoryview(value).nbytes for name, value in members.items())
        for members in objects
    )


def _refuse_unless_neutral(line: Field, value: msgspec.Raw, place: str) -> None:
    if memoryview(value).nbytes <= _NEUTRAL_BYTES:
        found = msgspec.json.decode(value)
        if found is None or any(same(found, neutral) for neutral in line.neutral):
            return
    name = f"{place}{line.name}"
    if line.fate is Fate.SERVED:
        path = PATHS[line.where]
        raise NotServedError(f"{name} is supported at {path} alone.", remedy="Leave it out.", param=name)
    raise NotServedError(f"{name} is not supported: {line.note}.", remedy=line.remedy, param=name)


def same(found: Json, neutral: Json) -> bool:
    """Equal as JSON values: true is not 1, but 1 is 1.0."""
    return found == neutral and isinstance(found, bool) == isinstance(neutral, bool)
