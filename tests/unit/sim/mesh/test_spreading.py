"""Whole arrays to shares and back, over random layouts."""

from math import prod

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from undiced.program.wafer.layout import Dim, Replicate, Shard, ways
from undiced.program.wafer.value import Value
from undiced.sim.mesh.identities import identities
from undiced.sim.mesh.spreading import gather, spread


@st.composite
def layouts(draw):
    """A value of up to four dimensions, of which any are shared over the axes, in any order, and a grid for it."""
    sizes = draw(st.lists(st.integers(1, 9), min_size=0, max_size=4))
    dims = tuple(Dim(f"d{n}", size) for n, size in enumerate(sizes))
    spreads = ([], [])
    for dim in draw(st.permutations(dims)):
        axis = draw(st.sampled_from([None, 0, 1]))
        if axis is not None:
            spreads[axis].append(Shard(dim.name, draw(st.integers(1, 4)), draw(st.sampled_from(["block", "cyclic"]))))
    for parts in spreads:
        if draw(st.booleans()):
            parts.insert(draw(st.integers(0, len(parts))), Replicate(draw(st.integers(1, 3))))
    rows, columns = (tuple(parts) for parts in spreads)
    grid = tuple(ways(parts) + draw(st.integers(0, 2)) for parts in (rows, columns))
    return Value("v", dims, rows=rows, columns=columns), grid


@settings(max_examples=150, deadline=None)
@given(layouts(), st.integers(0, 2))
def test_gathering_undoes_spreading(layout, lead):
    value, (rows, columns) = layout
    shape = (3,) * lead + tuple(dim.size for dim in value.dims)
    whole = np.arange(1, 1 + prod(shape), dtype=np.float32).reshape(shape)
    shares = spread(value, whole, rows, columns)
    assert not np.shares_memory(shares, whole)
    np.testing.assert_array_equal(gather(value, shares, lead), whole)


@settings(max_examples=100, deadline=None)
@given(layouts())
def test_every_core_holds_the_elements_that_its_layout_says_and_zeros(layout):
    value, (rows, columns) = layout
    whole = np.arange(1, 1 + prod(dim.size for dim in value.dims), dtype=np.float32)
    shares = spread(value, whole.reshape([dim.size for dim in value.dims]), rows, columns)
    shares = np.broadcast_to(shares, (rows, columns, *shares.shape[2:])).reshape(rows, columns, -1)
    ids = identities(value, rows, columns)
    for row, column in np.ndindex(rows, columns):
        used = (not value.rows or row < ways(value.rows)) and (not value.columns or column < ways(value.columns))
        wanted = np.where(ids[row, column] >= 0, whole[ids[row, column]], 0) if used else 0
        np.testing.assert_array_equal(shares[row, column], wanted)
