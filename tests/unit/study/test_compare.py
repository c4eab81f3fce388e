"""A comparison's points, what of them nothing beats, measured points, and its picture."""

from typing import get_args
from xml.etree import ElementTree

import pytest

from undiced.core.errors import UndicedError
from undiced.core.mapping import Weights
from undiced.draw import bars, scatter
from undiced.draw.stack import stack
from undiced.machine.gpu_points import POINTS
from undiced.machine.interval import Interval
from undiced.model import preset
from undiced.study.compare.asked import BITS, Asked
from undiced.study.compare.comparison import compare
from undiced.study.compare.picture import measured, pareto
from undiced.study.compare.published import published, speeds
from undiced.study.compare.wafers import powers

ASKED = Asked("smollm2-135m", "toy-24x24", 64, gpus=("h100", "b200"), counts=(1, 8), region="24x24", samples=2)


@pytest.fixture(scope="module")
def found():
    return compare(ASKED, lambda share, what: None)


def test_both_sides_have_every_number_of_sequences_that_fits(found):
    for point in found.points:
        assert 0 < point.user.low <= point.user.median <= point.user.high
        assert point.total.median == pytest.approx(point.user.median * point.at_once)
        if point.way.side == "gpus":
            assert point.user.high < point.most
    names = {point.way.name for point in found.points}
    assert {"1 x h100", "8 x h100", "8 x b200"} <= names
    assert any(name.endswith("undiced, latency") for name in names)
    assert any(name.endswith("undiced, interval") for name in names)
    one = [p.at_once for p in found.points if p.way.name == "8 x h100"]
    assert one == powers(max(one))


def test_what_is_published_is_of_the_same_sizes_alone():
    mine = published(preset("llama-3.3-70b"))
    assert {each.point.model for each in mine.mine} == {"llama-3.1-70b"}
    assert {each.tokens_per_second for each in mine.services} == {445, 2100, 2314}
    assert not published(preset("smollm2-135m")).mine and len(mine.every) == len(POINTS)


@pytest.mark.parametrize("point", [p for p in POINTS if p.measure != "first_token_s"])
def test_measured_points_become_speeds_of_one_and_of_all(point):
    user, total = speeds(point)
    assert total == pytest.approx(user * point.batch)


def test_the_picture_has_both_sides_and_the_measured_points(found):
    drawn = stack([scatter.draw(pareto(found)), bars.draw(measured(found))])
    words = " ".join(ElementTree.fromstring(drawn.document()).itertext())
    for said in ("undiced, latency on toy-24x24", "h100", "tokens per second in all", "simulated at 0.85 to 1.1 GHz"):
        assert said in words
    assert len(measured(found).bars) == len(POINTS)


def test_json_says_everything_that_is_taken_for_granted(found):
    told = found.as_dict()
    assert told["assumptions"]["gpus"]["h100.bandwidth_share"]["provenance"] == "assumed"
    assert any("rooflines" in note for note in told["assumptions"]["notes"])
    assert told["clock_hz"] == [0.85e9, 1.1e9] and told["draws"] == {"kept": 2, "drawn": 2}
    assert len(told["measured"]) == len(POINTS)


@pytest.mark.parametrize(
    "asked",
    [
        Asked("smollm2-135m", gpus=("h9",)), Asked("smollm2-135m", gpus=()), Asked("smollm2-135m", counts=(3,)),
        Asked("smollm2-135m", batches=(0,)), Asked("smollm2-135m", weights="int3"), Asked("smollm2-135m", clock=0.0),
        Asked("smollm2-135m", wafers=(0,)), Asked("smollm2-135m", context=0),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_before_anything_is_placed(asked):
    with pytest.raises(UndicedError) as refused:
        asked.check()
    assert refused.value.remedy


def test_a_model_that_has_room_nowhere_is_refused():
    with pytest.raises(UndicedError, match="does not fit"):
        compare(Asked("llama-3.1-405b", "toy-8x8", gpus=("a100",), counts=(1,), samples=1), lambda share, what: None)


def test_an_interval_is_in_any_unit():
    assert Interval(1, 2, 3).times(2) == Interval(2, 4, 6)


def test_every_format_of_weights_has_its_bits_on_gpus():
    assert set(BITS) == set(get_args(Weights))
