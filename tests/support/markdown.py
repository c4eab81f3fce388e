"""Blocks of code in a Markdown page, and what else it says. Knows fences and prompts; runs nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_BLOCK = re.compile(r"^```([a-z]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its page's name, its language, its text."""

    page: str
    language: str
    text: str

    @property
    def name(self) -> tuple[str, str]:
        """The page and the block's first line."""
        return self.page, self.text.split("\n", 1)[0]

    def commands(self) -> Iterator[tuple[str, str]]:
        """Commands behind `$ `, and what each shows; a command with an open quote goes on in the next line."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            lines = part.splitlines()
            size = next(size for size in range(1, len(lines) + 1) if "\n".join(lines[:size]).count("'") % 2 == 0)
            yield "\n".join(lines[:size]), "\n".join(lines[size:])


def blocks(page: Path) -> list[Block]:
    """A page's blocks in their order."""
    return [Block(page.name, *found) for found in _BLOCK.findall(page.read_text())]


def prose(page: Path) -> str:
    """What stands outside of blocks."""
    return _BLOCK.sub("", page.read_text())


def inline(page: Path) -> list[str]:
    """What stands between single backticks."""
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose(page))]
