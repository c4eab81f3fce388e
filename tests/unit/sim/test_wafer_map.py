"""The map is well-formed, draws every region of every wafer, and names the hottest collective."""

from xml.etree import ElementTree

import pytest

from undiced.compiler.wafer.published.build import build_published
from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.core.mapping import MappingOptions
from undiced.machine import find_machine
from undiced.model import build_config, preset
from undiced.program import Bounds
from undiced.sim.clock import time_step
from undiced.sim.wafer_map import svg

WSE3 = find_machine("wse3")
NAMESPACE = "{http://www.w3.org/2000/svg}"


def drawn(model, **options):
    program = compile_graph(build_config(preset(model)), WSE3, Options(bounds=Bounds(1, 4096), **options))
    return program, ElementTree.fromstring(svg(program, WSE3, time_step(program, WSE3)))


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("llama-3.3-70b", {"region": (736, 373)}),
        ("qwen3-1.7b", {"region": (240, 256), "objective": "interval"}),
    ],
)
def test_every_region_is_drawn(model, options):
    program, root = drawn(model, **options)
    titles = root.findall(f".//{NAMESPACE}title")
    assert len(titles) == len({(region.wafer, region.rect) for region in program.regions})
    text = "".join(root.itertext())
    assert "hottest collective" in text and "layer" in text
    wafers = int(dict(program.facts)["wafers"])
    assert f"{program.model} on {wafers} x wse3" in text and wafers == 1 + program.regions[-1].wafer


def test_published_programs_are_drawn_too():
    program = build_published("qwen3-1.7b", WSE3, "waferengine", MappingOptions(region=(256, 256), stages=(7,) * 4))
    drawing = svg(program, WSE3, time_step(program, WSE3))
    assert "layers 0-6" in drawing and "embedding" in drawing and "head" in drawing
