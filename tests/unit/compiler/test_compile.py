"""One function for hosts and wafers, and the public names beside it."""

import pytest

import undiced
from undiced.compiler.wafer.compile import compile_wafer
from undiced.compiler.wafer.options import Options
from undiced.compiler.wafer.scheme import Scheme
from undiced.core.errors import CompileError
from undiced.model import build_config, preset
from undiced.program import Bounds

BOUNDS = Bounds(batch=1, context=2048)


def test_one_function_for_hosts_and_wafers():
    graph = build_config(preset("smollm2-135m"), "Q8_0")
    here = undiced.compile(graph, undiced.presets.host(threads=2), BOUNDS)
    there = undiced.compile(graph, undiced.presets.wse3(), BOUNDS)
    assert (here.kind, there.kind) == ("host", "wafer")
    assert here.graph_digest == there.graph_digest == graph.digest
    assert there.bounds == BOUNDS
    report = undiced.simulate(there, undiced.presets.wse3())
    assert report.step.context == 2048 and report.tokens_per_second > 0


@pytest.mark.parametrize(
    ("form", "weights"), [("F16", "bf16"), ("BF16", "bf16"), ("Q8_0", "int8"), ("Q4_0", "int4"), ("Q4_1", "int4")]
)
def test_wafer_weights_follow_the_slots(form, weights):
    graph, toy = build_config(preset("smollm2-135m"), form), undiced.presets.toy(64, 64, 65536)
    program = undiced.compile(graph, toy, Bounds(1, 64))
    assert program == compile_wafer(graph, toy, Options(bounds=Bounds(1, 64), scheme=Scheme(weights=weights)))


def test_what_does_not_fit_is_told():
    graph = build_config(preset("smollm2-135m"), "BF16")
    with pytest.raises(CompileError) as caught:
        undiced.compile(graph, undiced.presets.toy(4, 4), BOUNDS)
    assert caught.value.remedy
