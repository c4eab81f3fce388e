"""Texts go on through a core that fails, with the tokens of a whole wafer; what names no core is refused."""

from __future__ import annotations

import pytest
from support.defective import MACHINE, around, defects, whole
from support.mesh_models import prompt, tiny

from undiced.cli.emulation import Meshed, Texts
from undiced.cli.surviving import Surviving, planned
from undiced.core.errors import CompileError, InvalidRequestError
from undiced.machine.repair import UnrepairableError
from undiced.sim.mesh.executor import MeshExecutor

GRAPH, WEIGHTS = tiny("llama")
PROMPTS = [prompt("llama", 5)]


def placed(meshed, failing=None):
    return MeshExecutor(meshed.program, WEIGHTS.__getitem__, "fp32", None, failing)


def tokens(steps):
    return [token for made in steps for _, token in made]


def plain(program=None):
    return Texts(placed(Meshed(None, GRAPH, program or around())), MACHINE)


def surviving(words, program=None):
    return Surviving(Meshed(None, GRAPH, program or around()), MACHINE, planned(words), placed)


@pytest.mark.parametrize("words", ["3,6@1", "3,6@3:stop", "3,6@3:corrupt", "0,3,0@4:corrupt"])
def test_texts_go_on_through_a_core_that_fails(words):
    wanted = tokens(plain().continued(PROMPTS, 5, frozenset()))
    texts = surviving(words)
    assert tokens(texts.continued(PROMPTS, 5, frozenset())) == wanted and len(wanted) == 5
    plan, outage = planned(words), texts.outage
    assert outage.found == ((plan.failure.x, plan.failure.y),) and outage.token == plan.token
    assert outage.found[0] in texts.meshed.program.individuals[0].dead
    assert ("does not add up" in outage.seen) is words.endswith("corrupt")
    assert outage.took.total_s > outage.took.locate_s > 0 and outage.moved > 0
    assert outage.as_dict()["lost"]["total_s"] == outage.took.total_s and "roll call" in texts.told()


def test_wafers_without_maps_get_some():
    texts = surviving("3,6@2", whole())
    assert len(tokens(texts.continued(PROMPTS, 3, frozenset()))) == 3
    assert texts.meshed.program.individuals[0].map == "new, worn"


def test_a_text_that_ends_before_meets_no_failure():
    texts = surviving("3,6@9")
    assert len(tokens(texts.continued(PROMPTS, 2, frozenset()))) == 2
    assert texts.outage is None and "before token 9" in texts.told()


def test_several_texts_go_on_and_one_that_has_ended_stays_so():
    batch, program = [PROMPTS[0], prompt("llama")[7:12]], around(batch=2)

    def texts(of, stops):
        found = [[], []]
        for made in of.continued(batch, 4, stops):
            for which, token in made:
                found[which].append(token)
        return found

    stop = frozenset(texts(plain(program), frozenset())[1][:1])  # the first token of the second text ends it
    wanted, failing = texts(plain(program), stop), surviving("3,6@2:corrupt", program)
    assert texts(failing, stop) == wanted and len(wanted[1]) == 1 and failing.outage is not None


def test_the_wafers_time_goes_on_while_it_recovers():
    whole, hurt = plain(), surviving("3,6@3")
    for texts in (whole, hurt):
        tokens(texts.continued(PROMPTS, 5, frozenset()))
    before, after = whole.simulated(), hurt.simulated()
    assert after["seconds"] > before["seconds"] + hurt.outage.took.total_s - hurt.outage.took.rebuild_s
    assert 0 < before["joules"] < after["joules"] and after["source"] == MACHINE.name
    assert len(before["texts"]) == 1 and before["texts"][0]["joules"] == before["joules"]


def test_a_failure_that_no_spare_helps_names_the_row():
    (x, y), *_ = defects().cores
    with pytest.raises(UnrepairableError, match=f"row {y}"):
        tokens(surviving(f"{x + 1},{y}@2").continued(PROMPTS, 3, frozenset()))


@pytest.mark.parametrize("words", ["", "5", "5,7", "5,7@0", "5@3", "-1,2@3", "5,7@3:melt", "1,2,3,4@5", "9999999,1@1"])
def test_words_that_name_no_core_and_token_are_refused(words):
    with pytest.raises(InvalidRequestError, match="names no core") as told:
        planned(words)
    assert "5,7@3" in told.value.remedy


@pytest.mark.parametrize(
    ("words", "says"), [("99,1@2", "is none of"), ("3,6,1@2", "is none of"), ("2,0@2", "has no part")]
)
def test_cores_that_nobody_would_miss_are_refused(words, says):
    with pytest.raises(CompileError, match=says) as told:
        surviving(words)
    assert told.value.remedy
