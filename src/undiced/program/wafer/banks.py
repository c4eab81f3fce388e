"""The rule of banks: which two reads of one cycle a core's memory serves together. Knows no instruction and no address.

Successive 16-bit words lie in successive banks. A core reads twice a cycle, from banks that must differ modulo
`modulus` (4). Reads of 32 bits take two banks each, so that both fit if one's element lies in the first half of the
`modulus` banks and the other's in the second: two vectors that advance alike never meet if they start 4 bytes apart,
modulo 8. Where two 64-bit reads are published, each takes a bank of every residue, and no start would keep them apart;
the rule is therefore that of its own source.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

WORD_BYTES = 2
Loop = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Banks:
    """What the rule takes from a machine.

    Attributes:
        modulus: two reads of one cycle must lie in banks that differ modulo this.
        cache_bytes: of the store beside the datapath; sums that it holds are not read from memory.
    """

    modulus: int
    cache_bytes: int

    @property
    def period(self) -> int:
        """Bytes after which banks come again."""
        return self.modulus * WORD_BYTES

    @property
    def half(self) -> int:
        """Bytes of a read, which takes half of the banks that differ."""
        return self.period // 2

    def relation(self, starts: tuple[int, int], loops: tuple[Loop, ...]) -> int | None:
        """Whether values of which an operation reads two vectors must begin in one half (0) or in both (1).

        `starts`: bytes from each value's address to its first element. `loops`: of the operation, each with how often
        it goes round and the bytes that each vector advances. None: the vectors meet wherever the values begin.
        """
        return _relation(self.period, tuple(start % self.period for start in starts), self._seen(loops))

    def _seen(self, loops: tuple[Loop, ...]) -> tuple[Loop, ...]:
        """Loops as far as banks tell them apart, in an order that makes equal ones equal."""
        period, most = self.period, self.period // WORD_BYTES
        return tuple(sorted((min(times, most), a % period, b % period) for times, a, b in loops))


@lru_cache(maxsize=4096)
def _relation(period: int, starts: tuple[int, ...], loops: tuple[Loop, ...]) -> int | None:
    places = {starts}
    for times, *steps in loops:
        places = {
            tuple((at + n * step) % period for at, step in zip(place, steps, strict=True))
            for place in places
            for n in range(times)
        }
    half = period // 2
    found = {(a // half + b // half + 1) % 2 for a, b in places}
    return found.pop() if len(found) == 1 else None
