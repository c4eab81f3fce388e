"""What does not fit is told what would: every figure that a refusal names compiles."""

import re
from dataclasses import replace

import pytest
from support.mesh_configs import DENSE

from undiced.compiler.wafer.asked import choices_of, options_of, with_layers
from undiced.compiler.wafer.lower.choices import LEAN
from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.core.errors import CompileError
from undiced.core.mapping import MappingOptions
from undiced.machine.presets import toy
from undiced.model import build_config
from undiced.program import Bounds
from undiced.program.wafer.value import DType

TOY = toy(12, 10, 24 << 10)
GRAPH = build_config(replace(DENSE, name="small", layers=6, dim=64, heads=8, kv_heads=4, ffn=160, vocab=200))
FORMS = {"int8": DType.I8, "int4": DType.I4}


def refused(options, machine=TOY):
    with pytest.raises(CompileError) as caught:
        compile_graph(GRAPH, machine, options)
    return caught.value


def named(option, remedy):
    found = re.search(rf'{option}="?(\w+)', remedy)
    return found and found[1]


def test_too_few_wafers_name_the_fewest_and_narrower_weights():
    fewest = 1 + max(r.wafer for r in compile_graph(GRAPH, TOY, Options(bounds=Bounds(1, 64))).regions)
    assert fewest > 1
    options = Options(bounds=Bounds(1, 64), wafers=1)
    error = refused(options)
    assert error.message == f"small at batch 1 and context 64 does not fit 1 x {TOY.name}."
    assert compile_graph(GRAPH, TOY, replace(options, wafers=int(named("wafers", error.remedy))))
    weights = named("weights", error.remedy)
    if weights:
        assert compile_graph(GRAPH, TOY, replace(options, choices=replace(LEAN, weights=FORMS[weights])))


@pytest.mark.slow
def test_the_longest_context_and_the_largest_batch_are_named():
    roomy = toy(12, 10, 40 << 10)
    long = refused(Options(bounds=Bounds(1, 1 << 20), wafers=2), roomy)
    context = int(named("context", long.remedy))
    assert compile_graph(GRAPH, roomy, Options(bounds=Bounds(1, context), wafers=2))
    many = refused(Options(bounds=Bounds(4096, 64), wafers=2), roomy)
    batch = int(named("batch", many.remedy))
    assert compile_graph(GRAPH, roomy, Options(bounds=Bounds(batch, 64), wafers=2))


def test_a_machine_that_is_too_small_altogether():
    assert refused(Options(), toy(2, 2, 2048)).remedy == "Use a machine with more memory."


def test_a_region_larger_than_the_mesh_names_the_mesh():
    error = refused(Options(region=(2000, 10)))
    assert error.message == f"A region of 2000x10 cores does not fit {TOY.name}."
    assert error.remedy == "Use at most 12x10 (x by y)."


@pytest.mark.parametrize(
    "make",
    [
        lambda: Options(bounds=Bounds(0, 1)),
        lambda: Options(bounds=Bounds(1, 0)),
        lambda: Options(bounds=Bounds(1, 1 << 30)),
        lambda: Options(wafers=0),
        lambda: options_of(MappingOptions(objective="speed")),
        lambda: options_of(MappingOptions(groups=3)),
        lambda: choices_of({"weights": "int3"}),
    ],
)
def test_absurd_options_are_refused(make):
    with pytest.raises(CompileError) as caught:
        make()
    assert caught.value.remedy


def test_other_numbers_of_layers_keep_what_each_layer_is():
    config = replace(DENSE, windows=(4, 0))
    assert with_layers(config, 5).windows == (4, 0, 4, 0, 4)
    assert with_layers(config, None) is config
