"""Closed forms of microbenchmarks against the published lines."""

import pytest

from undiced.machine import find_machine
from undiced.machine.cost import CostModel
from undiced.validation.microbenchmark import line_multicast_timed


def test_fastest_multicast_is_the_published_line():
    model = CostModel.of(find_machine("wse3"))
    for payload, cores, cycles in ((64, 1, 39), (256, 64, 155), (1024, 512, 819)):
        assert line_multicast_timed(model, payload, cores, late=False) == pytest.approx(cycles, rel=2e-3)
