"""A throw-away PostgreSQL server for one run of the tests, on a Unix socket alone. Knows nothing of accounts.

It is started by the first test that asks, in whichever process, and stopped by the process that began the run. What it
holds would not survive a power cut: nobody needs it then.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = "TESTS_POSTGRES"  # where it lies; set for the processes of a run
REQUIRED = "TESTS_NEED_POSTGRES"  # set: tests fail where they would be left out
MISSING = "PostgreSQL is not installed, so NOTHING IS TESTED ON IT. As root: apt-get install -y postgresql"
_OPTIONS = "-c listen_addresses='' -c fsync=off -c full_page_writes=off -c max_connections=80"
_FASTER = "-c synchronous_commit=off"  # loses what was committed lately when it is killed


def reserve() -> None:
    """Choose a place for the server of this run: with a short path, as sockets need one. Nothing is made there yet."""
    os.environ[FOLDER] = tempfile.mktemp(prefix="u", dir="/tmp")


def started() -> str:
    """Where the server's socket is; starts it if nobody has.

    Raises:
        LookupError: it is not installed.
    """
    folder, programs = Path(os.environ[FOLDER]), _programs()
    if programs is None:
        raise LookupError(MISSING)
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _start(programs, folder, _FASTER)
    return str(folder)


class Own:
    """A server of one test, that is killed and started again, and loses no commit by that. `url`: of its database."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self._folder = programs, folder
        self.url = f"postgresql://postgres@/postgres?host={folder}"

    def start(self) -> None:
        """Start it, perhaps after a kill."""
        self._control("-w", "-t", "60", "-l", str(self._folder / "log"), "-o", f"{_OPTIONS} -k {self._folder}", "start")

    def kill(self) -> None:
        """SIGKILL its first process; the others see that it is gone, and end."""
        process = int((self._folder / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(process, signal.SIGKILL)
        while Path(f"/proc/{process}").exists():
            time.sleep(0.01)

    def stop(self) -> None:
        """End it."""
        self._control("-m", "immediate", "-w", "stop")

    def _control(self, *words: str) -> None:
        _run(self._folder, self._programs / "pg_ctl", "-D", str(self._folder / "data"), *words)


@contextlib.contextmanager
def own() -> Iterator[Own]:
    """A server of one test alone; skips or fails it where PostgreSQL is not installed."""
    programs, folder = _programs(), Path(tempfile.mktemp(prefix="u", dir="/tmp"))
    if programs is None:
        (pytest.fail if REQUIRED in os.environ else pytest.skip)(MISSING)
    _start(programs, folder)
    made = Own(programs, folder)
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder)


def stop() -> None:
    """Stop it, if it runs, and remove what it wrote."""
    folder, programs = Path(os.environ[FOLDER]), _programs()
    Path(f"{folder}.lock").unlink(missing_ok=True)
    if programs is not None and folder.exists():
        _run(folder, programs / "pg_ctl", "-D", str(folder / "data"), "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder)


def _start(programs: Path, folder: Path, options: str = "") -> None:
    folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    data = str(folder / "data")
    _run(folder, programs / "initdb", "-D", data, *"-A trust -U postgres -E UTF8 --locale=C --no-sync".split())
    log = ("-l", str(folder / "log"), "-o", f"{_OPTIONS} {options} -k {folder}")
    _run(folder, programs / "pg_ctl", "-D", data, "-w", *log, "start")


def _run(folder: Path, *command: str | Path) -> None:
    """Run one of its programs, which refuse to be run by root."""
    other = "setpriv --reuid=postgres --regid=postgres --clear-groups env".split() if os.geteuid() == 0 else ["env"]
    done = subprocess.run(
        [*other, f"HOME={folder}", *command], cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace")


def _programs() -> Path | None:
    """The folder of its programs; the newest of Debian's, which are not on the path."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version)
    return next((folder for folder in reversed(folders) if (folder / "initdb").exists()), None)


def _version(folder: Path) -> float:
    name = folder.parent.name
    return float(name) if name.replace(".", "", 1).isdigit() else 0.0
