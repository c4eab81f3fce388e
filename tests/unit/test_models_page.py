"""docs/models.md against the code: its lists of families, formats and pre-tokenizers are the ones that are read."""

import re
from pathlib import Path

import pytest

from undiced.core.formats import GGUF_FORMATS
from undiced.model import FAMILIES
from undiced.model.config import MAX_LAYERS
from undiced.text.presplit import PRESPLITS

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text()


def section(title: str) -> str:
    return re.split(r"\n#+ ", PAGE.split(f"# {title}\n", 1)[1])[0]


def named(text: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", text))


def test_families() -> None:
    rows = [row.split("|") for row in section("Families").splitlines() if row.startswith("| ")][2:]
    assert {name for row in rows for name in named(row[2])} == {name for f in FAMILIES.values() for name in f.gguf}
    types = {name for f in FAMILIES.values() for name in f.hf if name.islower()}
    assert {name for row in rows for name in named(row[3])} == types
    assert f"at most {MAX_LAYERS} layers" in PAGE


def test_formats() -> None:
    gguf = section("Number formats").split("- GGUF", 1)[1].split(". ", 1)[0]
    assert named(gguf) == set(GGUF_FORMATS)


def test_pre_tokenizers() -> None:
    table = section("Tokenizers").split("| Split as", 1)[1].split("\n\n", 1)[0]
    rows = [named(row.split("|")[2]) for row in table.splitlines() if row.startswith("| ") and "`" in row]
    assert set().union(*rows) == set(PRESPLITS)
    for names in rows:
        assert len({PRESPLITS[name].splits for name in names}) == 1, names


@pytest.mark.parametrize("row", range(9))
def test_no_name_stands_in_two_rows(row: int) -> None:
    table = section("Tokenizers").split("| Split as", 1)[1].split("\n\n", 1)[0]
    rows = [named(line.split("|")[2]) for line in table.splitlines() if line.startswith("| ") and "`" in line]
    others = set().union(*(names for at, names in enumerate(rows) if at != row))
    assert not rows[row] & others
