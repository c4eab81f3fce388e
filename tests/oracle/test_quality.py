"""The quality gates on the real files: the engine's distributions against the dequantized float reference."""

import runpy
from pathlib import Path

import pytest

QUALITY = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "quality.py"), run_name="quality")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("model", ["smollm2-135m", "gemma3-270m"])
def test_engine_is_close_to_float(model):
    sides = QUALITY["compare"](model, 13, with_peer=False)
    assert set(sides) == {"undiced", "undiced, decoded"} and sides["undiced"] != sides["undiced, decoded"]
    for figures in sides.values():
        assert figures["predictions"] >= 3000
        assert not QUALITY["failures"](figures), figures
