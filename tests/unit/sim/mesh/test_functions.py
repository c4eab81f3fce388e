"""Sequences of vector operations beside the functions that they stand for."""

from math import erf

import numpy as np
import pytest

from undiced.program.wafer.sequences import CALLS, SEQUENCES
from undiced.sim.mesh.functions import run_function, run_library

WIDE = np.concatenate([np.linspace(-30, 30, 6001), [0.0, 1e-6, -1e-6]]).astype(np.float32)
POSITIVE = np.geomspace(1e-6, 1e6, 5001).astype(np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gelu(x):
    return x / 2 * (1 + np.vectorize(erf)(x / np.sqrt(2)))


def gelu_tanh(x):
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def power_of_two(x):
    return 2.0 ** np.floor(np.log2(x))


# (function, arguments, relative bound, absolute bound)
EXPECTED = {
    "exp": (np.exp, WIDE, 2e-4, 0),
    "reciprocal": (np.reciprocal, POSITIVE, 2e-5, 0),
    "inverse_root": (lambda x: 1 / np.sqrt(x), POSITIVE, 2e-5, 0),
    "power_of_two": (power_of_two, POSITIVE, 0, 0),
    "inverse_power": (np.reciprocal, 2.0 ** np.arange(-30, 31, dtype=np.float32), 0, 0),
    "sigmoid": (sigmoid, WIDE, 3e-4, 1e-6),
    "tanh": (np.tanh, WIDE, 3e-4, 2e-4),
    "silu": (lambda x: x * sigmoid(x), WIDE, 3e-4, 1e-5),
    "quick_gelu": (lambda x: x * sigmoid(1.702 * x), WIDE, 3e-4, 1e-5),
    "gelu": (gelu, WIDE, 3e-4, 1e-4),
    "gelu_tanh": (gelu_tanh, WIDE, 3e-4, 1e-4),
}


@pytest.mark.parametrize("name", sorted(SEQUENCES))
def test_a_sequence_is_its_function(name):
    function, x, relative, absolute = EXPECTED[name]
    found = run_function(name, x)
    np.testing.assert_allclose(found, function(x.astype(np.float64)), rtol=relative, atol=absolute)
    assert not np.shares_memory(found, x)


def test_exponentials_stay_finite_far_out():
    assert np.isfinite(run_function("exp", np.array([-1e30, -1e5, 1e5, 1e30], np.float32))).all()
    assert run_function("exp", np.array([-1e30], np.float32))[0] < 1e-30


@pytest.mark.parametrize("name", sorted(CALLS))
def test_the_library_is_exact_to_a_rounding_or_two(name):
    function, x, _, absolute = EXPECTED[name]
    found, wanted = run_library(name, x), function(x.astype(np.float64))
    assert found.dtype == np.float32
    assert np.abs(found - wanted).max() <= np.abs(1e-6 * wanted).max() + absolute
    assert name in SEQUENCES
