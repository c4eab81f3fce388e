"""Which weights a wafer program has unless they are asked for: those nearest to the checkpoint's."""

import pytest

from undiced.compiler.wafer.asked import WEIGHTS, weights_of
from undiced.core.formats import FORMATS
from undiced.model import build_config, preset

NEAREST = {
    "INT4_32": "int4",
    "INT4_128": "int4",
    "INT8_32": "int8",
    "INT8_128": "int8",
    "FP8_32": "fp8",
    "FP8_128": "fp8",
}


@pytest.mark.parametrize("form", FORMATS)
def test_weights_are_those_nearest_to_the_stored_ones(form):
    bits = 8 * FORMATS[form].block_bytes / FORMATS[form].block
    expected = NEAREST.get(form, "fp16" if bits >= 16 else "int8" if bits > 5 else "int4")
    found = weights_of(build_config(preset("llama-3.1-8b"), form))
    assert found == expected and found in WEIGHTS
