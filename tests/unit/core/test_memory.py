"""Main memory: what is installed, or what a container leaves of it."""

import os

import pytest

from undiced.core import memory
from undiced.machine.host import host

INSTALLED = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("max\n", INSTALLED), ("1048576\n", 1 << 20), (f"{1 << 60}\n", INSTALLED), (None, INSTALLED)],
)
def test_the_container_s_limit_counts_where_it_is_lower(monkeypatch, tmp_path, limit, expected):
    path = tmp_path / "memory.max"
    if limit is not None:
        path.write_text(limit)
    monkeypatch.setattr(memory, "_CGROUP_LIMIT", path)
    assert memory.main_memory_bytes() == expected
    assert host(1).memory_bytes == expected


def test_a_system_that_does_not_tell(monkeypatch, tmp_path):
    def unknown(name):
        raise ValueError(name)

    monkeypatch.setattr(memory.os, "sysconf", unknown)
    monkeypatch.setattr(memory, "_CGROUP_LIMIT", tmp_path / "memory.max")
    assert memory.main_memory_bytes() == 8 << 30


def test_what_is_freed_goes_back_to_the_system_or_nothing_happens() -> None:
    memory.give_back()
