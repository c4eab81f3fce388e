"""Frames between the HTTP process and the engine process: length-prefixed msgpack, one frame per step.

Types and bytes only, no sockets. Both ends are ours and of the same version; a frame that does not decode means that
the other end is broken.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from undiced.core import errors
from undiced.core.errors import EngineError, QueueFullError, UndicedError
from undiced.engine.backend import Limits
from undiced.serve.delta import Delta, EngineStats
from undiced.serve.request import Request
from undiced.serve.usage import FinishReason

if TYPE_CHECKING:
    from collections.abc import Iterator

_LENGTH = struct.Struct("<I")
_length_at = _LENGTH.unpack_from
MAX_FRAME_BYTES = 64 << 20


class Submit(msgspec.Struct, tag=True, array_like=True):
    """To the engine: queue a request that arrived at `arrival_s` of the system's monotonic clock."""

    request: Request
    arrival_s: float


class Cancel(msgspec.Struct, tag=True, array_like=True):
    """To the engine: nobody reads this sequence any more."""

    request_id: str


class Finish(msgspec.Struct, tag=True, array_like=True):
    """To the engine: this sequence has ended after `at_token` generated tokens."""

    request_id: str
    at_token: int
    reason: FinishReason


class Hold(msgspec.Struct, tag=True, array_like=True):
    """To the engine: this sequence's reader is far behind, or no longer."""

    request_id: str
    held: bool


class EndThought(msgspec.Struct, tag=True, array_like=True):
    """To the engine: this sequence has thought enough."""

    request_id: str


class Stop(msgspec.Struct, tag=True, array_like=True):
    """To the engine: exit."""


class Failure(msgspec.Struct, array_like=True):
    """An error on its way to the other process."""

    name: str
    message: str
    remedy: str
    param: str | None
    retry_after_s: float

    @classmethod
    def of(cls, error: UndicedError) -> Failure:
        """Pack an error."""
        retry_after_s = error.retry_after_s if isinstance(error, QueueFullError) else 0.0
        return cls(type(error).__name__, error.message, error.remedy, error.param, retry_after_s)

    def error(self) -> UndicedError:
        """The same error again; EngineError if its class is not one of ours."""
        if self.name == QueueFullError.__name__:
            return QueueFullError(self.message, retry_after_s=self.retry_after_s, remedy=self.remedy)
        kind = getattr(errors, self.name, EngineError)
        if not (isinstance(kind, type) and issubclass(kind, UndicedError)):
            kind = EngineError
        return kind(self.message, remedy=self.remedy, param=self.param)


class Progress(msgspec.Struct, tag=True, array_like=True):
    """From the engine: how far loading has got, from 0 to 1, and at what."""

    fraction: float
    what: str


class Ready(msgspec.Struct, tag=True, array_like=True):
    """From the engine: loaded; what it can hold."""

    limits: Limits


class Accepted(msgspec.Struct, tag=True, array_like=True):
    """From the engine: the request is in the queue."""

    request_id: str


class Refused(msgspec.Struct, tag=True, array_like=True):
    """From the engine: the request is not; no usage event follows."""

    request_id: str
    failure: Failure


class Step(msgspec.Struct, tag=True, array_like=True):
    """From the engine: what a step has made, for all sequences at once, and now and then its figures."""

    deltas: list[Delta]
    stats: EngineStats | None


class Failed(msgspec.Struct, tag=True, array_like=True):
    """From the engine: what ends it; the accounts of the sequences that it takes along follow in a last Step."""

    failure: Failure


ToEngine = Submit | Cancel | Finish | Hold | EndThought | Stop
FromEngine = Progress | Ready | Accepted | Refused | Step | Failed
Message = TypeVar("Message")

_encoder = msgspec.msgpack.Encoder()
_figures = msgspec.msgpack.Decoder(EngineStats)


def encode(message: ToEngine | FromEngine) -> bytes:
    """A whole frame."""
    payload = _encoder.encode(message)
    return _LENGTH.pack(len(payload)) + payload


class FrameReader(Generic[Message]):
    """Bytes as they come, messages as they are complete."""

    def __init__(self, decoder: msgspec.msgpack.Decoder[Message]) -> None:
        self._decoder = decoder
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """Take bytes in; yields every message that they complete.

        Raises:
            EngineError: the bytes are not frames.
        """
        rest = self._buffer
        if rest:  # the beginning of a frame; else whole frames are read where they are
            rest += data
        found, size, start = rest or data, _LENGTH.size, 0
        try:
            while (begin := start + size) <= len(found):
                length = _length_at(found, start)[0]
                if length > MAX_FRAME_BYTES:
                    raise EngineError(
                        f"A frame of {length} bytes came from the other process; {MAX_FRAME_BYTES} is the most."
                    )
                if (end := begin + length) > len(found):
                    break
                start = end
                yield self._decode(found[begin:end])
        finally:
            if found is rest:
                del rest[:start]
            else:
                rest += data[start:]

    def _decode(self, payload: bytes | bytearray) -> Message:
        try:
            return self._decoder.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise EngineError(f"A frame from the other process does not decode: {error}") from error


def figures(data: bytes) -> EngineStats:
    """The figures of a step, which its frame has behind the deltas."""
    return _figures.decode(data)


def engine_reader() -> FrameReader[ToEngine]:
    """Reads what the engine is told."""
    return FrameReader(msgspec.msgpack.Decoder(ToEngine))


def client_reader() -> FrameReader[FromEngine]:
    """Reads what the engine tells."""
    return FrameReader(msgspec.msgpack.Decoder(FromEngine))
