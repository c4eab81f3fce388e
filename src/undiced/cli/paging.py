"""The options of commands that list what there may be much of, and the word that there is more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Protocol, TypeVar

import typer

from undiced.cli.rows import say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Named(Protocol):
    """What is listed."""

    @property
    def id(self) -> str:
        """What it is called in the next page."""


Listed = TypeVar("Listed", bound=Named)


@dataclass(frozen=True, slots=True)
class Paging:
    """See the file's head."""

    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most of them.")] = 100
    after: Annotated[
        str | None,
        typer.Option(help="Those behind this one, by its id: the page that follows.", show_default=False, metavar="ID"),
    ] = None

    def part(self, listed: Callable[..., Sequence[Listed]]) -> tuple[Sequence[Listed], str]:
        """The page that is asked for; `listed` takes `after` and `limit`. And what to say below it."""
        found = listed(after=self.after, limit=self.limit)
        if len(found) < self.limit or not listed(after=found[-1].id, limit=1):
            return found, ""
        return found, f"There are more: the same with --after {found[-1].id}"


def say_more(more: str) -> None:
    """Say below a list that it goes on, if it does."""
    if more:
        say(more, err=True)
