"""Rounds: works and this machine's limits, measured in turn, so that drift hits all alike; medians, and shares of the
limit that are taken round by round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING

from undiced.bench.work import Work, least

if TYPE_CHECKING:
    from undiced.bench.engine import EngineBench
    from undiced.program import HostProgram


@dataclass(frozen=True, slots=True)
class Limits:
    """What the machine gave in a round: bytes a second of a streaming read, int8 operations a second."""

    bytes_per_s: float
    operations_per_s: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What became of one work over all rounds.

    Attributes:
        tokens_per_second: median; low, high: of all rounds.
        bytes_per_s, operations_per_s: the least that it takes, over the median time. intensity: operations a byte.
        bound: what limits it, memory or arithmetic. share: of the limit, the median of the rounds' shares.
    """

    work: str
    tokens_per_second: float
    low: float
    high: float
    bytes_per_s: float
    operations_per_s: float
    intensity: float
    bound: str
    share: float

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


@dataclass(slots=True)
class Rounds:
    """Seconds of each work in each round, and the limits of that round."""

    program: HostProgram
    works: Sequence[Work]
    limits: list[Limits]
    seconds: dict[Work, list[float]]

    @property
    def typical(self) -> Limits:
        """Medians of the limits."""
        return Limits(
            median(one.bytes_per_s for one in self.limits), median(one.operations_per_s for one in self.limits)
        )

    def measured(self) -> list[Measured]:
        """Every work."""
        return [self._measured(work) for work in self.works]

    def _measured(self, work: Work) -> Measured:
        taken, floor, typical = self.seconds[work], least(work, self.program), self.typical
        pairs = zip(taken, self.limits, strict=True)
        shares = [floor.seconds(limit.bytes_per_s, limit.operations_per_s) / s for s, limit in pairs]
        middle = median(taken)
        memory = floor.nbytes / typical.bytes_per_s >= floor.operations / typical.operations_per_s
        return Measured(
            work.name,
            work.tokens / middle,
            work.tokens / max(taken),
            work.tokens / min(taken),
            floor.nbytes / middle,
            floor.operations / middle,
            floor.intensity,
            "memory" if memory else "arithmetic",
            median(shares),
        )


def measure(
    bench: EngineBench,
    works: Sequence[Work],
    rounds: int,
    limits: Callable[[], Limits],
    say: Callable[[float, str], None],
) -> Rounds:
    """Measure.

    Args:
        limits: measures those of the machine. say: told the share that is done, and what comes next.
    """
    found = Rounds(bench.program, works, [], {work: [] for work in works})
    done, steps = 0, (rounds + 1) * (len(works) + 1)
    for work in works:  # memory is touched, and contexts are filled
        say(done / steps, f"Warming up: {work.name}")
        bench.run(work)
        done += 1
    for number in range(rounds):
        say(done / steps, f"Round {number + 1} of {rounds}: this machine's limits")
        found.limits.append(limits())
        done += 1
        for work in _turned(works, number):
            say(done / steps, f"Round {number + 1} of {rounds}: {work.name}")
            found.seconds[work].append(bench.run(work))
            done += 1
    return found


def _turned(works: Sequence[Work], number: int) -> Iterator[Work]:
    """The works, beginning with another one in each round."""
    for at in range(len(works)):
        yield works[(at + number) % len(works)]
