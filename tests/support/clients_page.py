"""The table of docs/clients.md: which programs of others were tried, in which version, by which tests.

Knows how a row is written. What is fetched has its version from here, so the page can't name another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from support.markdown import ROOT

PAGE = ROOT / "docs" / "clients.md"
_TABLE = re.compile(r"<!-- clients: begin -->\n(.*?)<!-- clients: end -->", re.DOTALL)
_ROW = re.compile(r"\| `([^`]+)` \| (\S+) \| [^|]+ \| `(make test|make test-full)`: ((?:`[^`]+`(?:, )?)+) \|")


@dataclass(frozen=True, slots=True)
class Client:
    """A row: the package's name and version, the command that runs its tests, and their files."""

    name: str
    version: str
    command: str
    tests: tuple[str, ...]


def _read() -> dict[str, Client]:
    rows = _TABLE.findall(PAGE.read_text())[0].splitlines()[2:]
    found = [_ROW.fullmatch(row) for row in rows]
    assert all(found), [row for row, match in zip(rows, found, strict=True) if match is None]
    clients = (match.groups() for match in found if match)
    return {
        name: Client(name, version, command, tuple(re.findall("`([^`]+)`", tests)))
        for name, version, command, tests in clients
    }


CLIENTS = _read()
