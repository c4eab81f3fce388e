"""Figures that the model holds by construction, and closed forms without their software beside the published ones."""

from dataclasses import replace

import pytest
from support.line_formulas import broadcast_line, chain_reduce

from undiced.machine import find_machine
from undiced.machine.collective import chain, multicast
from undiced.machine.cost import CostModel
from undiced.validation.microbenchmark import line_multicast_timed

WSE3 = find_machine("wse3")
WIRES = replace(CostModel.of(find_machine("wse2")), step_software=0.0, multicast_skew=0.0)


def test_a_link_and_a_wavelet_s_software_are_as_measured():
    model = CostModel.of(WSE3)
    assert model.link_rate == pytest.approx(0.89, rel=2e-3)
    assert (model.data_task, model.emit) == pytest.approx((43, 44), rel=2e-3)


def test_fastest_multicast_is_the_published_line():
    model = CostModel.of(WSE3)
    for payload, cores, cycles in ((64, 1, 39), (256, 64, 155), (1024, 512, 819)):
        assert line_multicast_timed(model, payload, cores, late=False) == pytest.approx(cycles, rel=2e-3)
    assert line_multicast_timed(model, 64, 1, late=True) == pytest.approx(39 + model.multicast_skew, rel=2e-3)


@pytest.mark.parametrize("wavelets", [1, 16, 256])
@pytest.mark.parametrize("cores", [2, 64, 512])
def test_without_software_programs_pay_the_published_formulas(wavelets, cores):
    assert chain(WIRES, cores, wavelets).cycles == chain_reduce(wavelets, cores)
    assert multicast(WIRES, wavelets, cores).cycles == broadcast_line(wavelets, cores)
