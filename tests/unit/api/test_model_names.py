"""How a request names its model: by any of its names, in any case where that is clear; nothing names the only one."""

from __future__ import annotations

import pytest
from scripted import ByteTokenizer, LineChat, ScriptedEngine

from undiced.api.deployment import Deployment, ModelCard
from undiced.api.service import Service
from undiced.core.errors import ModelNotFoundError


def service(*named: tuple[str, ...]) -> Service:
    cards = [ModelCard(names[0], 0, 100, "d", aliases=names[1:]) for names in named]
    return Service([Deployment(card, ScriptedEngine(), ByteTokenizer(), LineChat()) for card in cards])


@pytest.mark.parametrize("name", ["Tiny", "tiny", "TINY ", "gpt-4o", "GPT-4o", ""])
def test_any_case_names_a_model_and_so_does_nothing(name):
    assert service(("Tiny", "gpt-4o")).deployment(name).card.id == "Tiny"


def test_exact_names_go_first_and_what_is_not_clear_names_nothing():
    two = service(("Tiny",), ("tiny", "other"))
    assert two.deployment("tiny").card.id == "tiny"
    assert two.deployment("OTHER").card.id == "tiny"
    for name in ("TINY", "", "none"):
        with pytest.raises(ModelNotFoundError, match="Use 'Tiny' or 'tiny'"):
            two.deployment(name)


@pytest.mark.parametrize("fields", [{}, {"model": None}, {"model": ""}, {"model": "M"}])
def test_the_answer_says_the_models_own_name(caller, fields):
    reply = caller.post("/v1/completions", {"prompt": "x", **fields})
    assert (reply.status, reply.json["model"]) == (200, "m")
