"""Every option of every command can come from the environment, by one rule."""

from __future__ import annotations

from itertools import chain

import pytest
import typer

from undiced.cli.commands import all_built, built
from undiced.cli.environment import read_options, unknown_variables, unread


def test_every_option_has_a_variable_that_the_rule_gives() -> None:
    options = [
        option
        for command in all_built()
        for option in command.params
        if option.param_type_name == "option" and "--help" not in option.opts
    ]
    assert len(options) > 50
    for option in options:
        assert option.envvar, f"{option.opts} can't come from the environment"
        for name in option.opts:
            if name.startswith("--"):
                assert f"UNDICED_{name[2:].upper().replace('-', '_')}" in option.envvar


def seen(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], *arguments: str) -> dict[str, object]:
    """What a command of some kinds of options is called with."""
    found: dict[str, object] = {}
    program = typer.Typer()

    @program.command()
    def serve(port: int = 8000, allow_host: list[str] = [], json: bool = False) -> None:  # noqa: B006
        found.update(port=port, allow_host=allow_host, json=json)

    command = typer.main.get_command(program)
    with monkeypatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        read_options(command)
        command(list(arguments), standalone_mode=False)
    return found


def test_the_command_line_goes_before_the_environment_and_lists_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"UNDICED_PORT": "9000", "UNDICED_ALLOW_HOST": "a.example b.example", "UNDICED_JSON": "1"}
    assert seen(monkeypatch, environment) == {"port": 9000, "allow_host": ["a.example", "b.example"], "json": True}
    assert seen(monkeypatch, environment, "--port", "7")["port"] == 7
    assert seen(monkeypatch, {"UNDICED_PORT": ""}) == {"port": 8000, "allow_host": [], "json": False}


def test_a_variable_that_nothing_reads_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDICED_PROT", "1")
    monkeypatch.setenv("UNDICED_PORT", "1")
    monkeypatch.setenv("UNDICED_CACHE", "/x")
    monkeypatch.setenv("UNDICED_PEPPER", "x")
    monkeypatch.setenv("UNDICED_COLOUR_OF_WALLS", "x")
    found = unknown_variables(all_built())
    assert found == {"UNDICED_PROT": ["UNDICED_PROMPT", "UNDICED_PORT"], "UNDICED_COLOUR_OF_WALLS": []}
    said = [unread(name, near) for name, near in found.items()]
    assert said[1].endswith("which is no option. Did you mean UNDICED_PROMPT or UNDICED_PORT?")
    assert said[0].endswith("UNDICED_COLOUR_OF_WALLS, which is no option.")


def test_of_names_that_are_as_much_alike_that_of_the_command_asked_first_is_meant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("UNDICED_ROG", "acme")
    org, row = "UNDICED_ORG", "UNDICED_ROW"
    for first, near in (("key create", [org, row]), ("validate", [row, org])):
        assert unknown_variables(chain([built(first)], all_built()))["UNDICED_ROG"] == near
