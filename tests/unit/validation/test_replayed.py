"""Every open row from the command line: what is typed prints the row's figure, and the page lists it all."""

import json
import shlex
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from undiced.cli.app import app
from undiced.core.errors import UndicedError
from undiced.validation.lab import Lab
from undiced.validation.open_rows import open_rows
from undiced.validation.replayed import PLACES
from undiced.validation.table import command_table

PAGE = Path(__file__).parents[3] / "docs" / "validation.md"
QUICK = {"S29b", "B2", "PF-512", "PF-256r", "SR-P", "MC-w", "V02", "K4"}


@cache
def typed(command):
    """What a command prints, or None if it is refused."""
    done = CliRunner().invoke(app, [*shlex.split(command), "--json"])
    if isinstance(done.exception, UndicedError):
        return None
    return json.loads(done.stdout)


def figure(row, command):
    found = typed(command)
    if row.replayed.key == PLACES:
        return float(found is not None)
    if isinstance(found, list):
        return next(each["simulated"] for each in found if each["what"] == row.what)
    return found[row.replayed.key]


def held(rows):
    lab = Lab()
    for row in rows:
        found = row.replayed.value([figure(row, command) for command in row.replayed.commands])
        assert found == pytest.approx(row.simulate(lab), rel=1e-9), row.what


def test_commands_print_what_validate_prints():
    rows = [row for row in open_rows() if row.id in QUICK]
    assert {row.id for row in rows} == QUICK
    held(rows)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_open_row_can_be_typed():
    held(open_rows())


def test_every_open_row_has_commands_and_the_page_lists_them():
    assert all(row.replayed for row in open_rows())
    page = PAGE.read_text()
    for _, commands, told in command_table()[1:]:
        assert f"| {commands} | {told} |" in page, commands


def test_rows_are_chosen_by_their_ids():
    done = CliRunner().invoke(app, ["validate", "--row", "K4", "--row", "V07", "--json"])
    assert {row["id"] for row in json.loads(done.stdout)} == {"K4", "V07"}
    wrong = CliRunner().invoke(app, ["validate", "--row", "V99"])
    assert "No row is called 'V99'" in str(wrong.exception)
