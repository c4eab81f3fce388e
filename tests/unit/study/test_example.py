"""The example of the documentation sweeps, writes its rows, and draws them where it can."""

import csv
import runpy
import sys
import types
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "sweep.py"
SMALL = {"model": "smollm2-135m", "machine": "toy-64x64", "region": "64x64", "layers": 1, "wafers": (1, 2)}


@pytest.mark.slow
def test_the_example_writes_rows_without_matplotlib(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    example = runpy.run_path(str(EXAMPLE))
    rows = example["main"](tmp_path, **SMALL, contexts=(64, 1 << 23))
    assert [row["fits"] for row in rows] == [True, False, True, False]
    assert len(list(csv.DictReader((tmp_path / "rows.csv").read_text().splitlines()))) == 4
    told = capsys.readouterr()
    assert "needs matplotlib" in told.out and told.err.count("tokens per second") == 2


def test_the_example_draws_what_fits(tmp_path, monkeypatch):
    drawn = []

    class Axes:
        def plot(self, x, y, **how):
            drawn.append((x, y, how["label"]))

        def set(self, **_): ...
        def set_title(self, _): ...
        def legend(self): ...

    figure = types.SimpleNamespace(subplots=Axes, savefig=lambda file: drawn.append(file))
    monkeypatch.setitem(sys.modules, "matplotlib", types.ModuleType("matplotlib"))
    module = types.ModuleType("matplotlib.figure")
    module.Figure = lambda **_: figure
    monkeypatch.setitem(sys.modules, "matplotlib.figure", module)
    example = runpy.run_path(str(EXAMPLE))
    row = {"model": "m", "machine": "wse3", "context": 64, "tokens_per_second": 5.0, "wafers_given": 1, "fits": True}
    assert example["plot"]([row, row | {"context": 128, "fits": False}], tmp_path / "rows.png")
    assert drawn == [([64], [5.0], "1 wafer"), tmp_path / "rows.png"]
