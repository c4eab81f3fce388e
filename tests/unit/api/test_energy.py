"""Joules reach answers and metrics where they are known, and are absent, never zero, where they are not."""

from __future__ import annotations

import math

import pytest

from undiced.api.chunks import usage_object
from undiced.api.metrics import Metrics
from undiced.api.tally import Tally
from undiced.remote.client import Health
from undiced.serve import EngineStats, UsageEvent


def event(joules: float) -> UsageEvent:
    return UsageEvent("a", "stop", 3, 0, 2, 0.0, 0.1, 0.2, joules, "host")


@pytest.mark.parametrize(("joules", "told"), [((1.5, 2.0), 3.5), ((1.5, math.nan), None), ((math.nan,), None)])
def test_an_answer_has_the_joules_of_its_sequences_if_all_are_known(joules, told):
    tally = Tally()
    for each in joules:
        tally.add(event(each), 0)
    assert usage_object(tally).get("energy_joules") == told


@pytest.mark.parametrize(("joules", "told"), [(12.5, True), (math.nan, False), (0.0, False)])
def test_a_metric_tells_joules_that_are_known(joules, told):
    stats = EngineStats(steps=3, joules=joules, source="host")
    text = Metrics().render({"tiny": (stats, Health("ready", 1.0, "", 0))}).decode()
    assert ('undiced_engine_joules{model="tiny"} 12.5' in text) is told
    assert ("undiced_engine_joules{" in text) is told
