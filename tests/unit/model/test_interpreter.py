"""The interpreter against itself: prefill, decode and batches agree; windows forget; hostile tokens are refused."""

from dataclasses import replace

import numpy as np
import pytest

from undiced.core.errors import InvalidRequestError
from undiced.model import KvState, RopeConfig, build, build_config, config_of, load_weights, run_batch, run_graph
from undiced.model.rope import rope_attrs, rope_frequencies

TOKENS = [3, 14, 15, 9, 26, 5, 35, 8, 49, 0]


@pytest.fixture
def model(tiny_llama):
    graph = build(tiny_llama)
    return graph, load_weights(graph, tiny_llama)


def test_decode_token_by_token_equals_prefill(model):
    whole, state = run_graph(*model, TOKENS, KvState()), KvState()
    steps = np.concatenate([run_graph(*model, [t], state) for t in TOKENS])
    np.testing.assert_allclose(steps, whole, atol=2e-5)
    assert state.length == len(TOKENS) and state.rows(1, "k").shape == (10, 16)


def test_chunks_equal_one_prefill(model):
    whole, state = run_graph(*model, TOKENS, KvState()), KvState()
    parts = [run_graph(*model, chunk, state) for chunk in (TOKENS[:4], TOKENS[4:5], TOKENS[5:])]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=2e-5)


def test_a_batch_of_unequal_lengths_equals_single_runs(model):
    prompts = [TOKENS, TOKENS[3:5], TOKENS[::-1]]
    states = [KvState() for _ in prompts]
    together = run_batch(*model, list(zip(prompts, states, strict=True)))
    again = run_batch(*model, [([7], s) for s in states])
    for prompt, first, second in zip(prompts, together, again, strict=True):
        state = KvState()
        np.testing.assert_allclose(first, run_graph(*model, prompt, state), atol=2e-5)
        np.testing.assert_allclose(second, run_graph(*model, [7], state), atol=2e-5)


def test_later_tokens_do_not_change_earlier_logits(model):
    changed = [*TOKENS[:6], 1, 2, 3, 4]
    first, second = run_graph(*model, TOKENS, KvState()), run_graph(*model, changed, KvState())
    np.testing.assert_array_equal(first[:6], second[:6])
    assert np.abs(first[6:] - second[6:]).max() > 0.01


@pytest.mark.parametrize("chunked", [False, True])
def test_one_layer_with_a_window_forgets(model, chunked):
    graph, weights = model
    config = replace(graph.config, layers=1, windows=(4,), chunked=chunked)
    short = build_config(config, "F32")
    changed = [1, 2, *TOKENS[2:]]
    first, second = run_graph(short, weights, TOKENS, KvState()), run_graph(short, weights, changed, KvState())
    forgets_from = 4 if chunked else 5
    np.testing.assert_array_equal(first[forgets_from:], second[forgets_from:])
    assert np.abs(first[3] - second[3]).max() > 1e-3


def test_only_distances_matter_to_rotary_attention(model):
    """With one layer, a token's logits depend on distances only: shifting all of them changes nothing."""
    graph, weights = model
    windowed = build_config(replace(graph.config, layers=1, windows=(3,)), "F32")
    with_prefix = run_graph(windowed, weights, [7, 7, 7, *TOKENS], KvState())
    without = run_graph(windowed, weights, TOKENS, KvState())
    np.testing.assert_allclose(with_prefix[5:], without[2:], atol=2e-5)


def test_watch_sees_every_node(model):
    seen = []
    run_graph(*model, TOKENS, KvState(), watch=lambda node, value: seen.append((node.out, value.shape[0])))
    assert seen == [(node.out, len(TOKENS)) for node in model[0].nodes]


@pytest.mark.parametrize("tokens", [[], [50], [-1]])
def test_impossible_tokens_are_refused(model, tokens):
    with pytest.raises(InvalidRequestError):
        run_graph(*model, tokens, KvState())


def test_rope_scaling_rules():
    rope = RopeConfig(theta=500000.0, dims=64)
    plain = rope_frequencies(rope_attrs(rope, 64, False), 64)
    linear = rope_frequencies(rope_attrs(replace(rope, scaling="linear", factor=4.0), 64, False), 64)
    np.testing.assert_allclose(linear, plain / 4)
    llama3 = replace(rope, scaling="llama3", factor=8.0, original_context=8192)
    scaled = rope_frequencies(rope_attrs(llama3, 64, False), 64) / plain
    assert scaled[0] == 1.0 and scaled[-1] == pytest.approx(1 / 8) and np.all(np.diff(scaled) <= 1e-12)
    yarn = replace(rope, scaling="yarn", factor=8.0, original_context=4096)
    ramp = rope_frequencies(rope_attrs(yarn, 64, False), 64) / plain
    assert ramp[0] == 1.0 and ramp[-1] == pytest.approx(1 / 8) and np.all(np.diff(ramp) <= 1e-12)
    local = rope_frequencies(rope_attrs(replace(llama3, local_theta=100.0), 64, True), 64)
    np.testing.assert_allclose(local, 100.0 ** (-np.arange(0, 64, 2) / 64))
    divided = rope_frequencies(rope_attrs(rope, 64, False), 64, np.full(32, 2.0, np.float32))
    np.testing.assert_allclose(divided, plain / 2)


def test_config_of_is_the_configuration_of_the_graph(tiny_llama, model):
    assert config_of(tiny_llama) == model[0].config


def test_longrope_takes_the_factors_that_the_longest_sequence_asks_for():
    rope = RopeConfig(
        theta=1e4, dims=4, scaling="longrope", original_context=32, short_factors=(1.0, 2.0), long_factors=(1.0, 8.0)
    )
    attrs = rope_attrs(rope, 8, False)
    plain = rope_frequencies({**attrs, "scaling": "none"}, 32)
    np.testing.assert_allclose(plain / rope_frequencies(attrs, 32), [1.0, 2.0])
    np.testing.assert_allclose(plain / rope_frequencies(attrs, 33), [1.0, 8.0])


def test_a_sequence_rotates_as_its_length_asks_or_as_it_is_told(model):
    """Without a word, a prompt beyond the trained context turns differently from its beginning alone."""
    rope = RopeConfig(
        theta=1e4, dims=8, scaling="longrope", original_context=4, short_factors=(1.0,) * 4, long_factors=(3.0,) * 4
    )
    graph, weights = build_config(replace(model[0].config, rope=rope), "F32"), model[1]
    whole, start = (run_graph(graph, weights, tokens, KvState()) for tokens in (TOKENS, TOKENS[:4]))
    assert np.abs(whole[3] - start[3]).max() > 1e-3
    told = run_graph(graph, weights, TOKENS[:4], KvState(), context=5)
    np.testing.assert_allclose(told[3], whole[3], atol=1e-4)
