"""16-bit partial sums, emulated on a real model, stay far closer to float32 than operators in bf16 do."""

import runpy
from pathlib import Path

import numpy as np
import pytest

WIRES = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks" / "wires.py"), run_name="wires")


def test_rounding_is_that_of_fp16_and_bf16():
    x = np.random.default_rng(0).normal(size=4096).astype(np.float32)
    assert (WIRES["to_fp16"](x)[np.abs(x) > 1e-3] == x.astype(np.float16).astype(np.float32)[np.abs(x) > 1e-3]).all()
    kept = WIRES["to_bf16"](x).view(np.uint32)
    assert (kept & 0xFFFF == 0).all()
    assert np.abs(WIRES["to_bf16"](x) / x - 1).max() <= 2**-8


def test_trees_add_every_term_once_and_round_every_addition():
    sums = WIRES["Sums"]()
    ones = np.ones((3, 576), np.float32)
    assert (sums.tree(ones, 2) == 576).all()
    assert sums.largest == 576
    big = np.full((1, 576), 1.0, np.float32)
    big[0, 0] = 4096.0  # beyond which fp16 can't count by ones
    assert sums.tree(big, 2)[0] != 4096 + 575


@pytest.mark.model
def test_sums_in_16_bits_do_less_harm_than_operators_in_bf16():
    found = WIRES["compare"]("smollm2-135m", 6)
    assert found["wafer_fp16_sums"]["mean_kl"] < 1e-3
    assert found["wafer_fp16_sums"]["mean_kl"] < found["bf16_operators"]["mean_kl"] / 2
    assert found["share_of_fp16_range"] < 0.25
