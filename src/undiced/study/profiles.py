"""Profiles: how often guesses were right, by their place in a round, as `benchmarks/acceptance.py` measures it with our
host engine. Those of the package, or of a file.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from undiced.core.documents import read_object
from undiced.core.errors import InvalidRequestError
from undiced.sim.acceptance import Acceptance

_FILE = Path(__file__).with_name("acceptance.json")
_Count = Annotated[int, Meta(ge=0, le=1 << 40)]
_Counts = Annotated[tuple[_Count, ...], Meta(min_length=1, max_length=1024)]
_Name = Annotated[str, Meta(max_length=200)]


class Pair(Struct, frozen=True):
    """Whose guesses were checked by which model; a lookup has no name."""

    target: _Name
    draft: _Name

    def __str__(self) -> str:
        return f"{self.target}+{self.draft}" if self.draft else self.target


class Profile(Struct, frozen=True):
    """Counts of one kind of work.

    Attributes:
        source: "draft", a model, or "lookup": what followed the same tokens before.
        guessed: guesses that stood at each place with all before them right; accepted: those that were right too.
        steps: rounds in all, those too that had nothing to guess.
    """

    pair: Pair
    source: _Name
    work: _Name
    temperature: Annotated[float, Meta(ge=0, le=100)]
    guessed: _Counts
    accepted: _Counts
    steps: _Count

    def __post_init__(self) -> None:
        if len(self.guessed) != len(self.accepted) or self.steps < self.guessed[0]:
            raise ValueError("guessed and accepted have a count for each place, and no more than steps")
        if any(right > count for count, right in zip(self.guessed, self.accepted, strict=True)):
            raise ValueError("more are accepted than guessed")

    @property
    def name(self) -> str:
        """Its work, with the temperature unless likeliest tokens were taken."""
        return f"{self.work} at {self.temperature:g}" if self.temperature else self.work


def acceptance_of(profiles: tuple[Profile, ...]) -> Acceptance:
    """Of several kinds of work together, by their counts.

    Raises:
        CompileError: too few.
    """
    places = range(max(len(each.guessed) for each in profiles))
    guessed = [sum(each.guessed[at] for each in profiles if at < len(each.guessed)) for at in places]
    accepted = [sum(each.accepted[at] for each in profiles if at < len(each.accepted)) for at in places]
    return Acceptance.counted(guessed, accepted, sum(each.steps for each in profiles))


@cache
def measured() -> tuple[Profile, ...]:
    """What comes with the package."""
    return read(_FILE)


def read(path: Path) -> tuple[Profile, ...]:
    """Profiles of a file.

    Raises:
        CheckpointError: no JSON object. InvalidRequestError: no profiles.
    """
    found, _ = read_object(path)
    try:
        made = msgspec.convert(found.get("profiles"), tuple[Profile, ...])
    except msgspec.ValidationError as error:
        raise InvalidRequestError(
            f"{path.name} holds no profiles of guesses: {str(error)[:200]}.",
            remedy="Write it with benchmarks/acceptance.py.",
        ) from error
    return made
