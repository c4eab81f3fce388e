"""docs/fabric.md: its kernel and its commands, typed as they stand; its table of examples."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from support.fabric_examples import CYCLES
from support.markdown import ROOT, blocks

PAGE = ROOT / "docs" / "fabric.md"
STUCK = """from undiced.fabric import CORE, EAST, WEST, Kernel, way

def kernel():
    kernel = Kernel(3)
    data, red = kernel.array("data", 8), kernel.color("red")
    kernel.paint(red, kernel[0], way(CORE, to=EAST))
    kernel.paint(red, kernel[1], way(WEST, to=EAST))
    kernel.paint(red, kernel[2], way(WEST, to=CORE))
    with kernel.on(kernel[0], "talk") as pe:
        pe.move(red, data[:4])
    with kernel.on(kernel[2], "listen") as pe:
        pe.move(data, red)
    return kernel
"""
SPEED = re.compile(r"[\d.]+ s: [\d.]+ M")


def test_what_the_page_types_shows_what_it_shows(tmp_path: Path) -> None:
    code, *consoles = blocks(PAGE)
    (tmp_path / "sum.py").write_text(code.text)
    (tmp_path / "stuck.py").write_text(STUCK)
    typed = [pair for block in consoles for pair in block.commands()]
    assert len(typed) == 3
    for command, shown in typed:
        words = command.removeprefix("undiced ").split()
        done = subprocess.run([sys.executable, "-m", "undiced", *words], cwd=tmp_path, capture_output=True, text=True)
        found = SPEED.sub("#", done.stdout + done.stderr)
        whole, _, rest = SPEED.sub("#", shown.strip("\n")).partition("\n...")
        assert (found.startswith(whole) if "\n..." in shown else found.strip() == whole) and not rest.strip()


def test_its_table_has_every_example_with_its_cycles() -> None:
    rows = re.findall(r"^\| `(\w+)\.py` \| .* \| (\d+) \| (\d+) \| (\d+) \|$", PAGE.read_text(), re.MULTILINE)
    assert {name: tuple(map(int, cycles)) for name, *cycles in rows} == CYCLES
