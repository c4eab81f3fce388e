"""The map is well-formed, draws every region of every wafer, and names the hottest collective."""

from xml.etree import ElementTree

import pytest

from undiced.compiler.wafer.published.build import build_mapping
from undiced.core.mapping import MappingOptions
from undiced.machine import find_machine
from undiced.sim.analytic import Step, simulate
from undiced.sim.wafer_map import svg

WSE3 = find_machine("wse3")
NAMESPACE = "{http://www.w3.org/2000/svg}"


def drawn(model, **options):
    program = build_mapping(model, WSE3, "undiced", MappingOptions(context=4096, **options))
    report = simulate(program, WSE3, Step(context=4096))
    return program, ElementTree.fromstring(svg(program, WSE3, report))


@pytest.mark.parametrize(
    ("model", "options"),
    [("llama-3.3-70b", {"wafers": 4}), ("qwen3-1.7b", {"objective": "interval"}), ("llama-3.1-405b", {})],
)
def test_every_region_is_drawn(model, options):
    program, root = drawn(model, **options)
    titles = root.findall(f".//{NAMESPACE}title")
    assert len(titles) == len({(region.wafer, region.rect) for region in program.regions})
    text = "".join(root.itertext())
    assert "hottest collective" in text and "layer" in text
    assert f"{program.model} on {int(program.fact('wafers'))} x wse3" in text


def test_published_programs_are_drawn_too():
    program = build_mapping("qwen3-1.7b", WSE3, "waferengine", MappingOptions(region=(256, 256), stages=(14, 14)))
    report = simulate(program, WSE3, Step())
    assert "layers 0-13" in svg(program, WSE3, report)
