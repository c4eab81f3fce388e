"""The first things that newcomers type, in a fresh copy of the project, with a home and a cache of their own.

Each file is a person. `build/newcomers/NAME.txt` keeps all that they saw, to be read as they would.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.first_steps import Done, Step, carry_out, read
from support.markdown import ROOT
from support.screen import seen

FILES = sorted(Path(__file__).parent.glob("*.txt"))
SEEN = ROOT / "build" / "newcomers"
LIMIT_S = 3600


def test_every_person_types_twenty_things_at_least() -> None:
    assert [file.stem for file in FILES] == ["architect", "developer", "operator", "team"]
    for file in FILES:
        assert len(read(file.read_text())) >= 20, file.name


@pytest.mark.parametrize("line", ["  promises nothing", "no command", "  status none"])
def test_a_line_that_is_no_expectation_is_refused(line: str) -> None:
    with pytest.raises(ValueError):
        read(f"$ true\n{line}")


@pytest.mark.parametrize(
    ("expected", "typed", "fault"),
    [
        ("", "echo hello", None),
        ("", "false", "status 1 and not 0"),
        ("  status 3", "(exit 3)", None),
        ("  shows hel+o", "echo hello", None),
        ("  shows bye", "echo hello", "does not show 'bye'"),
        ("  never hello", "echo hello", "shows 'hello'"),
        ("", "echo Traceback", "shows 'Traceback'"),
        ("", "printf %90s x", "90 columns wide"),
        ("  wide", "printf %90s x", None),
        ("  within 0.2 s", "sleep 5", "not done within 0.2 s"),
        ("  at Name type Ada\n  shows Hello, Ada", 'read -p "Name? " name; echo "Hello, $name"', None),
        ("  stays at ready", "echo ready; sleep 60", None),
    ],
)
def test_what_is_not_as_expected_is_a_fault(expected: str, typed: str, fault: str | None, tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "PATH": os.defpath}
    [done] = carry_out(read(f"$ {typed}\n{expected}"), tmp_path, environment, {}, lambda done: None)
    assert list(done.faults()) == ([fault] if fault else [])


def test_terminals_go_on_side_by_side_and_keys_reach_what_runs_there(tmp_path: Path) -> None:
    steps = read(
        "== one\n$ echo up; sleep 60\n  stays at up\n== two\n$ echo beside\n  shows beside\n== one\n$ ^C\n  status 130"
    )
    done = carry_out(steps, tmp_path, {"PATH": os.defpath}, {}, lambda done: None)
    assert [fault for each in done for fault in each.faults()] == []


def test_the_screen_is_what_stays_after_the_cursor_moved() -> None:
    assert seen("10 %\r\x1b[2K100 %\r\n\x1b[31mred\x1b[0m\r\ngone\x1b[1A\r\x1b[Kover") == "100 %\nover\ngone"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as somebody gets it: what git keeps, and nothing that was built."""
    folder = tmp_path_factory.mktemp("newcomers") / "undiced"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    return folder


@pytest.fixture
def person() -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """An environment without anything of ours, a home whose path is no longer than usual, and free ports. How packages
    are reached is the machine's to say.
    """
    with tempfile.TemporaryDirectory(prefix="home") as home, socket.socket() as free, socket.socket() as other:
        free.bind(("127.0.0.1", 0)), other.bind(("127.0.0.1", 0))
        port, admin = (str(each.getsockname()[1]) for each in (free, other))
    outside = [folder for folder in os.environ["PATH"].split(":") if not Path(folder).is_relative_to(ROOT)]
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "LANG"))}
    yield (
        {
            **kept,
            "HOME": home,
            "PATH": ":".join(outside),
            "PORT": port,
            "UNDICED_PORT": port,
            "UNDICED_ADMIN_PORT": admin,
        },
        {"8000": port, "8001": admin},
    )


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_first_steps(
    file: Path, fresh: Path, person: tuple[dict[str, str], dict[str, str]], capsys: pytest.CaptureFixture
) -> None:
    SEEN.mkdir(parents=True, exist_ok=True)
    kept = SEEN / file.name
    kept.write_text("")
    done = carry_out(read(file.read_text()), fresh, *person, telling(kept, capsys))
    faults = [f"{each.step.command}: {fault}" for each in done for fault in each.faults()]
    assert not faults, f"{kept} has all that was seen\n" + "\n".join(faults)


def telling(kept: Path, capsys: pytest.CaptureFixture) -> Callable[[Done], None]:
    """Keeps what was seen and says at once how each step went."""

    def tell(done: Done) -> None:
        with kept.open("a") as file:
            file.write(done.transcript())
        with capsys.disabled():
            print(f"\n{said(done.step)}: {', '.join(done.faults()) or 'as expected'} ({done.took_s:.1f} s)", end="")

    return tell


def said(step: Step) -> str:
    """The first line of a command."""
    return step.command.split("\n", 1)[0][:70]
