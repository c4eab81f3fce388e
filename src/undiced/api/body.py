"""A request body: read within bounds, unpacked within bounds, decoded to a wire type. Every failure is a 4xx that names
the place.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from typing import TYPE_CHECKING, TypeVar

import msgspec

from undiced.api.errors import BodyTooLargeError, ClientClosedError, RequestTimeoutError
from undiced.api.field_table import CHAT_FIELDS, TEXT_FIELDS
from undiced.api.schemas import Body, ChatBody, CompletionBody
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from starlette.requests import Request

    from undiced.api.settings import Settings

T = TypeVar("T", bound=Body)

_PATH = re.compile(r" - at `(?:key in )?\$\.?(.*)`$")
_JSON_REMEDY = "Send one JSON object, encoded as UTF-8."
_NAMES = {
    "int": "an integer",
    "float": "a number",
    "str": "a string",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_FIELDS = {ChatBody: CHAT_FIELDS, CompletionBody: TEXT_FIELDS}


async def read_body(request: Request, settings: Settings) -> bytes:
    """The whole body, gunzipped if it says so.

    Raises:
        BodyTooLargeError: more than the most bytes, as sent or unpacked.
        RequestTimeoutError: it took too long to arrive.
        InvalidRequestError: an unknown or broken content encoding.
        ClientClosedError: the client left before it had sent everything.
    """
    limit = settings.max_body_bytes
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise _too_large(limit)
    try:
        async with asyncio.timeout(settings.body_timeout_s):
            body = await _received(request, limit)
    except TimeoutError:
        message = f"The request body did not arrive within {settings.body_timeout_s:g} seconds."
        raise RequestTimeoutError(message, remedy="Send it again, or send less.") from None
    return _unpack(body, request.headers.get("content-encoding", "identity").strip().lower(), limit)


async def _received(request: Request, limit: int) -> bytes:
    body = bytearray()
    while True:
        event = await request.receive()
        if event["type"] == "http.disconnect":
            raise ClientClosedError("The client closed the connection before the request was complete.")
        body += event.get("body", b"")
        if len(body) > limit:
            raise _too_large(limit)
        if not event.get("more_body", False):
            return bytes(body)


def _unpack(body: bytes, encoding: str, limit: int) -> bytes:
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip"):
        raise InvalidRequestError(
            f"Content-Encoding '{encoding[:40]}' is not understood.", remedy="Send the body plain or with gzip."
        )
    try:
        unzip = zlib.decompressobj(wbits=31)
        plain = unzip.decompress(body, limit + 1)
    except zlib.error as error:
        raise InvalidRequestError("The gzip body is damaged.", remedy="Send the body plain or with gzip.") from error
    if len(plain) > limit:
        raise _too_large(limit)
    if not unzip.eof:
        raise InvalidRequestError("The gzip body is cut short.", remedy="Send the body plain or with gzip.")
    return plain


def _too_large(limit: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"The request body is larger than {limit} bytes.", remedy="Send a shorter prompt.")


def decode_body(body: bytes, kind: type[T]) -> tuple[T, tuple[str, ...]]:
    """Decode a body to its wire type; also the names of members that nobody knows, which are skipped.

    Raises:
        InvalidRequestError: not UTF-8, not JSON, nested too deep, a member missing, given twice or of the wrong type
            (`param` names it).
        NotServedError: a member that would change the answer, but is not served.
    """
    if not body.strip():
        raise InvalidRequestError("The request body is empty.", remedy=_JSON_REMEDY)
    try:
        wire = msgspec.json.decode(body, type=kind)
        unknown = _FIELDS[kind].examine(body)
    except msgspec.ValidationError as error:
        raise _type_error(str(error)) from None
    except UnicodeDecodeError as error:
        raise InvalidRequestError("The request body is not valid UTF-8.", remedy=_JSON_REMEDY) from error
    except (msgspec.DecodeError, ValueError) as error:
        raise InvalidRequestError(f"The request body is not valid JSON: {error}.", remedy=_JSON_REMEDY) from error
    except RecursionError as error:
        raise InvalidRequestError("The request body is nested too deeply.", remedy=_JSON_REMEDY) from error
    return wire, unknown


def _type_error(message: str) -> InvalidRequestError:
    """Turn the decoder's message into one that leads with the field's name."""
    found = _PATH.search(message)
    place = (found.group(1).replace("[...]", "") if found else "") or None
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
