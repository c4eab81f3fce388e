"""Programs that a slow test fetches when it first needs them: from npm, or into a Python environment of their own.

They are kept in the user's cache by name and version, which the page of clients has. A fetch that fails fails the test.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from support.clients_page import CLIENTS
from support.markdown import ROOT

_CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "undiced" / "clients"
_FETCH_S = 1500


def npm_program(name: str, program: str) -> Path:
    """A program of an npm package."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    with _place(name) as (folder, missing):
        if missing:
            package = f"{name}@{CLIENTS[name].version}"
            _must(["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), package])
    return folder / "node_modules" / ".bin" / program


def python_programs(name: str, *further: str) -> Path:
    """The folder of programs of an environment with a Python package; `further` are requirements beside it."""
    with _place(name) as (folder, missing):
        if missing:
            _must([sys.executable, "-m", "venv", "--clear", str(folder)])
            package = f"{name}=={CLIENTS[name].version}"
            _must([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", package, *further])
    return folder / "bin"


def oracle_torch() -> str:
    """The requirement of torch that the project's own comparisons have, so that both are one download."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    return next(line for line in extras["oracle"] if line.startswith("torch="))


def alone(home: Path, **more: str) -> dict[str, str]:
    """The environment of a program that knows no account and reaches no other machine."""
    nowhere = "http://127.0.0.1:9"
    names = {name: nowhere for upper in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY") for name in (upper, upper.lower())}
    local = {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
    return {"PATH": os.environ["PATH"], "HOME": str(home), **names, **local, **more}


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill it and all that it started in the end, whatever happens; it was started as a session of its own."""
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def _place(name: str) -> Iterator[tuple[Path, bool]]:
    """Where it is kept, and whether it is yet to be fetched; others who want to fetch it wait."""
    folder = _CACHE / (re.sub(r"\W+", "-", name).strip("-") + "-" + CLIENTS[name].version)
    folder.mkdir(parents=True, exist_ok=True)
    done = folder.with_name(folder.name + ".fetched")
    with open(folder.with_name(folder.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder, not done.exists()
        done.touch()


def _must(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_FETCH_S, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr[-2000:]}"
