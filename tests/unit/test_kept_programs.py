"""Programs are kept: the second compilation of a file is read, is the same, and is of nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from undiced.checkpoint import resolve
from undiced.compiled import compile_for_host

pytestmark = pytest.mark.model


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the default model's file, with an empty cache."""
    copied = tmp_path / "copied.gguf"
    copied.write_bytes(resolve("smollm2-135m").read_bytes())
    monkeypatch.setenv("UNDICED_CACHE", str(tmp_path / "cache"))
    return copied


def kept(file: Path) -> int:
    """How many programs the cache holds."""
    return len(list((file.parent / "cache" / "programs").iterdir()))


def test_what_is_kept_is_what_would_be_compiled(file: Path) -> None:
    first, second = (compile_for_host(file, threads=1, max_batch=2, max_context=64) for _ in range(2))
    assert first.built is not None and second.built is None
    assert second.program == first.program and second.program.digest == first.program.digest
    assert second.config == first.graph.config
    assert second.graph.digest == first.graph.digest
    assert (second.parameters, second.weight_bytes) == (first.graph.parameters, first.graph.weight_bytes)


def test_other_bounds_and_other_files_are_other_programs(file: Path) -> None:
    asked = [
        {"threads": 1, "max_batch": 1, "max_context": 64},
        {"threads": 2, "max_batch": 1, "max_context": 64},
        {"threads": 1, "max_batch": 2, "max_context": 64},
        {"threads": 1, "max_batch": 1, "max_context": 65},
        {"threads": 1, "max_batch": 1, "max_context": 64, "kv_type": "int8"},
    ]
    for count, one in enumerate(asked, 1):
        compile_for_host(file, **one)  # type: ignore[arg-type]
        assert kept(file) == count
    os.utime(file)  # written to, for all that a start can see
    assert compile_for_host(file, **asked[0]).built is not None  # type: ignore[arg-type]
    assert kept(file) == len(asked) + 1
