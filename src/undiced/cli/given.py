"""Which options stand on the command line: one that would change nothing is an error."""

from __future__ import annotations

import typer

from undiced.core.errors import InvalidRequestError

_OPTIONS = {"source": "--checkpoint"}


def chosen(given: typer.Context, name: str) -> bool:
    """Whether an option stands on the command line."""
    source = given.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def refuse_given(given: typer.Context, names: set[str], why: str) -> None:
    """None of `names` stands on the command line.

    Raises:
        InvalidRequestError: one does.
    """
    for name in sorted(names):
        if chosen(given, name):
            option = _OPTIONS.get(name, "--" + name.replace("_", "-"))
            raise InvalidRequestError(f"{option} {why}.", remedy=f"Leave {option} out.")


def stronger_than_file(given: typer.Context, name: str) -> bool:
    """Whether a parameter comes from the command line or the environment, which go before a configuration file."""
    source = given.get_parameter_source(name)
    return source is not None and source.name in ("COMMANDLINE", "ENVIRONMENT")
