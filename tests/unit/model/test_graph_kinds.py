"""Work by kinds of nodes is the work of all nodes, one by one."""

import pytest

from undiced.model import build_config, preset
from undiced.model.node import Load
from undiced.model.ops import OPS


@pytest.mark.parametrize("name", ["llama-3.2-1b", "gemma-3-270m", "gpt-oss-20b", "deepseek-v3"])
def test_work_by_kinds_is_that_of_every_node(name):
    graph = build_config(preset(name))
    load = Load(7, 900.0, 3)
    every = list(graph.views())
    assert graph.flops(load) == pytest.approx(sum(OPS[view.node.op].flops(view, load) for view, _ in every))
    assert graph.bytes(load) == pytest.approx(sum(OPS[view.node.op].traffic(view, w, load) for view, w in every))
