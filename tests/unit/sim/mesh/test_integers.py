"""Integer weights on cores: groups with scales of their own, and what they do to a model's logits."""

from dataclasses import replace

import numpy as np
import pytest
from support.mesh_configs import DENSE, MIXED
from support.mesh_models import randomly
from support.meshes import compile_mesh

from undiced.compiler.wafer.lower.choices import EXACT
from undiced.model import KvState, run_graph
from undiced.program.wafer.value import GROUPS, INTEGERS, DType
from undiced.sim.mesh.executor import MeshExecutor
from undiced.sim.mesh.rounding import quantized

TOKENS = [5, 11, 3, 36, 0, 7, 7, 20, 14]


@pytest.mark.parametrize("dtype", [DType.I8, DType.I4])
@pytest.mark.parametrize(("count", "row"), [(1, 1), (5, 7), (3, 64), (4, 100), (70, 3)])
def test_no_element_is_further_away_than_half_a_step_of_its_group(dtype, count, row):
    rows = np.random.RandomState(row).standard_normal((2, 3, count, row)).astype(np.float32)
    made, _ = quantized(rows, dtype)
    assert made.shape == rows.shape
    size = GROUPS[dtype]
    for core in np.ndindex(2, 3):
        if row < size:
            groups = [slice(n, n + size // row) for n in range(0, count, size // row)]
            parts = [(rows[core][each], made[core][each]) for each in groups]
        else:
            parts = [
                (rows[core][n, k : k + size], made[core][n, k : k + size])
                for n in range(count)
                for k in range(0, row, size)
            ]
        for whole, held in parts:
            step = np.abs(whole).max() / INTEGERS[dtype]
            assert np.abs(whole - held).max() <= 0.502 * step  # the scale itself has 16 bits


def test_nothing_but_zeros_stays_so():
    assert not quantized(np.zeros((1, 1, 2, 5), np.float32), DType.I4)[0].any()


@pytest.mark.parametrize(
    ("config", "groups"), [(DENSE, 1), (MIXED, 1), (MIXED, 3)], ids=["dense", "mixed", "on columns of their own"]
)
def test_fewer_bits_are_further_from_the_graph(config, groups):
    graph, weights = randomly(replace(config, dim=48, ffn=64))
    wanted = run_graph(graph, weights, TOKENS, KvState())
    apart = []
    for dtype in (DType.F16, DType.I8, DType.I4):
        program = compile_mesh(graph, 3, 4, choices=replace(EXACT, weights=dtype), context=64, groups=groups)
        found = MeshExecutor(program, weights.__getitem__, "wafer").step([(0, TOKENS)]).logits
        apart.append(float(np.sqrt(np.mean((found - wanted) ** 2)) / wanted.std()))
    assert apart[0] < apart[1] < apart[2]
    assert apart[0] < 0.01 and apart[1] < 0.1


def test_32_bit_numbers_are_not_quantized():
    graph, weights = randomly(DENSE)
    program = compile_mesh(graph, 3, 4, choices=replace(EXACT, weights=DType.I4), context=64)
    found = MeshExecutor(program, weights.__getitem__).step([(0, TOKENS)]).logits
    wanted = run_graph(graph, weights, TOKENS, KvState())
    assert np.abs(found - wanted).max() < 2e-3 * wanted.std()
