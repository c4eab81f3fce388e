"""Quantized files of latent attention: both ways to store its expansion run, and mean what the interpreter says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support import tiny_gguf, tiny_models
from support.engines import run

from undiced.checkpoint import TensorInfo
from undiced.compiler import compile
from undiced.engine.host import HostBackend
from undiced.engine.interpreter import InterpreterBackend
from undiced.machine.host import host
from undiced.model import build
from undiced.program import Bounds

SIZES = {"q_lora_rank": 32, "kv_lora_rank": 32, "qk_nope_head_dim": 32, "qk_rope_head_dim": 32, "v_head_dim": 32}
SHAPES = {"q_a_proj": (32, 32), "q_a_layernorm": (32,), "q_b_proj": (256, 32), "kv_a_proj_with_mqa": (64, 32),
          "kv_a_layernorm": (32,), "kv_b_proj": (256, 32), "o_proj": (32, 128)}  # fmt: skip
PROMPTS = [[5, 9, 2, 39, 17, 3, 8, 30, 11, 6, 21, 33] * 3, [7, 1, 34, 12, 9] * 5]


class Quantized:
    """A GGUF file's content without the file; matrices in Q8_0."""

    kind, path, digest, notes, unread = "gguf", Path("memory"), "0" * 64, (), {}

    def __init__(self, *, fused: bool) -> None:
        case = tiny_models.load_case("deepseek-v3-wide")
        case["config"] |= SIZES
        for name in case["tensors"]:
            part = name.split(".")[-2]
            case["tensors"][name] = SHAPES.get(part, case["tensors"][name])
        weights = tiny_models.weights_of(case)
        self.metadata, arrays = tiny_gguf.gguf_of("deepseek-v3-wide", case, weights, fused)
        self.name = "tiny"
        self.data = {name: coded(array) if array.ndim > 1 else array for name, array in arrays.items()}
        self.tensors = {
            name: TensorInfo(name, array.shape, "Q8_0" if array.ndim > 1 else "F32", 0, self.data[name].nbytes)
            for name, array in arrays.items()
        }

    def raw(self, name: str) -> memoryview:
        return memoryview(self.data[name].tobytes())

    def forget(self) -> None:
        """There are no pages of a file to give back."""


def coded(values: np.ndarray) -> np.ndarray:
    blocks = values.reshape(-1, 32)
    scales = (np.abs(blocks).max(axis=1) / 127).astype(np.float16)
    codes = np.rint(blocks / scales.astype(np.float32)[:, None]).astype(np.int8)
    return np.concatenate([scales[:, None].view(np.uint8), codes.view(np.uint8)], axis=1)


@pytest.mark.parametrize("fused", [False, True])
def test_quantized_expansions_run(fused: bool) -> None:
    checkpoint = Quantized(fused=fused)
    program = compile(build(checkpoint), host(2), Bounds(len(PROMPTS), 48))
    forms = {slot.name.split(".")[-1]: slot.format for slot in program.slots if slot.name.endswith(("k_b", "v_b"))}
    assert forms == {"k_b": "F32" if fused else "Q8_0", "v_b": "Q8_0"}
    order = np.arange(8)
    wanted = run(InterpreterBackend(program, checkpoint, pages=8), program, PROMPTS, 64, order)
    backend = HostBackend(program, checkpoint, threads=2, pages=8)
    found = run(backend, program, PROMPTS, 5, order)
    backend.close()
    for one, other in zip(found, wanted, strict=True):
        (last,) = other
        assert np.abs(one[last] - other[last]).max() < 0.05 * np.abs(other[last]).max()  # activations are codes here
