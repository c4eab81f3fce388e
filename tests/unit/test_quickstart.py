"""The example in the documentation runs, layer by layer and in short, and both ways say the same."""

import runpy
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "quickstart.py"


@pytest.mark.model
def test_both_ways_give_one_answer():
    example = runpy.run_path(str(EXAMPLE), run_name="example")
    answer = example["layers"]()
    assert "Paris" in answer
    assert answer == example["short"]()
