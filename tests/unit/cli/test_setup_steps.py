"""The steps of `make serve`: what they say while they work, and that nothing of an error is lost."""

from __future__ import annotations

import subprocess
from pathlib import Path

STEP = Path(__file__).parents[3] / "tools" / "step.sh"


def step(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", STEP, "1/3 Building (1 min)", "sh", "-c", command], capture_output=True, text=True)


def test_a_step_says_what_it_does_and_hides_warnings() -> None:
    found = step("echo WARNING: noise >&2; echo noise")
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.startswith("1/3 Building (1 min) ... ") and found.stdout.endswith(" s\n")


def test_a_step_that_fails_shows_everything_and_its_status() -> None:
    found = step("echo compiling; echo 'error: expected ;' >&2; exit 3")
    assert found.returncode == 3 and found.stderr == "compiling\nerror: expected ;\n"
    assert found.stdout.endswith("failed:\n")
