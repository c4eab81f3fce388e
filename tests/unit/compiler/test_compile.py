"""One function for hosts and wafers, and the public names beside it."""

from dataclasses import replace

import pytest
from support.mesh_configs import DENSE

import undiced
from undiced.compiler.wafer.lower.choices import LEAN
from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.core.errors import CompileError
from undiced.model import build_config, preset
from undiced.program import Bounds, HostProgram
from undiced.program.wafer.program import WaferProgram
from undiced.program.wafer.value import DType

BOUNDS = Bounds(batch=1, context=2048)
SMALL = replace(DENSE, ffn=32)


def test_one_function_for_hosts_and_wafers():
    graph = build_config(preset("smollm2-135m"), "Q8_0")
    here = undiced.compile(graph, undiced.presets.host(threads=2), BOUNDS)
    there = undiced.compile(graph, undiced.presets.wse3(), BOUNDS)
    assert isinstance(here, HostProgram) and isinstance(there, WaferProgram)
    assert here.graph_digest == there.graph_digest == graph.digest
    assert there.bounds == BOUNDS
    report = undiced.simulate(there, undiced.presets.wse3())
    assert report["context"] == 2048 and report["tokens_per_second"] > 0


@pytest.mark.parametrize(("form", "weights"), [("BF16", DType.F16), ("Q8_0", DType.I8), ("Q4_1", DType.I4)])
def test_wafer_weights_follow_the_slots(form, weights):
    graph, toy = build_config(SMALL, form), undiced.presets.toy(8, 8, 65536)
    program = undiced.compile(graph, toy, Bounds(1, 64))
    assert program == compile_graph(graph, toy, Options(bounds=Bounds(1, 64), choices=replace(LEAN, weights=weights)))


def test_what_does_not_fit_is_told():
    with pytest.raises(CompileError) as caught:
        undiced.compile(build_config(SMALL), undiced.presets.toy(2, 2, 4096), BOUNDS)
    assert caught.value.remedy
