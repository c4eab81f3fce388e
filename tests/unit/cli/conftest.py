"""Commands of accounts are tested on both databases: see `support.databases`. What they leave behind is a file's."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.account_commands import Typed, typing
from support.databases import dialect, pepper, server, server_emptied, sqlite_template, url  # noqa: F401


@pytest.fixture
def place(tmp_path: Path, sqlite_template: Path) -> Path:  # noqa: F811
    """A database with the schema and nothing else."""
    return shutil.copy(sqlite_template, tmp_path / "accounts.db")


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: Path) -> Typed:
    return typing(monkeypatch, capsys, str(place))


@pytest.fixture
def acme(typed: Typed) -> Typed:
    """There is an organization."""
    assert typed("org create acme").status == 0
    return typed
