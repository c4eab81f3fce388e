"""How a batch's tokens choose experts: drawn figures beside what can be computed, files, and what is refused."""

import json

import pytest

from undiced.core.errors import InvalidRequestError
from undiced.sim.routing import Mixture, crowded

MANY = Mixture(128, 8, 1)


@pytest.mark.parametrize("tokens", [1, 4, 16, 64])
def test_of_equally_likely_experts_as_many_are_different_as_chance_says(tokens):
    found = crowded("uniform", MANY, tokens)
    assert found.distinct == pytest.approx(128 * (1 - (1 - 8 / 128) ** tokens), rel=0.01)
    assert found.choices == 8 * tokens and found.fullest == found.choices and found.crowd == 1.0
    assert "assumed" in found.provenance


def test_the_likelier_some_are_the_fewer_are_different_and_the_more_crowd():
    mixture = Mixture(64, 4, 8)
    even, some, steep = (crowded(routing, mixture, 16) for routing in ("uniform", "zipf", "zipf:2"))
    assert even.distinct > some.distinct > steep.distinct
    assert even.busiest < some.busiest < steep.busiest <= 16
    assert 1 / 8 < even.crowd < some.crowd < steep.crowd <= 1
    assert crowded("zipf:0", mixture, 16).distinct == pytest.approx(even.distinct, rel=0.02)


def test_a_token_chooses_no_expert_twice():
    found = crowded("zipf:3", Mixture(8, 8, 2), 1)
    assert (found.distinct, found.busiest, found.fullest, found.crowd) == (8, 1, 4, 0.5)


def test_the_same_question_has_the_same_answer():
    assert crowded("zipf", MANY, 8) == crowded("zipf", MANY, 8)


def test_counts_and_choices_of_a_file_are_drawn_from(tmp_path):
    counts, choices = tmp_path / "counts.json", tmp_path / "choices.json"
    counts.write_text(json.dumps({"counts": [1000, 1000, 0, 0, 0, 0]}))
    found = crowded(str(counts), Mixture(6, 2, 3), 8)
    assert found.distinct == 2 and found.fullest == 16, "the only likely ones lie in one group"
    choices.write_text(json.dumps({"choices": [[0, 3], [0, 4], [0, 5]]}))
    found = crowded(str(choices), Mixture(6, 2, 2), 8)
    assert found.busiest == 8 and 3 < found.distinct <= 4 and found.fullest == 8
    assert "3 tokens of choices.json" in found.provenance


@pytest.mark.parametrize(
    "text",
    ['{"counts": [1, 2]}', '{"counts": [1, -1, 2, 3, 4, 5]}', '{"choices": [[0, 9]]}', '{"choices": [[0]]}', "{}",
     '{"counts": "x"}', '{"choices": [[0, 1], [2]]}', '{"counts": [1, 0, 0, 0, 0, 0]}'],
)  # fmt: skip
def test_files_of_other_models_are_refused(text, tmp_path):
    file = tmp_path / "routing.json"
    file.write_text(text)
    with pytest.raises(InvalidRequestError, match="neither counts of 6 experts nor choices of 2"):
        crowded(str(file), Mixture(6, 2, 1), 2)


@pytest.mark.parametrize("routing", ["zipf:-1", "zipf:x", "zipf:99", "evenly", ""])
def test_unknown_routings_are_told_what_there_is(routing):
    with pytest.raises(InvalidRequestError, match="is no routing") as told:
        crowded(routing, MANY, 2)
    assert "zipf:1.2" in told.value.remedy
