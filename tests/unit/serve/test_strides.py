"""Strides against a machine whose costs are known, and against numpy's least squares."""

from __future__ import annotations

import random

import numpy as np
import pytest

from undiced.serve.strides import _FADED, _KEPT, _TRUST, Strides

BASE_S, DECODE_S, READ_S = 0.003, 0.002, 0.001


def seconds(decodes: int, prompt_tokens: int) -> float:
    return BASE_S + DECODE_S * decodes + READ_S * prompt_tokens


def test_it_learns_what_a_step_takes() -> None:
    strides, chance = Strides(), random.Random(1)
    for _ in range(300):
        step = chance.randrange(1, 33), chance.choice((0, 0, 40, 100))
        strides.observe(*step, seconds(*step) * chance.uniform(0.9, 1.1))
    for step in ((1, 0), (8, 0), (32, 0), (32, 100)):
        assert strides.seconds(*step) == pytest.approx(seconds(*step), rel=0.15)
    assert strides.prompt_token_s == pytest.approx(READ_S, rel=0.1)


def test_steps_that_all_read_prompts_tell_what_decoding_takes() -> None:
    """A burst of prompts: no step decodes alone, and ever more decode."""
    strides = Strides()
    strides.observe(0, 150, seconds(0, 150))
    for decodes in range(1, 33):
        strides.observe(decodes, 60, seconds(decodes, 60))
    assert strides.seconds(32, 0) == pytest.approx(seconds(32, 0), rel=0.25)
    assert strides.prompt_token_s == pytest.approx(READ_S, rel=0.25)


def test_steps_of_one_shape_leave_the_cost_of_a_token_at_their_mean() -> None:
    strides = Strides()
    for _ in range(100):
        strides.observe(0, 100, 0.2)
    assert strides.seconds(0, 100) == pytest.approx(0.2, rel=0.01)
    assert strides.prompt_token_s == pytest.approx(0.002, rel=0.2)


def test_a_step_that_was_held_up_counts_little() -> None:
    strides = Strides()
    for _ in range(50):
        strides.observe(4, 0, seconds(4, 0))
    strides.observe(4, 0, 100.0)
    assert strides.seconds(4, 0) < 1.2 * seconds(4, 0)


def test_nothing_is_known_before_the_first_step() -> None:
    assert (Strides().prompt_token_s, Strides().known) == (0.0, False)


@pytest.mark.parametrize("seed", range(20))
def test_it_fits_as_numpy_does(seed: int) -> None:
    """Weighted least squares with the assumption as three more rows; where a coefficient is negative, without it."""
    chance, strides = random.Random(seed), Strides()
    rows, taken, least = [], [], float("inf")
    for _ in range(chance.randrange(1, 60)):
        step = chance.randrange(0, 9), chance.choice((1, 30))
        took = seconds(*step) * chance.uniform(0.7, 1.3)
        rows.append((1, *step))
        taken.append(took)
        strides.observe(*step, took)
        least = min(least * _FADED, took / sum(step))
    faded = _KEPT ** np.arange(len(rows))[::-1]
    scale = np.array([np.average(taken, weights=faded), least, least])
    trust = np.sqrt(_TRUST) / scale
    weights = np.sqrt(faded) / taken
    matrix = np.concatenate([np.array(rows) * weights[:, None], np.diag(trust)])
    wanted = np.concatenate([np.array(taken) * weights, trust * (0, least, least)])
    kept = [0, 1, 2]
    while (found := np.linalg.lstsq(matrix[:, kept], wanted, rcond=None)[0]).min() < 0:
        kept.pop(int(found.argmin()))
    line = np.zeros(3)
    line[kept] = found
    assert strides.seconds(3, 7) == pytest.approx(line @ (1, 3, 7), rel=1e-6)
