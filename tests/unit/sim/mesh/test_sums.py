"""Sums as cores and trees make them: native code beside numpy, and trees beside plain sums."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undiced import _native
from undiced.program.wafer.tree import Level, Tree, roots
from undiced.program.wafer.value import DType
from undiced.sim.mesh import sums
from undiced.sim.mesh.rounding import rounded

LEVELS = [name for name in ("portable", "avx2", "neon") if _native.isa_supported(name)]


def numbers(seed, *shape, scale=1.0):
    """16-bit numbers in float32."""
    return rounded((np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32), DType.F16)


@pytest.mark.parametrize("isa", LEVELS)
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(("rows", "inner", "columns"), [(1, 7, 70), (4, 3, 17), (6, 1, 8), (5, 12, 3), (1, 0, 4)])
def test_products_are_added_input_by_input(isa, half, rows, inner, columns):
    random = np.random.default_rng(1)
    shapes = (6, rows, inner), (6, inner, columns), (6, rows, columns)
    x, w, start = (random.standard_normal(shape).astype(np.float32) for shape in shapes)
    if half:
        x, w, start = (rounded(each, DType.F16) for each in (x, w, start))
    total = start.copy()
    _native.mesh_multiply_add(x, w, total, half, 2, isa)
    wanted = start
    for k in range(inner):
        wanted = wanted + x[..., k, None] * w[:, k, None, :]
        wanted = rounded(wanted, DType.F16) if half else wanted
    np.testing.assert_array_equal(total, wanted)


def test_numpy_and_native_code_multiply_alike(monkeypatch):
    x, w = numbers(1, 3, 1, 4, 9), numbers(2, 3, 2, 9, 11)
    native = sums.multiply_add(x, w, None, half=True)
    monkeypatch.setattr(sums, "_NATIVE", False)
    np.testing.assert_array_equal(native, sums.multiply_add(x, w, None, half=True))


def test_sixteen_bit_sums_overflow_as_the_hardware_does():
    x, w = np.full((1, 2), 60000, np.float32), np.ones((2, 1), np.float32)
    assert sums.multiply_add(x, w, None, half=True) == np.inf


@st.composite
def trees(draw):
    """Trees over up to 40 cores, complete, with slices that end at cores of their own."""
    span = draw(st.integers(1, 40))
    levels, left = [], span
    while left > 1:
        size = draw(st.integers(2, left))
        levels.append(Level(size, draw(st.booleans())))
        left = -(-left // size)
    tree = Tree(span, tuple(levels) or (Level(1),), draw(st.integers(1, 4)))
    return tree if len(set(roots(tree))) == tree.slices else Tree(tree.span, tree.levels, 1)


@settings(max_examples=60, deadline=None)
@given(trees(), st.sampled_from(["sum", "max"]), st.integers(0, 99))
def test_any_tree_of_any_slices_makes_the_plain_sum(tree, operation, seed):
    held = numbers(seed, 2, tree.span, tree.slices, 3, 5)
    plain = held.sum(axis=1) if operation == "sum" else held.max(axis=1)
    sums.join(held, tree, operation, 0, None, None)
    for which, root in enumerate(roots(tree)):
        np.testing.assert_allclose(held[:, root, which], plain[:, which], rtol=1e-4, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(trees(), st.sampled_from(["sum", "max"]), st.sampled_from(["f32", "f16"]), st.sampled_from(["f32", "f16"]))
def test_hops_round_in_native_code_as_in_numpy(tree, operation, kept, wire):
    held = [numbers(5, 2, tree.span, tree.slices, 2, 9, scale=100) for _ in range(2)]
    for native, array in zip((True, False), held, strict=True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sums, "_NATIVE", native)
            sums.join(array, tree, operation, 0, DType(kept), DType(wire))
    np.testing.assert_array_equal(*held)


def test_a_hop_beyond_the_line_is_refused():
    with pytest.raises(ValueError, match="a hop leaves the line"):
        _native.mesh_join(np.zeros((1, 2, 3), np.float32), np.array([[0, 2]], np.int32))
