"""Machine files: a printed machine reads back as itself, every figure has a meaning, the shipped example is one."""

from dataclasses import replace
from pathlib import Path

import pytest

from undiced.machine import PRESETS, find_machine, load_machine, wse3
from undiced.machine.toml import as_toml

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", [*PRESETS, "toy-8x4:48K"])
def test_a_printed_machine_is_itself_again_by_the_name_of_its_file(name, tmp_path):
    file, wafer = tmp_path / "mine.toml", find_machine(name)
    file.write_text(as_toml(wafer))
    assert load_machine(file) == replace(wafer, name="mine")


def test_every_figure_has_a_meaning():
    names = [name for name, _ in wse3().constants()]
    assert list(wse3().meanings()) == names and all(wse3().meanings().values())


def test_the_shipped_example_is_a_machine():
    found = find_machine(str(ROOT / "examples" / "my-wafer.toml"))
    assert found.name == "my-wafer" and found.mesh.size == (600, 800)
    assert found.core.vector_setup_cycles.span == (2, 8)
    assert found.core.transcendental_cycles == wse3().core.transcendental_cycles


def test_the_page_names_fields_that_there_are():
    """docs/wafer.md's table of terms: its fields exist, and its values are the preset's."""
    text = (ROOT / "docs" / "wafer.md").read_text()
    text = text.partition("## What a cycle is spent on")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| `")]
    constants = {name.split(".")[1]: constant for name, constant in wse3().constants()}
    told = [(field.strip(" `"), row) for row in rows for field in row[0].split(",")]
    assert len(told) > 20
    for field, row in told:
        assert field in constants, field
        if "`," not in row[0] and row[2].strip() != "-":
            assert float(row[2].split()[0].replace(",", "")) == pytest.approx(constants[field].value, rel=0.02), field
