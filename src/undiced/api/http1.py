"""HTTP/1 requests out of a connection's bytes: heads, bodies and trailers, each within its limit. Knows no socket and
no answer.

Strict wherever a lenient reader and a strict one would disagree on where a request ends: no bare line feeds, no folded
lines, one length and no other (RFC 9112 sections 2.2, 5.2, 6.3 and 11.2). Offers to upgrade are not read at all.
"""

from __future__ import annotations

import re
from typing import Final, Literal
from urllib.parse import unquote

import msgspec

from undiced.api.errors import (
    BodyTooLargeError,
    CodingNotServedError,
    ExpectationError,
    HeadTooLargeError,
    MethodNotAllowedError,
    VersionNotServedError,
)
from undiced.core.errors import InvalidRequestError

CHUNKED: Final = -1
END: Final = "end"

_MAX_FIELDS = 256
_MAX_SIZE_LINE = 1024  # bytes of a chunk's size and extensions
_CHUNKS_A_PIECE = 256  # small chunks cost time: so many are read at once
_FRAMING_A_BYTE = 8  # bytes around the data of chunks, beyond what a head may have, per byte of data
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_NAME = re.compile(_TOKEN)
_LINE = re.compile(rb"(%b) ([!-~]+) HTTP/([0-9])\.([0-9])" % _TOKEN)
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?]*)(/[^?]*)?(\?.*)?")
_AUTHORITY = re.compile(rb"(?:\[[0-9A-Fa-f:.]+(?:%25[0-9A-Za-z._~-]+)?\]|[0-9A-Za-z._~-]+)(?::([0-9]{0,5}))?")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?")
_FIELD = re.compile(rb"%b:[^\x00-\x08\x0a-\x1f\x7f]*" % _TOKEN)
_NAME_BYTES = bytes(byte for byte in range(256) if _NAME.fullmatch(bytes([byte])))
_TEXT_BYTES = b"\t\r\n" + bytes(byte for byte in range(32, 256) if byte != 127)
_READ = frozenset({b"host", b"connection", b"content-length", b"transfer-encoding", b"expect"})


class Head(msgspec.Struct, frozen=True):
    """A request up to its body.

    Attributes:
        path: decoded; raw_path and query: as sent.
        headers: names in lower case; `host` is what the request is for, also where the target says it.
        length: bytes of the body, or CHUNKED.
        keep_alive: the client wants to go on; continues: it waits for 100 before it sends the body.
    """

    method: str
    path: str
    raw_path: bytes
    query: bytes
    version: Literal["1.0", "1.1"]
    headers: list[tuple[bytes, bytes]]
    length: int
    keep_alive: bool
    continues: bool


Event = Head | bytes | Literal["end"] | None


class Reader:
    """Reads one connection's requests, one after the other.

    Every error is final: what follows on the connection can't be understood.

    Args:
        max_head_bytes: of request line and headers with their line ends; as much again may be trailers.
    """

    def __init__(self, max_head_bytes: int) -> None:
        self.max_head_bytes = max_head_bytes
        self._buffer = bytearray()
        self._state: Literal["head", "counted", "chunked", "trailers"] = "head"
        self._seen = 0  # of the head in the buffer, already searched for its end
        self._blank = 0  # line ends before the request line
        self._left = 0  # of the body, or of a chunk with its line end
        self._data = self._framing = 0  # of a chunked body so far
        self._trailer_bytes = 0

    @property
    def held(self) -> int:
        """Bytes that came and were not handed out."""
        return len(self._buffer)

    @property
    def in_head(self) -> bool:
        """A head has begun and is not complete."""
        return self._state == "head" and bool(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take what came in."""
        self._buffer += data

    def next(self) -> Event:
        """The next head, piece of its body, or end of it; None where more must come first.

        Raises:
            InvalidRequestError: this is no HTTP/1 request that can be answered, or it is over a limit.
        """
        if self._state == "head":
            return self._head()
        if self._state == "counted":
            return self._counted()
        return self._chunked() if self._state == "chunked" else self._trailers()

    def _head(self) -> Head | None:
        buffer = self._buffer
        while buffer.startswith(b"\r\n"):
            del buffer[:2]
            self._blank += 2
        end = buffer.find(b"\r\n\r\n", max(0, self._seen - 3))
        size = len(buffer) if end < 0 else end + 4
        if end < 0:
            self._doubt()
        if size + self._blank > self.max_head_bytes:
            raise HeadTooLargeError(f"The request's headers exceed {self.max_head_bytes} bytes.")
        self._seen = size
        if end < 0:
            return None
        head = _parse(bytes(buffer[:end]))
        del buffer[:size]
        self._seen = self._blank = 0
        self._expect(head.length)
        return head

    def _doubt(self) -> None:
        """Refuse the beginning of a head as soon as it can't become one; its client would wait for an answer."""
        buffer = self._buffer
        if buffer and not _NAME.match(buffer) and buffer != b"\r":
            raise InvalidRequestError("This is not an HTTP request.", remedy="Use http://, not https://.")
        if buffer.count(b"\n") != buffer.count(b"\r\n"):
            raise InvalidRequestError("A line of the request's headers does not end with CR and LF.")

    def _expect(self, length: int) -> None:
        self._left = max(0, length)
        self._data = self._framing = self._trailer_bytes = 0
        self._state = "chunked" if length == CHUNKED else "counted"

    def _end(self) -> Literal["end"]:
        self._state = "head"
        return END

    def _counted(self) -> bytes | Literal["end"] | None:
        if not self._left:
            return self._end()
        piece = bytes(self._buffer[: self._left])
        del self._buffer[: len(piece)]
        self._left -= len(piece)
        return piece or None

    def _chunked(self) -> bytes | Literal["end"] | None:
        buffer, at, parts = self._buffer, 0, []
        for _ in range(_CHUNKS_A_PIECE):
            if not self._left:
                size, at = self._chunk_size(at)
                if size <= 0:
                    break
                self._left = size + 2
            take = min(self._left - 2, len(buffer) - at)
            parts.append(buffer[at : at + take])
            at, self._left = at + take, self._left - take
            if self._left == 2 and not b"\r\n".startswith(buffer[at : at + 2]):
                raise InvalidRequestError("A chunk of the request body is longer than its size says.")
            if len(buffer) - at < self._left:
                break
            at, self._left = at + 2, 0
        del buffer[:at]
        piece = b"".join(parts)
        self._data += len(piece)
        if self._framing > self.max_head_bytes + _FRAMING_A_BYTE * self._data:
            raise BodyTooLargeError("The request body's chunks hold too little data.", remedy="Send larger chunks.")
        return piece or (self._trailers() if self._state == "trailers" else None)

    def _chunk_size(self, at: int) -> tuple[int, int]:
        """The size of the chunk whose line begins here and where its data begins; -1 if the line is not complete."""
        end = self._buffer.find(b"\r\n", at, at + _MAX_SIZE_LINE + 2)
        if end < 0 and len(self._buffer) - at <= _MAX_SIZE_LINE and b"\n" not in self._buffer[at:]:
            return -1, at
        found = _CHUNK.fullmatch(self._buffer, at, end) if end >= 0 else None
        if found is None:
            raise InvalidRequestError(
                "The size of a chunk of the request body can't be read.",
                remedy=f"Send it in hexadecimal digits, with extensions of at most {_MAX_SIZE_LINE} bytes in all.",
            )
        size = int(found[1], 16)
        self._framing += end - at + 4
        if not size:
            self._state = "trailers"
        return size, end + 2

    def _trailers(self) -> Literal["end"] | None:
        """Trailers are counted and dropped."""
        buffer = self._buffer
        while (end := buffer.find(b"\r\n")) > 0:
            if not _FIELD.fullmatch(buffer, 0, end):
                raise InvalidRequestError("The request's trailers can't be read.")
            self._count_trailer(end + 2)
            del buffer[: end + 2]
        if end < 0:
            self._count_trailer(0)
            if b"\n" in buffer:
                raise InvalidRequestError("The request's trailers can't be read.")
            return None
        del buffer[:2]
        return self._end()

    def _count_trailer(self, size: int) -> None:
        self._trailer_bytes += size
        if self._trailer_bytes + (0 if size else len(self._buffer)) > self.max_head_bytes:
            raise HeadTooLargeError(f"The request's trailers exceed {self.max_head_bytes} bytes.")


def _parse(text: bytes) -> Head:
    """A head without its last line ends."""
    if text.translate(None, _TEXT_BYTES) or not text.count(b"\r") == text.count(b"\n") == text.count(b"\r\n"):
        raise InvalidRequestError("The request's headers hold a control character.")
    first, *lines = text.split(b"\r\n")
    line = _LINE.fullmatch(first)
    if line is None:
        raise InvalidRequestError("The request line can't be read.", remedy="Send METHOD /path HTTP/1.1.")
    if line[3] != b"1":
        raise VersionNotServedError(
            f"HTTP/{line[3].decode()} is not spoken here, HTTP/1.1 is.", remedy="Make the client use HTTP/1.1."
        )
    old = line[4] == b"0"
    headers, read = _fields(lines)
    authority, raw_path, query = _target(line[1], line[2])
    _check_host(read.get(b"host", []), authority, old=old)
    if authority:
        headers = [(b"host", authority), *(field for field in headers if field[0] != b"host")]
    tokens = {token.strip() for value in read.get(b"connection", ()) for token in value.lower().split(b",")}
    return Head(
        method=line[1].decode(),
        path=unquote(raw_path.decode()),
        raw_path=raw_path,
        query=query,
        version="1.0" if old else "1.1",
        headers=headers,
        length=_length(read, old=old),
        keep_alive=b"close" not in tokens and (not old or b"keep-alive" in tokens),
        continues=_continues(read) and not old,
    )


def _fields(lines: list[bytes]) -> tuple[list[tuple[bytes, bytes]], dict[bytes, list[bytes]]]:
    """All headers, and the values of those that are read here."""
    if len(lines) > _MAX_FIELDS:
        raise HeadTooLargeError(f"The request has more than {_MAX_FIELDS} headers.")
    fields: list[tuple[bytes, bytes]] = []
    read: dict[bytes, list[bytes]] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name.translate(None, _NAME_BYTES):
            raise InvalidRequestError(f"The header line {line[:40].decode('latin-1')!a} can't be read.")
        name, value = name.lower(), value.strip(b" \t")
        fields.append((name, value))
        if name in _READ:
            read.setdefault(name, []).append(value)
    return fields, read


def _target(method: bytes, target: bytes) -> tuple[bytes, bytes, bytes]:
    """Authority (empty where the target names none), path and query of a request target."""
    if method == b"CONNECT":
        raise MethodNotAllowedError("CONNECT is not allowed; this server is no proxy.")
    if target == b"*" and method == b"OPTIONS":
        return b"", b"*", b""
    authority, found = b"", _ABSOLUTE.fullmatch(target)
    if found is not None:
        authority, path, query = found[1], found[2] or b"/", (found[3] or b"")[1:]
        if not authority:
            raise InvalidRequestError("The request target names no host.")
    else:
        path, _, query = target.partition(b"?")
    if not path.startswith(b"/") or b"#" in target:
        raise InvalidRequestError("The request target can't be read.", remedy="Send a path that begins with /.")
    return authority, path, query


def _check_host(hosts: list[bytes], authority: bytes, *, old: bool) -> None:
    """One host says whom the request is for; a target that names it too goes before it."""
    if len(hosts) > 1 or (not hosts and not old):
        raise InvalidRequestError("The request must have exactly one Host header.", param="host")
    for host in (*hosts, authority) if authority else hosts:
        found = _AUTHORITY.fullmatch(host)
        if found is None or int(found[1] or 0) > 65535:
            raise InvalidRequestError("The request's host can't be read.", remedy="Send Host: name:port.", param="host")


def _length(read: dict[bytes, list[bytes]], *, old: bool) -> int:
    """How long the body is. A request that says it twice is refused: somebody before us may have believed the other."""
    codings, lengths = read.get(b"transfer-encoding"), read.get(b"content-length")
    if not codings:
        if not lengths:
            return 0
        if len(lengths) > 1 or not lengths[0].isdigit():
            raise InvalidRequestError("Content-Length must be one whole number.", param="content-length")
        return int(lengths[0].lstrip(b"0")[:19] or 0)  # with more digits it's a huge number either way
    if lengths or old:
        raise InvalidRequestError(
            "Transfer-Encoding goes with neither Content-Length nor HTTP/1.0.", param="transfer-encoding"
        )
    named = [coding.strip(b" \t") for coding in b",".join(codings).lower().split(b",")]
    if named[-1] != b"chunked" or named.count(b"chunked") > 1:
        raise InvalidRequestError("Transfer-Encoding must end with chunked, once.", param="transfer-encoding")
    if len(named) > 1:
        raise CodingNotServedError(
            "Only the transfer coding chunked is served.",
            remedy="Send Content-Encoding: gzip for a compressed body.",
            param="transfer-encoding",
        )
    return CHUNKED


def _continues(read: dict[bytes, list[bytes]]) -> bool:
    wanted = {value.lower() for value in read.get(b"expect", ())}
    if wanted - {b"100-continue"}:
        raise ExpectationError("Only 100-continue can be expected.", remedy="Leave the Expect header out.")
    return bool(wanted)
