"""A request body: read within bounds, unpacked within bounds, decoded to a wire type. Every failure is a 4xx that names
the place.

Large bodies are unpacked and decoded on a thread, one at a time, in steps that are short or leave the interpreter to
others; what would take one long step is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import zlib
from typing import TYPE_CHECKING, TypeVar

import msgspec

from undiced.api.anthropic.fields import MESSAGES_FIELDS
from undiced.api.anthropic.schemas import CountBody, MessagesBody
from undiced.api.budget import Budget, Held
from undiced.api.errors import BodyTooLargeError, ClientClosedError, MediaTypeError, RequestTimeoutError
from undiced.api.field_table import (
    CHAT_FIELDS,
    CONTROL_FIELDS,
    DETOKENIZE_FIELDS,
    EMBEDDING_FIELDS,
    TEXT_FIELDS,
    TOKENIZE_FIELDS,
)
from undiced.api.responses.fields import RESPONSE_FIELDS
from undiced.api.responses.schemas import ResponseBody
from undiced.api.schemas import ChatBody, CompletionBody, Control, DetokenizeBody, EmbeddingBody, TokenizeBody
from undiced.api.shape import measure
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

    from undiced.api.fields import Examiner
    from undiced.api.settings import Settings

T = TypeVar("T", bound=msgspec.Struct)

_PATH = re.compile(r" - at `(?:key in )?\$\.?(.*)`$")
_JSON_REMEDY = "Send one JSON object, encoded as UTF-8."
_GZIP_REMEDY = "Send the body plain or with gzip."
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_JSON_TYPES = ("", "text/json", "text/plain", "application/octet-stream", "application/x-www-form-urlencoded")
_UTF8 = ("", "utf-8", "utf8", "us-ascii", "ascii")
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([^\s;\"]*)", re.IGNORECASE)
_NAMES = {
    "int": "an integer",
    "float": "a number",
    "str": "a string",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_FIELDS: dict[type[msgspec.Struct], Examiner] = {
    ChatBody: CHAT_FIELDS,
    CompletionBody: TEXT_FIELDS,
    ResponseBody: RESPONSE_FIELDS,
    Control: CONTROL_FIELDS,
    EmbeddingBody: EMBEDDING_FIELDS,
    TokenizeBody: TOKENIZE_FIELDS,
    DetokenizeBody: DETOKENIZE_FIELDS,
    MessagesBody: MESSAGES_FIELDS,
    CountBody: MESSAGES_FIELDS,
}


class Bodies:
    """Reads the bodies of one server's requests.

    Attributes:
        budget: memory for them.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.budget = Budget(settings)
        self._turn = asyncio.Semaphore(1)

    async def load(self, request: Request, kind: type[T], held: Held) -> tuple[T, tuple[str, ...]]:
        """A request's body as its wire type, and the names of members that nobody knows. Its memory is held from here
        on.

        Raises:
            BodyTooLargeError: more than the most bytes, as sent or unpacked.
            RequestTimeoutError: it took too long to arrive.
            UnavailableError: too many large requests are held.
            ClientClosedError: the client left before it had sent everything.
            InvalidRequestError: an unknown or broken content encoding, or as `decode_body`.
        """
        body = await self.whole(request, held)
        if len(body) <= self.settings.inline_bytes:
            return decode_body(body, kind)
        async with self._turn:
            decoded = (await asyncio.to_thread(measure, body)).decoded_bytes
            held.resize(len(body) + decoded)
            found = await asyncio.to_thread(decode_body, body, kind)
        held.resize(decoded)
        return found

    async def whole(self, request: Request, held: Held) -> bytes:
        """A request's body, unpacked and undecoded. Raises as `load`."""
        check_type(request.headers.get("content-type", ""))
        packed = request.headers.getlist("content-encoding")
        body = await self._read(request, held)
        if packed:
            body = await self._unpack(body, ",".join(packed).strip().lower(), held)
        return body

    async def _read(self, request: Request, held: Held) -> bytes:
        limit, patience_s = self.settings.max_body_bytes, self.settings.body_timeout_s
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > limit:
            raise _too_large(limit)
        try:
            async with asyncio.timeout(patience_s):
                return await _received(request, limit, held)
        except TimeoutError:
            message = f"The request body did not arrive within {patience_s:g} seconds."
            raise RequestTimeoutError(message, remedy="Send it again, or send less.") from None

    async def _unpack(self, body: bytes, coding: str, held: Held) -> bytes:
        if coding in ("", "identity"):
            return body
        if coding not in ("gzip", "x-gzip"):
            raise InvalidRequestError(f"Content-Encoding '{coding[:40]}' is not understood.", remedy=_GZIP_REMEDY)
        unzip, limit = zlib.decompressobj(wbits=31), self.settings.max_body_bytes
        plain, rest = b"", body
        if len(body) <= self.settings.inline_bytes:
            plain = _unzip(unzip, body, self.settings.inline_bytes)
            rest = unzip.unconsumed_tail
        if not unzip.eof:
            held.resize(limit)
            async with self._turn:
                plain += await asyncio.to_thread(_unzip, unzip, rest, limit + 1 - len(plain))
        held.resize(len(plain))
        if len(plain) > limit:
            raise _too_large(limit)
        if not unzip.eof or unzip.unused_data:
            what = "goes on after its end" if unzip.eof else "is cut short"
            raise InvalidRequestError(f"The gzip body {what}.", remedy=_GZIP_REMEDY)
        return plain


async def _received(request: Request, limit: int, held: Held) -> bytes:
    body = bytearray()
    while True:
        event = await request.receive()
        if event["type"] == "http.disconnect":
            raise ClientClosedError("The client closed the connection before the request was complete.")
        piece = event.get("body", b"")
        if len(body) + len(piece) > limit:
            raise _too_large(limit)
        held.resize(len(body) + len(piece))
        body += piece
        if not event.get("more_body", False):
            return bytes(body)


def _unzip(unzip: zlib._Decompress, body: bytes, most: int) -> bytes:
    try:
        return unzip.decompress(body, most)
    except zlib.error as error:
        raise InvalidRequestError("The gzip body is damaged.", remedy=_GZIP_REMEDY) from error


def _too_large(limit: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"The request body is larger than {limit} bytes.", remedy="Send a shorter prompt.")


def check_type(header: str) -> None:
    """Refuse a body that says that it is something else than JSON in UTF-8; clients that say nothing, or what their
    libraries say of any bytes, are believed to send JSON.

    Raises:
        MediaTypeError: it is something else.
    """
    kind = header.partition(";")[0].strip().lower()
    if kind not in _JSON_TYPES and not kind.endswith(("/json", "+json")):
        raise MediaTypeError(f"A body of type '{kind[:60]}' is not understood.", remedy="Send application/json.")
    charset = _CHARSET.search(header)
    if charset is not None and charset[1].lower() not in _UTF8:
        raise MediaTypeError(f"The charset '{charset[1][:40]}' is not understood.", remedy="Send UTF-8.")


def decode_body(body: bytes, kind: type[T]) -> tuple[T, tuple[str, ...]]:
    """Decode a body to its wire type; also the names of members that nobody knows, which are skipped.

    Raises:
        InvalidRequestError: not UTF-8, not JSON, nested too deep, a member missing, given twice or of the wrong type
            (`param` names it).
        NotServedError: a member that would change the answer, but is not served.
    """
    body = body.removeprefix(_BYTE_ORDER_MARK)
    if not body or body.isspace():
        raise InvalidRequestError("The request body is empty.", remedy=_JSON_REMEDY)
    with _told(""):
        return msgspec.json.decode(body, type=kind), _FIELDS[kind].examine(body)


def decode_part(
    part: msgspec.Raw, kind: type[T], place: str, fields: Examiner | None = None
) -> tuple[T, tuple[str, ...]]:
    """As `decode_body`, of a part that was left undecoded and stands at a place of the body. fields: its members; None
    leaves them unexamined.
    """
    with _told(place):
        return msgspec.json.decode(part, type=kind), () if fields is None else fields.examine(part, place)


@contextlib.contextmanager
def _told(place: str) -> Iterator[None]:
    """Turn what decoders raise into errors that say where."""
    what = place or "The request body"
    try:
        yield
    except msgspec.ValidationError as error:
        raise _type_error(str(error), place) from None
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"{what} is not valid UTF-8.", remedy=_JSON_REMEDY) from error
    except (msgspec.DecodeError, ValueError) as error:
        raise InvalidRequestError(f"{what} is not valid JSON: {error}.", remedy=_JSON_REMEDY) from error
    except RecursionError as error:
        raise InvalidRequestError(f"{what} is nested too deeply.", remedy=_JSON_REMEDY) from error


def _type_error(message: str, at: str) -> InvalidRequestError:
    """Turn the decoder's message into one that leads with the field's name. at: where it decoded."""
    found = _PATH.search(message)
    inner = found.group(1).replace("[...]", "") if found else ""
    place = (f"{at}{'' if inner.startswith('[') or not inner or not at else '.'}{inner}") or None
    what = message[: found.start()] if found else message
    missing = re.match(r"Object missing required field `(\w+)`", what)
    if missing:
        name = f"{place}.{missing.group(1)}" if place else missing.group(1)
        return InvalidRequestError(f"{name} is required.", param=name)
    typed = re.match(r"Expected `([^`]+)`, got `(\w+)`", what)
    if typed:
        wanted = " or ".join(_NAMES.get(part, part) for part in typed.group(1).split(" | "))
        what = f"expected {wanted}, got {_NAMES.get(typed.group(2), typed.group(2))}"
    return InvalidRequestError(f"{place or 'The request body'}: {what}.", param=place)
