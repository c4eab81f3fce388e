"""A map gives memory back when told to, and reads the same afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from undiced.checkpoint.mapping import MappedFile

SIZE = 32 << 20


def in_memory_of_files() -> int:
    """Bytes of mapped files that this process holds in memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssFile:"):
            return int(line.split()[1]) * 1024
    pytest.skip("the kernel does not tell files' pages apart")


def test_forgotten_pages_are_given_back_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(range(256)) * (SIZE // 256))
    file = MappedFile(path)
    view = file.view(0, SIZE)
    before = in_memory_of_files()
    assert sum(view[::4096]) == 0
    assert in_memory_of_files() > before + SIZE // 2
    file.forget()
    assert in_memory_of_files() < before + SIZE // 4
    assert view[SIZE - 1] == 255
    file.close()
    file.forget()
