"""docs/clients.md: its table against what is installed and declared, and against the tests that it names."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from support.clients_page import CLIENTS, Client
from support.markdown import ROOT

_EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
DECLARED = {one.name: one for one in map(Requirement, _EXTRAS["test"])}
IN_TEST = [client for client in CLIENTS.values() if client.command == "make test"]
FETCHED = [client for client in CLIENTS.values() if client.command == "make test-full"]
# A file that runs in the full suite alone says so for all its tests.
ALL_SLOW = re.compile(r"^pytestmark = .*\b(slow|oracle)\b", re.MULTILINE)


def name(client: Client) -> str:
    return client.name


@pytest.mark.parametrize("client", CLIENTS.values(), ids=name)
def test_the_tests_of_a_row_are_there_and_run_where_it_says(client: Client) -> None:
    for file in client.tests:
        text = (ROOT / file).read_text()
        assert "def test_" in text and (ALL_SLOW.search(text) is None) == (client.command == "make test"), file


@pytest.mark.parametrize("client", IN_TEST, ids=name)
def test_a_client_of_the_fast_tests_is_installed_in_the_major_version_that_was_tried(client: Client) -> None:
    tried, installed = Version(client.version), Version(version(client.name))
    declared = DECLARED[client.name].specifier
    assert tried in declared and Version(f"{tried.major + 1}.0") not in declared, declared
    assert installed.major == tried.major, f"try {installed} and write it into docs/clients.md"


def test_no_client_of_the_fast_tests_is_left_out() -> None:
    """They alone have a version that is too new."""
    bounded = {name for name, one in DECLARED.items() if any(part.operator == "<" for part in one.specifier)}
    assert bounded == {one.name for one in IN_TEST}


@pytest.mark.parametrize("client", FETCHED, ids=name)
def test_a_fetched_client_is_the_one_of_the_page(client: Client) -> None:
    """Its tests ask for it by its name, and have the version from the page."""
    assert client.name not in DECLARED
    assert any(f'("{client.name}"' in (ROOT / file).read_text() for file in client.tests)


def test_no_fetched_client_is_left_out() -> None:
    asked = re.compile(r'(?:npm_program|python_programs)\("([^"]+)"')
    files = (ROOT / "tests" / "wire").glob("test_*.py")
    assert {found for file in files for found in asked.findall(file.read_text())} == {one.name for one in FETCHED}
