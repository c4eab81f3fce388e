"""Parts of a body that were left undecoded: each decoded by its own type, examined by its own table, with the place
where it stands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import msgspec

from undiced.api.body import decode_part
from undiced.api.errors import NotServedError
from undiced.api.responses.schemas import TypedPart
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undiced.api.fields import Examiner
    from undiced.api.responses.schemas import TextPart

T = TypeVar("T", bound=msgspec.Struct)
_TEXTS = frozenset({"input_text", "output_text", "text", "reasoning_text", "summary_text"})


@dataclass(slots=True)
class Parts:
    """Decodes parts of one request.

    Attributes:
        ignored: names of what was skipped.
    """

    ignored: dict[str, None] = field(default_factory=dict)

    def typed(self, raw: msgspec.Raw, place: str) -> TypedPart:
        """What a part is. Raises InvalidRequestError: no object."""
        return decode_part(raw, TypedPart, place)[0]

    def read(self, raw: msgspec.Raw, kind: type[T], fields: Examiner, place: str, shown: str) -> T:
        """A part of a known type. shown: its place as it is told of unknown members.

        Raises:
            InvalidRequestError: a member is missing, given twice or of the wrong type. NotServedError: see `Examiner`.
        """
        found, unknown = decode_part(raw, kind, place, fields)
        for name in unknown:
            self.skip(f"{shown}.{name}")
        return found

    def skip(self, name: str) -> None:
        """Tell that something was skipped."""
        self.ignored[name] = None


def joined(parts: str | Sequence[TextPart], place: str, between: str = "") -> str:
    """The text of parts.

    Raises:
        NotServedError: images, files. InvalidRequestError: a part without text.
    """
    if isinstance(parts, str):
        return parts
    return between.join(_text(part, f"{place}[{at}]") for at, part in enumerate(parts))


def _text(part: TextPart, place: str) -> str:
    if part.type == "refusal" and part.refusal is not None:
        return part.refusal
    if part.type not in _TEXTS:
        message = f"{place}: content of type '{part.type[:40]}' is not supported."
        raise NotServedError(message, param=f"{place}.type", remedy="Send text.")
    if part.text is None:
        raise InvalidRequestError(f"{place}.text is required.", param=f"{place}.text")
    return part.text
