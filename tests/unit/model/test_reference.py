"""The numpy meanings of operators against closed forms and loops that are even more obvious."""

import math

import numpy as np
import pytest

from undiced.model import reference as ref


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def floats(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def test_activations_have_their_known_values():
    x = np.array([-100.0, -1.0, 0.0, 1.0, 100.0], np.float32)
    np.testing.assert_allclose(ref.silu(x), [0, -0.26894143, 0, 0.73105857, 100], atol=1e-6)
    np.testing.assert_allclose(ref.gelu(x), [0, -0.15865525, 0, 0.84134475, 100], atol=1e-6)
    np.testing.assert_allclose(ref.gelu_tanh(x), [0, -0.15880801, 0, 0.841192, 100], atol=1e-6)
    assert ref.gelu(x).dtype == np.float32


def test_norms(rng):
    x, w, b = floats(rng, 3, 8), floats(rng, 8), floats(rng, 8)
    for row, y in zip(x, ref.rmsnorm(x, w, 1e-5, 8), strict=True):
        np.testing.assert_allclose(y, row / math.sqrt(float(np.mean(row**2)) + 1e-5) * w, rtol=1e-5)
    halves = ref.rmsnorm(x, w[:4], 1e-5, 4)
    np.testing.assert_array_equal(halves[:, 4:], ref.rmsnorm(x[:, 4:], w[:4], 1e-5, 4))
    np.testing.assert_allclose(ref.rmsnorm(x, None, 0.0, 8), x / np.sqrt(np.mean(x**2, -1, keepdims=True)), rtol=1e-5)
    y = ref.layernorm(x, np.ones(8, np.float32), b, 0.0) - b
    np.testing.assert_allclose(y.mean(-1), 0, atol=1e-6)
    np.testing.assert_allclose(y.std(-1), 1, rtol=1e-5)


@pytest.mark.parametrize("style", ["half", "interleaved"])
def test_rope_is_a_complex_rotation(rng, style):
    x, positions, frequencies = floats(rng, 3, 12), np.array([0, 5, 1000]), np.array([1.0, 0.01])
    y = ref.rope(x, positions, frequencies, ref.Rotation(6, 1, style, 1.5)).reshape(3, 2, 6)
    heads = x.reshape(3, 2, 6)
    pairs = [(1, 3), (2, 4)] if style == "half" else [(1, 2), (3, 4)]
    for j, (a, b) in enumerate(pairs):
        z = (heads[..., a] + 1j * heads[..., b]) * (1.5 * np.exp(1j * positions * frequencies[j]))[:, None]
        np.testing.assert_allclose(y[..., a] + 1j * y[..., b], z, atol=1e-5)
    np.testing.assert_array_equal(y[..., [0, 5]], heads[..., [0, 5]])


def test_attention_by_loops(rng):
    q, k, v = floats(rng, 2, 4, 3), floats(rng, 5, 2, 3), floats(rng, 5, 2, 6)
    allowed = ref.attention_mask(np.array([3, 4]), 5, window=3, chunk=0)
    assert allowed.tolist() == [[False, True, True, True, False], [False, False, True, True, True]]
    sinks = floats(rng, 4)
    for cap, sink in ((0.0, None), (2.0, None), (0.0, sinks)):
        y = ref.attend(q, k, v, allowed, 0.7, cap, sink).reshape(2, 4, 6)
        for t in range(2):
            for h in range(4):
                scores = k[:, h // 2] @ q[t, h] * 0.7
                scores = cap * np.tanh(scores / cap) if cap else scores
                powers = np.where(allowed[t], np.exp(scores), 0)
                total = powers.sum() + (0 if sink is None else math.exp(sink[h]))
                np.testing.assert_allclose(y[t, h], powers / total @ v[:, h // 2], rtol=1e-4, atol=1e-5)


def test_chunks_do_not_see_each_other():
    mask = ref.attention_mask(np.arange(6), 6, window=0, chunk=3)
    assert mask[4].tolist() == [False, False, False, True, True, False]


def rule(**changes):
    base = {"top_k": 2, "scoring": "softmax", "normalize": True, "scaling": 1.0, "groups": 1, "top_groups": 1,
            "group_best": 2}  # fmt: skip
    return ref.MoeRule(**(base | changes))


def test_routing_by_softmax():
    logits = np.log(np.array([[1, 2, 3, 4]], np.float32))
    np.testing.assert_allclose(ref.route(logits, None, rule()), [[0, 0, 3 / 7, 4 / 7]], rtol=1e-6)
    plain = ref.route(logits, None, rule(normalize=False, scaling=2.0))
    np.testing.assert_allclose(plain, [[0, 0, 0.6, 0.8]], rtol=1e-6)


def test_routing_by_sigmoid_with_a_bias_for_the_choice_only():
    logits, bias = np.array([[0.0, 1.0, 2.0, 3.0]], np.float32), np.array([9, 0, 0, 0], np.float32)
    weights = ref.route(logits, bias, rule(scoring="sigmoid", normalize=False))
    np.testing.assert_allclose(weights, [[0.5, 0, 0, 1 / (1 + math.exp(-3))]], rtol=1e-6)


def test_routing_within_the_best_groups():
    logits = np.array([[5, -9, 2, 2.1, -9, -9, 0, 0]], np.float32)
    weights = ref.route(logits, None, rule(scoring="sigmoid", groups=4, top_groups=2))
    assert np.flatnonzero(weights).tolist() == [2, 3]
    assert weights.sum() == pytest.approx(1.0)
    weights = ref.route(logits, None, rule(scoring="sigmoid", groups=4, top_groups=2, group_best=1))
    assert np.flatnonzero(weights).tolist() == [0, 3]


def test_experts_by_loops(rng):
    x, weights = floats(rng, 3, 4), np.array([[0, 0.5, 0.5], [1, 0, 0], [0, 0, 2]], np.float32)
    gate, up, down = floats(rng, 3, 5, 4), floats(rng, 3, 5, 4), floats(rng, 3, 4, 5)
    biases = [floats(rng, 3, 5), floats(rng, 3, 5), floats(rng, 3, 4)]
    for on_input in (False, True):
        y = ref.experts(x, weights, [gate, up, down, *biases], "silu", 0.0, on_input)
        for t in range(3):
            total = np.zeros(4, np.float32)
            for e in np.flatnonzero(weights[t]):
                share = weights[t, e]
                inner = x[t] * (share if on_input else 1)
                hidden = ref.silu(gate[e] @ inner + biases[0][e]) * (up[e] @ inner + biases[1][e])
                total += (down[e] @ hidden + biases[2][e]) * (1 if on_input else share)
            np.testing.assert_allclose(y[t], total, rtol=1e-4, atol=1e-5)


def test_clamped_glu_of_gpt_oss():
    gate, up = np.array([[9.0, 1.0]], np.float32), np.array([[-9.0, 2.0]], np.float32)
    y = ref.glu(gate, up, "swiglu_oss", 7.0)
    expected = [7 / (1 + math.exp(-1.702 * 7)) * (-7 + 1), 1 / (1 + math.exp(-1.702)) * 3]
    np.testing.assert_allclose(y[0], expected, rtol=1e-6)
