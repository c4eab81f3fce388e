"""Parts of slots: every transform of the manifest, and refusals; the model package's own reading is the twin."""

import numpy as np
import pytest

from undiced.checkpoint import TensorInfo
from undiced.core.errors import CheckpointError, UnsupportedError
from undiced.core.manifest import Source, Transform, WeightSlot
from undiced.engine.weights import matrix_of, parts_of, vector_of
from undiced.model.weights import load_slot


class Memory:
    """A checkpoint of float32 arrays."""

    kind, name, digest, metadata = "hf", "memory", "0" * 64, {}

    def __init__(self, **arrays):
        self.arrays = arrays
        self.tensors = {n: TensorInfo(n, a.shape, "F32", 0, a.nbytes) for n, a in arrays.items()}

    def raw(self, name):
        return memoryview(np.ascontiguousarray(self.arrays[name])).cast("B")


STORE = Memory(
    m=np.arange(96, dtype=np.float32).reshape(16, 6),
    v=np.arange(12, dtype=np.float32),
    cube=np.arange(48, dtype=np.float32).reshape(2, 4, 6),
)
MATRICES = [
    (16, 6, (Source("m"),)),
    (6, 16, (Source("m", (Transform("transpose"),)),)),
    (2, 16, (Source("m", (Transform("transpose"), Transform("split", 3, 2))),)),
    (5, 6, (Source("m", (Transform("split", 4, 5),)),)),
    (16, 6, (Source("m", (Transform("permute_rope", 2, 8),)),)),
    (16, 6, (Source("m", (Transform("permute_rope", 2, 4),)),)),
    (8, 6, (Source("m", (Transform("every", 1, 2),)),)),
    (24, 6, (Source("cube"), Source("m"))),
]


@pytest.mark.parametrize("rows, columns, sources", MATRICES)
def test_matrices_are_what_the_reference_reads(rows, columns, sources):
    slot = WeightSlot("s", rows, columns, "F32", sources)
    np.testing.assert_array_equal(matrix_of(slot, STORE), load_slot(slot, STORE))


@pytest.mark.parametrize(
    "steps", [(), (Transform("add_one"),), (Transform("split", 2, 3),), (Transform("every", 0, 3),)]
)
def test_vectors_are_what_the_reference_reads(steps):
    size = 3 if steps and steps[0].kind == "split" else 4 if steps and steps[0].kind == "every" else 12
    slot = WeightSlot("s", 1, size, "F32", (Source("v", steps),))
    np.testing.assert_array_equal(vector_of(slot, STORE), load_slot(slot, STORE).reshape(-1))


def test_codes_that_are_turned_become_the_floats_that_they_mean():
    rng = np.random.default_rng(0)
    codes, scale = rng.integers(-127, 128, (6, 64)).astype(np.int8), np.full((12, 1), 0.25, np.float16)
    store = Memory(q=np.concatenate([scale.view(np.uint8), codes.reshape(12, 32).view(np.uint8)], axis=1))
    store.tensors["q"] = TensorInfo("q", (6, 64), "Q8_0", 0, store.arrays["q"].nbytes)
    slot = WeightSlot("s", 64, 3, "F32", (Source("q", (Transform("split", 2, 3), Transform("transpose"))),))
    np.testing.assert_array_equal(matrix_of(slot, store), codes[2:5].T * np.float32(0.25))
    np.testing.assert_array_equal(matrix_of(slot, store), load_slot(slot, store))
    assert parts_of(slot, store)[0].format == "F32"


def test_what_can_not_be_packed_is_refused():
    with pytest.raises(CheckpointError, match="absent is missing"):
        parts_of(WeightSlot("s", 1, 1, "F32", (Source("absent"),)), STORE)
    with pytest.raises(CheckpointError, match="16 rows in the checkpoint, 4 in the program"):
        parts_of(WeightSlot("s", 4, 6, "F32", (Source("m"),)), STORE)
    with pytest.raises(CheckpointError, match="add_one"):
        parts_of(WeightSlot("s", 16, 6, "F32", (Source("m", (Transform("add_one"),)),)), STORE)
    with pytest.raises(UnsupportedError, match="not a choice of them"):
        steps = (Transform("every", 0, 2), Transform("transpose"))
        parts_of(WeightSlot("s", 6, 8, "F32", (Source("m", steps),)), STORE)
    with pytest.raises(CheckpointError, match="12 values"):
        vector_of(WeightSlot("s", 1, 5, "F32", (Source("v"),)), STORE)
