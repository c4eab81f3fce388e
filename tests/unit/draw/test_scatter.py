"""Scatters: round ticks of equal ratios, marks in their places, labels that never meet."""

from xml.etree import ElementTree

import pytest

from undiced.draw.axis import Axis
from undiced.draw.canvas import Canvas
from undiced.draw.scatter import Mark, Scatter, Trail, Upright, draw, round_ticks
from undiced.draw.stack import stack


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(3, 70, [5, 10, 20, 50]), (1, 10**6, [1, 10, 100, 1000, 10**4, 10**5, 10**6]), (2.2, 4.8, [])],
)
def test_ticks_are_round_numbers_within_the_axis(low, high, ticks):
    assert round_ticks(Axis(low, high, True)) == pytest.approx(ticks)


def picture(trails, uprights=()):
    return draw(Scatter("title", ("note",), "x", "y", ("kind",), trails, uprights))


def test_whiskers_and_uprights_are_within_the_axes():
    scatter = Scatter("t", (), "x", "y", ("k",), (Trail((Mark(10, 10, "m", 5, 40),), 0),), (Upright(900, "far"),))
    assert scatter.across.low < 5 and scatter.across.high > 900
    assert "far" in draw(scatter).document()


def test_labels_that_would_meet_are_left_out():
    same = tuple(Trail((Mark(10, 10, "m"),), 0, f"label {n}") for n in range(9))
    words = " ".join(ElementTree.fromstring(picture(same).document()).itertext())
    assert 1 <= words.count("label") <= 4


def test_rings_are_not_joined():
    marks = (Mark(1, 1, "a"), Mark(10, 10, "b"))
    joined, apart = (picture((Trail(marks, 0, ringed=ringed),)).document() for ringed in (False, True))
    assert joined.count("<polyline") == apart.count("<polyline") + 1


def test_pictures_stand_below_each_other():
    one, other = Canvas(100, 40), Canvas(300, 60)
    one.text((0, 10), "first")
    other.text((0, 10), "second")
    whole = stack([one, other])
    assert (whole.width, whole.height) == (300, 100) and "translate(0 40)" in whole.document()
