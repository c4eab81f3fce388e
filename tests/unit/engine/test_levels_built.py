"""The native code for 64-bit Arm compiles (where a cross compiler is here), and Python knows every level by name."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from support.markdown import ROOT

from undiced.engine.level import LEVELS

COMPILER = shutil.which("aarch64-linux-gnu-g++")
NATIVE = ROOT / "native"
# What differs by processor: kernels, detection, waiting, memory, the fabric's threads.
FILES = ("kernels/neon.cpp", "kernels/dispatch.cpp", "kernels/probe.cpp", "team.cpp", "memory.cpp")


@pytest.mark.skipif(COMPILER is None, reason="no cross compiler: apt-get install g++-aarch64-linux-gnu")
@pytest.mark.parametrize("name", FILES)
def test_arm_compiles(name: str) -> None:
    flags = ["-std=c++20", "-Wall", "-Wextra", "-Werror", "-DUNDICED_ARM64", "-march=armv8.2-a+dotprod"]
    done = subprocess.run(
        [COMPILER, "-fsyntax-only", *flags, f"-I{NATIVE / 'engine'}", str(NATIVE / "engine" / name)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[:2000]


def test_every_level_has_its_name() -> None:
    declared = re.search(r"enum class Isa [^{]*\{([^}]*)\}", (NATIVE / "engine" / "kernels.h").read_text())
    assert declared is not None
    assert tuple(re.findall(r"k(\w+) =", declared[1].lower())) == LEVELS


def test_every_level_has_a_page() -> None:
    page = (ROOT / "docs" / "levels.md").read_text()
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(LEVELS)
