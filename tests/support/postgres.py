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
_START_S = 60.0
_OPTIONS = "-c listen_addresses= -c fsync=off -c full_page_writes=off -c max_connections=80"
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
            _make(programs, folder)
            log = ("-l", str(folder / "log"), "-o", f"{_OPTIONS} {_FASTER} -k {folder}")
            _run(folder, programs / "pg_ctl", "-D", str(folder / "data"), "-w", *log, "start")
    return str(folder)


class Own:
    """A server of one test, that is killed and started again, and loses no commit by that. `url`: of its database."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self._folder = programs, folder
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql://postgres@/postgres?host={folder}"

    def start(self) -> None:
        """Start it, perhaps after a kill."""
        end = time.monotonic() + _START_S
        while not self._started(end):
            assert time.monotonic() < end, (self._folder / "log").read_text()[-2000:]

    def _started(self, end: float) -> bool:
        """False if it ended at once, as it does while processes of the one before are still there."""
        command = [*_as_other(self._folder), self._programs / "postgres", "-D", self._folder / "data"]
        with (self._folder / "log").open("ab") as log:
            options = [*_OPTIONS.split(), "-k", str(self._folder)]
            self._process = subprocess.Popen([*command, *options], cwd="/", stdout=log, stderr=log)
        while self._process.poll() is None and time.monotonic() < end:
            with contextlib.suppress(OSError, IndexError):
                lines = (self._folder / "data" / "postmaster.pid").read_text().splitlines()
                if (int(lines[0]), lines[7].strip()) == (self._process.pid, "ready"):
                    return True
            time.sleep(0.01)
        return False

    def kill(self) -> None:
        """SIGKILL its first process; the others see that it is gone, and end."""
        self._end(signal.SIGKILL)

    def connections(self) -> list[int]:
        """Its processes that serve a connection each. If one is killed, it ends all, and starts again by itself."""
        assert self._process is not None
        found = []
        for name in Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split():
            with contextlib.suppress(OSError):  # gone meanwhile
                if b"[local]" in Path(f"/proc/{name}/cmdline").read_bytes():
                    found.append(int(name))
        return found

    def stop(self) -> None:
        """End it."""
        self._end(signal.SIGQUIT)

    def _end(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(_START_S)


@contextlib.contextmanager
def own() -> Iterator[Own]:
    """A server of one test alone; skips or fails it where PostgreSQL is not installed."""
    programs, folder = _programs(), Path(tempfile.mktemp(prefix="u", dir="/tmp"))
    if programs is None:
        (pytest.fail if REQUIRED in os.environ else pytest.skip)(MISSING)
    _make(programs, folder)
    made = Own(programs, folder)
    try:
        made.start()
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


def _make(programs: Path, folder: Path) -> None:
    """The files of a server."""
    folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    options = "-A trust -U postgres -E UTF8 --locale=C --no-sync".split()
    _run(folder, programs / "initdb", "-D", str(folder / "data"), *options)


def _run(folder: Path, *command: str | Path) -> None:
    """Run one of its programs."""
    done = subprocess.run([*_as_other(folder), *command], cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout.decode(errors="replace")


def _as_other(folder: Path) -> list[str]:
    """What comes before a command: its programs refuse to be run by root."""
    other = "setpriv --reuid=postgres --regid=postgres --clear-groups env" if os.geteuid() == 0 else "env"
    return [*other.split(), f"HOME={folder}"]


def _programs() -> Path | None:
    """The folder of its programs; the newest of Debian's, which are not on the path."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version)
    return next((folder for folder in reversed(folders) if (folder / "initdb").exists()), None)


def _version(folder: Path) -> float:
    name = folder.parent.name
    return float(name) if name.replace(".", "", 1).isdigit() else 0.0
