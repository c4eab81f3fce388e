"""Artifact: what host and wafer programs have in common. Frozen, versioned, hashed, saved.

Knows the envelope of a program file and what every report needs; knows neither instructions nor cores.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from undiced.core.digest import sha256

VERSION = 4
MAGIC = b"UNDICED\x00"


class Bounds(Struct, frozen=True):
    """What a program must be able to hold: sequences at once, and positions per sequence."""

    batch: int
    context: int


class Artifact(Struct, frozen=True, kw_only=True):
    """A compiled model.

    Attributes:
        machine: the machine's name; machine_digest and graph_digest say exactly which.
        facts: numbers that reports need and executors do not (name, value).
    """

    model: str
    machine: str
    graph_digest: str
    machine_digest: str
    bounds: Bounds
    vocab: int
    facts: tuple[tuple[str, float], ...] = ()
    version: int = VERSION

    @property
    def digest(self) -> str:
        """sha256 of the serialized program: equal digests mean equal programs."""
        return sha256(_payload(self)).hexdigest()

    def fact(self, name: str) -> float:
        """The value of one of `facts`; KeyError if the compiler did not record it."""
        return dict(self.facts)[name]

    def encoded(self) -> bytes:
        """The program as a file holds it; it ends with the sha256 of all that comes before."""
        return sealed(_payload(self))

    def save(self, path: Path) -> None:
        """Write the program to a file."""
        path.write_bytes(self.encoded())


def _payload(program: Artifact) -> bytes:
    import msgspec

    return msgspec.msgpack.encode(program)


def sealed(payload: bytes) -> bytes:
    """What a program file holds: magic, version, payload, and the sha256 of all of that."""
    data = MAGIC + VERSION.to_bytes(4, "little") + payload
    return data + sha256(data).digest()
