"""The pepper: made once, for its owner alone, and never taken for another one."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from support.at_once import at_once
from support.databases import OPERATOR

from undiced.account.accounts import Accounts
from undiced.account.errors import DatabaseError
from undiced.account.keys import KeyOrder
from undiced.account.pepper import load_pepper

MAKE_ONE = """
import sys
from pathlib import Path
from undiced.account.accounts import Accounts
from undiced.account.actor import Actor
accounts = Accounts(sys.argv[1], Path(sys.argv[2]))
accounts.organizations.create(Actor.operator("tests"), sys.argv[3])
accounts.close()
"""


def test_a_new_pepper_is_for_its_owner_alone(tmp_path: Path) -> None:
    place = tmp_path / "new folder" / "pepper"
    made = load_pepper(place, None, create=True)
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert load_pepper(place, None, create=False) == made
    assert len(made) == 64
    assert list(place.parent.iterdir()) == [place]


def test_what_is_missing_short_open_or_unreadable_is_told_with_a_remedy(tmp_path: Path) -> None:
    place = tmp_path / "pepper"
    with pytest.raises(DatabaseError, match=f"{place}, is not there. Restore"):
        load_pepper(place, None, create=False)
    place.touch(0o600)
    with pytest.raises(DatabaseError, match=r"less than 32 characters. .*openssl rand -hex 32"):
        load_pepper(place, None, create=True)
    place.write_text("s" * 31 + "\n")
    with pytest.raises(DatabaseError, match="less than 32") as error:
        load_pepper(place, None, create=True)
    assert "sss" not in str(error.value)
    place.write_text("s" * 32)
    place.chmod(0o640)
    with pytest.raises(DatabaseError, match=r"Others may read .*mode 640.*chmod 600"):
        load_pepper(place, None, create=True)
    with pytest.raises(DatabaseError, match="Cannot read"):
        load_pepper(tmp_path, None, create=True)
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseError, match=r"Cannot (read|write)"):
        load_pepper(tmp_path / "file" / "pepper", None, create=True)


def test_the_environment_goes_before_the_file_and_makes_none(tmp_path: Path) -> None:
    given = "x" * 40
    assert load_pepper(tmp_path / "pepper", given + "\n", create=True) == given.encode()
    assert (
        load_pepper(tmp_path / "pepper", "\udcff" * 32, create=True) == b"\xff" * 32
    )  # what the environment held in bytes
    assert not (tmp_path / "pepper").exists()
    with pytest.raises(DatabaseError, match="UNDICED_PEPPER has less than 32"):
        load_pepper(tmp_path / "pepper", "", create=True)


def test_of_many_who_make_one_at_once_all_have_the_same(tmp_path: Path) -> None:
    for number in range(5):
        made = at_once([partial(load_pepper, tmp_path / f"{number}", None, create=True)] * 4)
        assert len(set(made)) == 1
    assert len(list(tmp_path.iterdir())) == 5


def test_two_who_find_an_empty_database_make_one(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UNDICED_PEPPER", raising=False)
    opened = at_once([partial(Accounts, empty_url, tmp_path / "pepper")] * 3)
    for number, accounts in enumerate(opened):
        assert isinstance(accounts, Accounts), accounts
        accounts.organizations.create(OPERATOR, f"org{number}")
        assert len(accounts.organizations.list(OPERATOR)) == number + 1
        accounts.close()


@pytest.mark.slow
def test_two_processes_that_find_an_empty_database_make_one(empty_url: str, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "UNDICED_PEPPER"}
    command = [sys.executable, "-W", "error", "-c", MAKE_ONE, empty_url, str(tmp_path / "pepper")]
    running = [
        subprocess.Popen([*command, f"org{number}"], env=environment, stderr=subprocess.PIPE, text=True)
        for number in range(2)
    ]
    ended = [(process.communicate(timeout=60)[1], process.returncode) for process in running]
    assert ended == [("", 0)] * 2
    accounts = Accounts(empty_url, tmp_path / "pepper")
    assert [org.name for org in accounts.organizations.list(OPERATOR)] == ["org0", "org1"]
    accounts.close()


def test_another_pepper_is_refused_and_changes_nothing(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UNDICED_PEPPER", raising=False)
    place = tmp_path / "first"
    accounts = Accounts(url, place)
    accounts.organizations.create(OPERATOR, "acme")
    _, text = accounts.keys.create(OPERATOR, KeyOrder("inference", "acme", "default"))
    accounts.close()
    other = tmp_path / "other"
    load_pepper(other, None, create=True)
    with pytest.raises(DatabaseError, match=f"{other} is not the one of the keys .* Restore"):
        Accounts(url, other)
    with pytest.raises(DatabaseError, match="is not there"):
        Accounts(url, tmp_path / "third")
    assert not (tmp_path / "third").exists()
    monkeypatch.setenv("UNDICED_PEPPER", "y" * 32)
    with pytest.raises(DatabaseError, match="in UNDICED_PEPPER is not the one"):
        Accounts(url, place)
    monkeypatch.setenv("UNDICED_PEPPER", place.read_text())
    again = Accounts(url)
    again.keyring.keep(text.id, again.keyring.fetch(text.id))
    assert again.keyring.judge(text, "inference").org_name == "acme"
    again.close()
