"""The acceptance that is meant: assumed numbers, and what was measured of a pair, of the package or of a file."""

import json
from pathlib import Path

import pytest

from undiced.core.errors import CheckpointError, CompileError, InvalidRequestError
from undiced.sim.acceptance import Acceptance
from undiced.study import profiles
from undiced.study.profiles import measured
from undiced.study.stated import LOOKUP, stated

ENTRIES = json.loads(Path(profiles.__file__).with_name("acceptance.json").read_text())["profiles"]


def profile(target="big", draft="small", work="edit", temperature=0.0, scale=1, **more):
    counts = {
        "guessed": [100 * scale, 60 * scale, 9 * scale],
        "accepted": [60 * scale, 30 * scale, scale],
        "steps": 120 * scale,
    }
    about = {"pair": {"target": target, "draft": draft}, "source": "draft" if draft else "lookup", "work": work}
    return {**about, "temperature": temperature, **counts, "tokens": 1, **more}


@pytest.fixture
def file(tmp_path):
    def written(*profiles):
        path = tmp_path / "counts.json"
        path.write_text(json.dumps({"profiles": list(profiles)}))
        return str(path)

    return written


def test_a_number_is_assumed_and_says_so():
    for words in (0.7, "0.7"):
        found = stated(words, "big", "small")
        assert set(found.acceptance.shares) == {0.7} and found.words == 0.7 and "assumed" in found.provenance
    assert stated(None, "big", "small").words == 0.8


def test_what_the_package_has_was_measured_with_real_models_and_lookups_take_it():
    assert all(each.tokens > 0 if hasattr(each, "tokens") else each.steps > 0 for each in measured())
    (target,) = {each.pair.target for each in measured() if each.source == "lookup"}
    found = stated(None, target, LOOKUP)
    assert found.words == "measured" and f"lookups in answers of {target}" in found.provenance
    assert "taken over" not in found.provenance and 0 < found.acceptance.made < 1
    assert f"taken over for {target}-x" in stated("measured", f"{target}-x", LOOKUP).provenance
    assert {name for name, _ in found.by_work} <= {each.name for each in measured()}
    edit = stated("measured:edit", target, LOOKUP)
    assert edit.acceptance == dict(found.by_work)["edit"] and not edit.by_work


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry['work']} at {entry['temperature']}")
def test_shares_by_place_give_the_tokens_that_steps_gave(entry):
    found = Acceptance.counted(entry["guessed"], entry["accepted"], entry["steps"])
    right = sum(chance * number for number, chance in enumerate(found.chances(len(found.shares))))
    ends = entry["answers"] / entry["steps"]  # an answer's end cuts its last round
    assert 1 + found.made * right == pytest.approx(entry["tokens"] / entry["steps"], rel=0.03 + 0.1 * ends)


def test_kinds_of_work_go_together_by_their_counts(file):
    path = file(profile(), profile(work="prose", temperature=0.5, scale=3, accepted=[30, 9, 5]))
    both = stated(path, "big", "small")
    assert both.acceptance.shares == pytest.approx((90 / 400, 39 / 240, 6 / 36))
    assert both.acceptance.made == pytest.approx(400 / 480)
    assert [name for name, _ in both.by_work] == ["edit", "prose at 0.5"]
    assert stated(f"{path}:prose at 0.5", "big", "small").acceptance.shares == (0.1, 0.05, 5 / 27)
    assert "small guessing for big: edit, 100 first guesses" in stated(f"{path}:edit", "big", "small").provenance


def test_the_same_pair_is_taken_else_the_one_that_is_named(file):
    path = file(profile(), profile(target="large", scale=2), profile(draft=""))
    assert stated(path, "large", "small").acceptance.made == pytest.approx(200 / 240)
    with pytest.raises(InvalidRequestError, match=r"for huge\+small were not .* for big\+small, large\+small"):
        stated(path, "huge", "small")
    named = stated(f"{path}:large+small:edit", "huge", "small")
    assert "guessing for large: edit" in named.provenance and "taken over for huge" in named.provenance
    assert "lookups in answers of big" in stated(path, "huge", LOOKUP).provenance, "the only one"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("often", "'often' is no acceptance"),
        ("1.5", "no probability"),
        ("nan", "no probability"),
        ("{file}:poetry", "'poetry' was not measured with big"),
    ],
)
def test_strange_words_are_refused_with_what_could_be_said(words, message, file):
    with pytest.raises(InvalidRequestError, match=message) as caught:
        stated(words.replace("{file}", file(profile())), "big", "small")
    assert caught.value.remedy


def test_what_was_not_measured_is_not_made_up(file):
    with pytest.raises(InvalidRequestError, match="of a lookup were not measured"):
        stated(file(profile()), "big", LOOKUP)
    with pytest.raises(CompileError, match="say too little"):
        stated(file(profile(guessed=[9], accepted=[3])), "big", "small")


@pytest.mark.parametrize(
    "damage",
    [
        {"guessed": []},
        {"guessed": [-1], "accepted": [0]},
        {"guessed": [5], "accepted": [6]},
        {"guessed": [200], "accepted": [6]},
        {"guessed": [1 << 60], "accepted": [0]},
        {"steps": "many"},
        {"temperature": float("nan")},
        {"pair": "big"},
        {"work": 3},
    ],
)
def test_damaged_profiles_are_refused(damage, file):
    with pytest.raises((InvalidRequestError, CheckpointError)) as caught:
        stated(file(profile(**damage)), "big", "small")
    assert caught.value.remedy


def test_a_file_without_profiles_is_refused(tmp_path):
    path = tmp_path / "other.json"
    path.write_text("{}")
    with pytest.raises(InvalidRequestError, match="no profiles"):
        stated(str(path), "big", "small")
