"""Feed-forward blocks that regions cut by their width: parts add up to the block, whatever it is."""

from dataclasses import replace

import pytest
from support.mesh_configs import DENSE, mixed
from support.mesh_models import differences, randomly

from undiced.compiler.wafer.lower.segments import segments
from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.machine.presets import toy
from undiced.program import Bounds
from undiced.sim.mesh.executor import MeshExecutor

GROUPED = mixed(shared_ffn=24, ffn=24, scoring="sigmoid", groups=4, top_groups=2, selection_bias=True, scaling=2.5)
CUT = {
    "a dense block": (replace(DENSE, ffn=96), 3),
    "a mixture with a shared expert": (GROUPED, 6),
    "weights on the input": (mixed(ffn=40, top_k=1, scale_input=True), 5),
}


@pytest.mark.parametrize("what", CUT)
def test_the_parts_of_a_cut_block_add_up_to_it(what):
    config, kib = CUT[what]
    graph, weights = randomly(config)
    options = Options(bounds=Bounds(1, 32), region=(4, 4), code_bytes=2000)
    program = compile_graph(graph, toy(8, 8, kib << 10), options)
    names = [[program.streams[run.stream].name for run in region.runs] for region in program.regions]
    assert any("/8" in name for region in names for name in region)
    assert any("inside a block" in region[0] for region in names)
    mesh = MeshExecutor(program, weights.__getitem__)
    worst, agree = differences(graph, weights, mesh, [3, 17, 36, 0, 8, 8, 21], first=1)
    assert worst < 5e-3
    assert agree


@pytest.mark.parametrize(
    ("config", "cuts"),
    [
        (DENSE, 2),
        (GROUPED, 2),
        (mixed(expert_bias=True), 1),
        (replace(DENSE, post_norms=True), 0),
        (replace(DENSE, mlp_bias=True), 0),
        (replace(GROUPED, mlp_bias=True), 0),
    ],
)
def test_blocks_with_a_bias_or_a_norm_behind_are_not_cut(config, cuts):
    graph, _ = randomly(config)
    assert sum(segment.splits for segment in segments(graph)) == cuts
