"""The ladder's rungs are right, and the last of each kind is the fastest."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

import pytest
from support.markdown import ROOT

from undiced import _native


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None or not _native.isa_supported("avx2"), reason="needs g++ and AVX2")
def test_every_rung_is_right_and_higher_ones_are_faster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks" / "kernels")
    ladder = importlib.import_module("ladder")
    rows = {file.stem: ladder.measured(file, tmp_path) for file in ladder.FOLDER.glob("*.cpp")}
    assert len(rows) == 6 and all(row["percent"] < 100 for row in rows.values())
    assert rows["product_4_tiles"]["us"] < rows["product_3_vectors"]["us"] < rows["product_1_floats"]["us"]
    assert rows["attention_6_pages"]["us"] < rows["attention_5_rows"]["us"]
