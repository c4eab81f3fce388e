"""Loading by the manifest: each transform does what its line in the vocabulary says."""

import numpy as np
import pytest

from undiced.core.errors import CheckpointError
from undiced.core.manifest import Source, Transform, WeightSlot
from undiced.model import build, build_config, config_of, load_weights
from undiced.model.weights import load_slot


@pytest.fixture
def store(memory_checkpoint):
    arrays = {"m": np.arange(12, dtype=np.float32).reshape(4, 3), "v": np.arange(6, dtype=np.float32)}
    arrays["cube"] = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    return memory_checkpoint("hf", {}, arrays)


def load(store, rows, columns, *sources):
    return load_slot(WeightSlot("s", rows, columns, "F32", sources), store)


def test_as_is_and_stacked(store):
    m = store.arrays["m"]
    np.testing.assert_array_equal(load(store, 4, 3, Source("m")), m)
    np.testing.assert_array_equal(load(store, 8, 3, Source("m"), Source("m")), np.concatenate([m, m]))
    np.testing.assert_array_equal(load(store, 8, 3, Source("cube")), store.arrays["cube"].reshape(8, 3))


def test_transforms(store):
    m, v = store.arrays["m"], store.arrays["v"]
    turned = load(store, 3, 4, Source("m", (Transform("transpose"),)))
    np.testing.assert_array_equal(turned, m.T)
    assert turned.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(load(store, 2, 3, Source("m", (Transform("split", 1, 2),))), m[1:3])
    np.testing.assert_array_equal(load(store, 1, 2, Source("v", (Transform("split", 4, 2),))), v[4:])
    np.testing.assert_array_equal(load(store, 1, 6, Source("v", (Transform("add_one"),))), v + 1)
    both = (Transform("transpose"), Transform("split", 1, 2))
    np.testing.assert_array_equal(load(store, 2, 4, Source("m", both)), m.T[1:])
    np.testing.assert_array_equal(load(store, 2, 3, Source("m", (Transform("every", 1, 2),))), m[1::2])
    np.testing.assert_array_equal(load(store, 1, 12, Source("cube", (Transform("every", 1, 2),))), np.arange(1, 24, 2))


def test_permute_rope_makes_pairs_of_halves(store):
    rows = [0, 1, 2, 3]
    order = load(store, 4, 3, Source("m", (Transform("permute_rope", 1, 4),)))[:, 0] // 3
    assert order.tolist() == [rows[0], rows[2], rows[1], rows[3]]
    two_heads = load(store, 4, 3, Source("m", (Transform("permute_rope", 2, 2),)))
    np.testing.assert_array_equal(two_heads, store.arrays["m"])
    partial = load(store, 8, 3, Source("cube", (Transform("permute_rope", 1, 4),)))[:, 0] // 3
    assert partial.tolist() == [0, 2, 1, 3, 4, 5, 6, 7]


def test_wrong_shapes_and_missing_sources_are_errors(store, tiny_llama):
    with pytest.raises(CheckpointError, match=r"sources make \(4, 3\), expected \(5, 3\)"):
        load(store, 5, 3, Source("m"))
    graph = build_config(config_of(tiny_llama), "F32")
    with pytest.raises(CheckpointError, match="has no source"):
        load_weights(graph, tiny_llama)


def test_all_slots_load_in_their_shapes(tiny_llama):
    graph = build(tiny_llama)
    weights = load_weights(graph, tiny_llama)
    assert weights.keys() == {s.name for s in graph.slots}
    for slot in graph.slots:
        assert weights[slot.name].shape == ((slot.columns,) if slot.rows == 1 else (slot.rows, slot.columns))
        assert weights[slot.name].dtype == np.float32
