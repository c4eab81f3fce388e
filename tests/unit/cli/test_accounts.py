"""Commands of accounts on a database in a folder: what they print, what they refuse, what they leave behind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.account_commands import Typed, typing
from support.markdown import ROOT, blocks

# Keys and their ids, ends of secrets, times, who is logged in: these differ each time.
DRAWN = re.compile(
    r"\buk-[0-9A-Za-z]{12}-[\w-]{43}-\w{6}\b|\b(?=\w*[A-Z0-9])[0-9A-Za-z]{12}\b|\.\.\.[\w-]{4}"
    r"|\d{4}-\d\d-\d\d \d\d:\d\d|operator:\S+ *"
)
KEPT = re.compile(r"KEY=\$\((.*)\)")


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Typed:
    return typing(monkeypatch, capsys, tmp_path / "accounts.db")


def test_the_page_s_session_shows_what_the_page_says(typed: Typed, tmp_path: Path) -> None:
    for command, shown in blocks(ROOT / "docs" / "accounts.md")[0].commands():
        kept = KEPT.fullmatch(command)
        said = typed((kept[1] if kept else command).removeprefix("undiced "))
        assert said.status == 0, said.err
        seen = said.err if kept else said.out + said.err
        assert plain(seen.replace(str(tmp_path), "/srv/undiced")) == plain(shown), command


def plain(text: str) -> list[str]:
    return [DRAWN.sub("#", line.rstrip()) for line in text.splitlines() if line.strip()]
