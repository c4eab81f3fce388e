"""All claims by name, in the order of the page, and how those that are asked for are computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from undiced.core.errors import InvalidRequestError
from undiced.study.claims import chip, making, pipeline, speed
from undiced.study.claims.bench import Bench
from undiced.study.claims.claim import Claim, Result

CLAIMS: dict[str, Claim] = {claim.name: claim for family in (chip, speed, pipeline, making) for claim in family.CLAIMS}


@dataclass(frozen=True, slots=True)
class Judged:
    """A claim and what came of it."""

    claim: Claim
    result: Result


def named(names: Sequence[str]) -> list[Claim]:
    """The claims of these names, or all of them.

    Raises:
        InvalidRequestError: there is none of that name.
    """
    if unknown := [name for name in names if name not in CLAIMS]:
        raise InvalidRequestError(
            f"There is no claim called {unknown[0][:40]!r}.", remedy=f"Known: {', '.join(CLAIMS)}."
        )
    return [CLAIMS[name] for name in dict.fromkeys(names)] or list(CLAIMS.values())


def judge(claims: Sequence[Claim], bench: Bench, tell: Callable[[float, str], None]) -> Iterator[Judged]:
    """Each in turn; `tell` hears the share that is done, and of what."""
    for number, claim in enumerate(claims):
        bench.hear = partial(_hear, tell, number / len(claims), claim.name)
        bench.hear("computing")
        yield Judged(claim, claim.compute(bench))


def _hear(tell: Callable[[float, str], None], share: float, name: str, what: str) -> None:
    tell(share, f"{name}: {what}")
