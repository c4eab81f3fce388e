"""Way: how an answer's plain tokens reach its client without being looked at by Python: straight from the frames of the
engine to the socket, in native code (`native/wire`). All else goes through `Stream`, which closes the way before. Data
only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from undiced._native import Texts

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Meter", "Texts", "Way"]

# Where the tokens of an answer are stored that were handed over (a uint64), how many these are, the one that is written
# first included, and how many they may become.
Meter = tuple[memoryview, int, int]


@dataclass(frozen=True, slots=True)
class Way:
    """See the file's head.

    Attributes:
        texts: of tokens, as they stand in a JSON string.
        socket: the number of the client's, which does not block and carries an answer in chunks (RFC 9112).
        before, after: what stands around the text of an event.
        told: hears of how many tokens took this way. spill: takes what the socket did not take of them.
    """

    texts: Texts
    socket: int
    before: bytes
    after: bytes
    told: Callable[[int], None]
    spill: Callable[[bytes], None]
