"""Every family's logits against numbers that transformers computed once (`make golden` writes them again)."""

import json

import numpy as np
import pytest
from support import tiny_gguf, tiny_models

from undiced.checkpoint import TensorInfo, open_checkpoint
from undiced.model import FAMILIES, KvState, build, load_weights, run_batch

CASES = tiny_models.case_names()
TOLERANCE = 3e-5  # of the largest logit; the largest difference seen is a half of it


class MemoryGguf:
    """A GGUF file's content without the file."""

    kind, path, digest, unread = "gguf", tiny_models.CASES, "0" * 64, {}

    def __init__(self, metadata, arrays):
        self.name, self.metadata, self.arrays = metadata["general.name"], metadata, arrays
        self.tensors = {n: TensorInfo(n, a.shape, "F32", 0, a.nbytes) for n, a in arrays.items()}

    def raw(self, name):
        return memoryview(self.arrays[name].tobytes())


def check(checkpoint, name, case):
    graph = build(checkpoint)
    outputs = run_batch(graph, load_weights(graph, checkpoint), [(prompt, KvState()) for prompt in case["prompts"]])
    with np.load(tiny_models.CASES / f"{name}.npz") as golden:
        for index, logits in enumerate(outputs):
            expected = golden[f"prompt{index}"]
            largest = np.abs(expected).max()
            assert largest > 0.5
            np.testing.assert_allclose(logits, expected[: len(logits)], rtol=0, atol=TOLERANCE * largest)


@pytest.mark.parametrize("name", CASES)
def test_logits_are_those_of_transformers(name, tmp_path):
    case = tiny_models.load_case(name)
    checkpoint = open_checkpoint(tiny_models.make_folder(case, tmp_path / name))
    check(checkpoint, name, case)
    checkpoint.close()


@pytest.mark.parametrize("name", tiny_gguf.CONVERTED)
def test_gguf_gives_the_same_logits(name):
    case = tiny_models.load_case(name)
    if name in tiny_gguf.UNWRITTEN:
        case["prompts"] = [case["prompts"][0][: tiny_gguf.UNWRITTEN[name]]]
    check(MemoryGguf(*tiny_gguf.gguf_of(name, case, tiny_models.weights_of(case))), name, case)


@pytest.mark.parametrize("name", [name for name in tiny_gguf.CONVERTED if name.startswith("deepseek")])
def test_gguf_with_the_expansion_of_latents_in_one_matrix_gives_the_same_logits(name):
    case = tiny_models.load_case(name)
    check(MemoryGguf(*tiny_gguf.gguf_of(name, case, tiny_models.weights_of(case), fused=True)), name, case)


def test_every_family_has_a_case():
    covered = {json.loads((tiny_models.CASES / f"{name}.json").read_text())["family"] for name in CASES}
    assert covered == set(FAMILIES)
