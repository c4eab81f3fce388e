"""Options by environment variables. One rule for every option of every command: UNDICED_ and the option's name in
capitals, with _ for -. The command line goes before. Several values stand with spaces between them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

PREFIX = "UNDICED_"
_NOT_OPTIONS = frozenset(f"{PREFIX}{name}" for name in ("CACHE", "DEBUG", "ISA", "KEPT_MB", "PEPPER"))  # read elsewhere
_ASKED_ONCE = frozenset(("--help", "--version", "--install-completion", "--show-completion"))
_ALIKE = 0.85  # of the letters, the prefix with them
_TRUE = frozenset(("1", "true", "t", "yes", "y", "on"))


class Option(Protocol):
    """A parameter as the parser knows it; `param_type_name` tells options from arguments."""

    param_type_name: str
    opts: list[str]
    envvar: str | Sequence[str] | None


class Command(Protocol):
    """A command, as the parser knows it."""

    @property
    def params(self) -> Sequence[Option]:
        """Its options and arguments."""


def read_options(command: Command) -> None:
    """Let the options of a command come from the environment too."""
    for option in _options(command):
        names = _variables(option)
        given = [name for name in names if os.environ.get(name)]
        option.envvar = given[0] if given else names
        # one that is set is named in the help, and where its value is refused
        setattr(option, "show_envvar", bool(given))  # noqa: B010  # arguments have no such attribute


def flag(name: str) -> bool:
    """Whether an option that is a switch is on in the environment, before any command line is read."""
    return os.environ.get(PREFIX + name, "").lower() in _TRUE


def unknown_variables(commands: Iterable[Command]) -> dict[str, list[str]]:
    """Variables of our name in the environment that no option reads, and for each what may have been meant: what is
    most alike first, and of what is as much alike what an earlier command reads.

    Asks no more commands than it has to.
    """
    unknown = {name for name in os.environ if name.startswith(PREFIX)} - _NOT_OPTIONS
    known = dict.fromkeys(sorted(_NOT_OPTIONS))  # in order of asking
    asked = iter(commands)
    while unknown and (command := next(asked, None)) is not None:
        known |= dict.fromkeys(name for option in _options(command) for name in _variables(option))
        unknown -= known.keys()
    return {name: _alike(name, known) for name in sorted(unknown)}


def _alike(name: str, known: Iterable[str]) -> list[str]:
    """At most two; of what is as much alike, the first."""
    from difflib import SequenceMatcher

    matcher, shares = SequenceMatcher(None, b=name), dict[str, float]()
    for each in known:
        matcher.set_seq1(each)
        shares[each] = matcher.ratio()
    return sorted((each for each in shares if shares[each] >= _ALIKE), key=shares.__getitem__, reverse=True)[:2]


def unread(name: str, near: Sequence[str]) -> str:
    """What is said of a variable that no option reads."""
    return f"The environment has {name}, which is no option." + f" Did you mean {' or '.join(near)}?" * bool(near)


def _options(command: Command) -> Iterator[Option]:
    for parameter in command.params:
        if parameter.param_type_name == "option" and not _ASKED_ONCE.intersection(parameter.opts):
            yield parameter


def _variables(option: Option) -> list[str]:
    names = [name.removeprefix("--") for name in option.opts if name.startswith("--")]
    return [PREFIX + name.upper().replace("-", "_") for name in names]
