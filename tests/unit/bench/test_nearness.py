"""Nearness: an engine is as near to itself as can be, int8 keys and values change what it predicts a little, and a text
may be read as a prompt's or as an answer's."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from support import tiny_models

from undiced.bench.nearness import nearness, predictions
from undiced.checkpoint import Checkpoint, open_checkpoint
from undiced.compiler import compile
from undiced.machine.host import host
from undiced.model import build
from undiced.program import Bounds, HostProgram

LENGTH = 544
TOKENS = np.random.default_rng(3).integers(0, 40, LENGTH + 5).tolist()
Pair = tuple[Checkpoint, HostProgram, HostProgram]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """With keys and values in f16 and in int8."""
    case = tiny_models.stretched(tiny_models.load_case("qwen3"), 640)
    checkpoint = open_checkpoint(tiny_models.make_folder(case, tmp_path_factory.mktemp("near") / "tiny"))
    graph = build(checkpoint)
    yield checkpoint, *(compile(graph, host(1), Bounds(1, 640), kind) for kind in ("f16", "int8"))
    checkpoint.close()


def test_the_same_engine_predicts_the_same(pair: Pair) -> None:
    checkpoint, plain, _ = pair
    shares: list[float] = []
    (found,) = nearness(plain, plain, checkpoint, TOKENS, lambda share, _: shares.append(share))
    assert (found.reach, found.predictions, found.mean_kl, found.top1) == (512, 256, 0.0, 1.0)
    assert shares == sorted(shares) and 0 <= shares[0] < shares[-1] < 1


def test_int8_keys_and_values_change_predictions_a_little(pair: Pair) -> None:
    checkpoint, plain, narrow = pair
    (found,) = nearness(plain, narrow, checkpoint, TOKENS, lambda *_: None)
    assert 0 < found.mean_kl < 0.01 and 0.9 < found.top1 <= 1


def test_a_short_text_is_compared_as_far_as_it_goes(pair: Pair) -> None:
    checkpoint, plain, narrow = pair
    (found,) = nearness(plain, narrow, checkpoint, TOKENS[:70], lambda *_: None)
    assert (found.reach, found.predictions) == (64, 64) and found.mean_kl > 0


@pytest.mark.parametrize("isa", ["portable", ""])
def test_a_prompt_and_an_answer_are_read_nearly_alike(pair: Pair, isa: str) -> None:
    """Where a level attends in 16-bit integers the two have other bits, behind the first 256 positions."""
    checkpoint, plain, _ = pair
    asked, told = (
        np.concatenate([rows for _, rows in predictions(plain, checkpoint, TOKENS[:LENGTH], [LENGTH], _nobody, **how)])
        for how in ({"prompt": True, "isa": isa}, {"isa": isa})
    )
    assert asked.shape == told.shape == (256, 40)
    np.testing.assert_allclose(asked, told, rtol=0, atol=0.01)
    if isa == "portable":
        np.testing.assert_array_equal(asked, told)


def _nobody(_: float) -> None:
    """Is told how far it has come."""
