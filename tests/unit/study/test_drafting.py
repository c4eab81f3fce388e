"""Drafts beside their targets: on spare cores or on wafers of their own; what does not go together is refused."""

import json
import re

import numpy as np
import pytest
from support.tiny_models import load_case

import undiced
from undiced.core.errors import InvalidRequestError
from undiced.machine import find_machine
from undiced.machine.energy import energy_draws
from undiced.program.wafer.rings import tokens_ahead
from undiced.sim.acceptance import LENGTH_MAX
from undiced.sim.crossing import across_s, between_s, host_s
from undiced.sim.power.power import power
from undiced.study.question import Question, place
from undiced.study.rows import COLUMNS

MACHINE = "toy-48x16:22K"
ASKED = {"machine": MACHINE, "region": "8x16", "context": 64}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Configurations of tiny models, by what they are."""
    root = tmp_path_factory.mktemp("models")

    def named(name, family="llama", **changed):
        (root / name).mkdir(exist_ok=True)
        config = {**load_case(family)["config"], **changed}
        (root / name / "config.json").write_text(json.dumps(config))
        return str(root / name / "config.json")

    return named


@pytest.fixture(scope="module")
def target(folder):
    return folder("target", num_hidden_layers=12)


@pytest.fixture(scope="module")
def draft(folder):
    return folder("draft", num_hidden_layers=1)


@pytest.fixture(scope="module")
def found(target, draft):
    return undiced.simulate(target, **ASKED, draft=draft, acceptance=0.7)


def test_a_draft_lies_beside_its_target_where_cores_are_spare(found):
    said = found["speculation"]
    assert found["wafers"] == 1 and [home["wafers"] for home in said["homes"]] == [1, 0]
    speeds = {home["on"]: home["tokens_per_second"] for home in said["homes"]}
    assert speeds.keys() == {"a wafer of its own", "spare cores of wafer 0, 32x16"}
    assert said["draft_on"] == "spare cores of wafer 0, 32x16" and said["draft_wafers"] == 0
    assert said["tokens_per_second"] == max(speeds.values())
    assert said["acceptance"] == 0.7 and "assumed" in said["provenance"] and 1 <= said["drafted_tokens"] <= LENGTH_MAX
    assert said["gain"] == pytest.approx(said["tokens_per_second"] / found["tokens_per_second"])
    speed = said["tokens_per_round"] * found["clock_hz"] / said["cycles_per_round"]
    assert speed == pytest.approx(said["tokens_per_second"]) and said["rows_per_token"] >= 1


def test_rows_in_vain_and_the_drafts_tokens_are_paid_for(found, target):
    """Without guesses a token takes what `undiced power` says of one user's; with them each part by what it is of."""
    said = found["speculation"]
    energy = {name: each["median"] for name, each in said["energy"].items()}
    made = place(Question(target, **ASKED, draft="lookup"))
    alone = power(made.program, made.wafer, 64)
    assert energy["token_j_without_guesses"] == pytest.approx(alone.one.token_j.median, rel=1e-6)
    delivered = np.median(energy_draws(made.wafer).delivered)
    row = alone.work_j.median / delivered
    assert energy["rows_in_vain_j"] == pytest.approx((said["rows_per_token"] - 1) * row, rel=0.05)
    assert 0 < energy["draft_j"] < said["tokens_per_round"] * row and said["gain"] > 1
    assert energy["idle_j"] < energy["token_j_without_guesses"] - row  # it waits for a shorter time
    total = row + energy["rows_in_vain_j"] + energy["draft_j"] + energy["idle_j"]
    assert energy["token_j"] == pytest.approx(total, rel=0.05)


def test_crossings_are_those_of_where_it_lies(found, target, draft):
    wafer = find_machine(MACHINE)
    clock, said = found["clock_hz"], found["speculation"]
    assert said["crossing_to_target_s"] == said["crossing_to_draft_s"] == across_s(wafer, clock)
    full = undiced.simulate(target, **ASKED | {"region": "24x16"}, layers=24, draft=draft)["speculation"]
    assert full["draft_wafers"] == 1 and [home["on"] for home in full["homes"]] == ["a wafer of its own"]
    assert full["crossing_to_target_s"] == between_s(wafer, clock) and full["acceptance"] == 0.8
    host = undiced.simulate(target, **ASKED, draft="lookup")["speculation"]
    assert host["crossing_to_draft_s"] == host_s(wafer, clock) and host["draft_on"] == "the host"
    assert host["acceptance"] == "measured" and host["by_work"] and host["rounds_with_guesses"] < 1


def test_rows_have_guesses_and_place_a_draft_once(target, draft, monkeypatch):
    from undiced.study import drafting

    placed = []
    monkeypatch.setattr(drafting, "place", lambda asked, *rest: placed.append(asked) or place(asked, *rest))
    rows = undiced.simulate(target, **ASKED, draft=[draft, "lookup"], acceptance=[0.5, "0.9"])
    assert len(placed) == 2 and all(tuple(row) == COLUMNS for row in rows)
    speeds = [row["speculated_tokens_per_second"] for row in rows]
    assert speeds[0] < speeds[1] and speeds[2] < speeds[3] and [row["acceptance"] for row in rows] == [0.5, 0.9] * 2
    assert "always is one" in rows[3]["acceptance_provenance"] and rows[0]["draft_on"].startswith("spare cores")


def test_windows_keep_positions_for_wrong_guesses(folder):
    windowed = folder("windowed", "gemma3")
    held = [place(Question(windowed, "toy-8x8", region="8x8", context=64, draft=draft)) for draft in (None, "lookup")]
    assert [tokens_ahead(each.program) for each in held] == [1, LENGTH_MAX]


@pytest.mark.parametrize("changed", [{"num_hidden_layers": 13}, {"vocab_size": 5000}], ids=["layers", "vocab"])
def test_what_does_not_go_together_is_refused_with_both_numbers(changed, folder, target):
    other = folder("other", **changed)
    with pytest.raises(InvalidRequestError, match=r"other (has|knows) [\d,]+ .*target [\d,]+") as caught:
        undiced.simulate(target, **ASKED, draft=other)
    assert caught.value.remedy
    with pytest.raises(InvalidRequestError):
        undiced.simulate(target, **ASKED | {"context": [32, 64]}, draft=other)


def test_a_ready_program_knows_its_size_too(target, draft, folder):
    program = undiced.compile(draft, **ASKED)
    with pytest.raises(InvalidRequestError, match="products a token") as caught:
        undiced.simulate(program, draft=target)
    mine, its = (int(each.replace(",", "")) for each in re.findall(r"(?:has|and \S+) ([\d,]+)", str(caught.value)))
    assert mine > its > 0
    with pytest.raises(InvalidRequestError, match="knows 5,000 tokens"):
        undiced.simulate(program, draft=folder("other", num_hidden_layers=1, vocab_size=5000))


def test_layers_that_replace_the_targets_count(target, draft):
    with pytest.raises(InvalidRequestError, match="The draft is larger"):
        undiced.simulate(target, **ASKED, layers=2, draft=target)


def test_a_wafer_with_defects_has_no_spare_cores_for_a_draft(target, draft):
    found = undiced.simulate(target, **ASKED | {"region": "8x15"}, draft=draft, defects="3")
    assert [home["wafers"] for home in found["speculation"]["homes"]] == [1]
