"""Which assumption moves a claim most: slopes found again in samples, and none where there are too few."""

import pytest

from undiced.machine.ranges import Assumed, draws
from undiced.validation.tornado import effects

RANGES = (Assumed("small", 0.0, 10.0), Assumed("large", 2.0, 6.0), Assumed("wide", 1e3, 1e6), Assumed("none", 0.0, 1.0))


def test_effects_of_a_plane_are_found_and_the_largest_comes_first():
    drawn = list(draws(RANGES, 40))
    values = [100 + 0.5 * one["small"] - 3 * one["large"] + 2 * RANGES[2].share(one["wide"]) for one in drawn]
    found = effects(RANGES, drawn, values)
    moves = [(each.name, pytest.approx(each.at_high - each.at_low, abs=1e-6)) for each in found]
    assert moves == [("large", -12.0), ("small", 5.0), ("wide", 2.0), ("none", 0.0)]
    assert (found[0].low, found[0].high) == (2.0, 6.0)


def test_too_few_samples_tell_nothing():
    drawn = list(draws(RANGES, 5))
    assert effects(RANGES, drawn, [1.0] * 5) == ()


@pytest.mark.parametrize("parameter", RANGES)
def test_a_share_of_a_range_is_where_its_value_lies(parameter):
    assert [parameter.share(parameter.at(share)) for share in (0.0, 0.3, 1.0)] == pytest.approx([0.0, 0.3, 1.0])
