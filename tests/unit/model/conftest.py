"""Checkpoints in memory for the model tests: tensors as float32 arrays, metadata as given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from undiced.checkpoint import TensorInfo


class MemoryCheckpoint:
    """A checkpoint without a file; all tensors are F32."""

    digest = "0" * 64
    path = Path("memory")
    notes: tuple[str, ...] = ()
    unread: Mapping[str, str] = MappingProxyType({})

    def __init__(
        self, kind: Literal["gguf", "hf"], metadata: Mapping[str, object], arrays: Mapping[str, NDArray[np.float32]]
    ) -> None:
        self.kind, self.name, self.metadata = kind, "tiny", metadata
        self.arrays = dict(arrays)
        self.tensors = {n: TensorInfo(n, a.shape, "F32", 0, a.nbytes) for n, a in self.arrays.items()}

    def raw(self, name: str) -> memoryview:
        return memoryview(np.ascontiguousarray(self.arrays[name], dtype=np.float32).tobytes())

    def forget(self) -> None:
        pass

    def close(self) -> None:
        self.arrays.clear()


LLAMA_JSON: dict[str, object] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
    "vocab_size": 50,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
}


def llama_arrays(seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Random tensors that fit LLAMA_JSON."""
    rng = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (50, 32),
        "model.norm.weight": (32,),
        "lm_head.weight": (50, 32),
    }
    for i in range(2):
        p = f"model.layers.{i}."
        shapes |= {f"{p}input_layernorm.weight": (32,), f"{p}post_attention_layernorm.weight": (32,)}
        shapes |= {f"{p}self_attn.q_proj.weight": (32, 32), f"{p}self_attn.o_proj.weight": (32, 32)}
        shapes |= {f"{p}self_attn.k_proj.weight": (16, 32), f"{p}self_attn.v_proj.weight": (16, 32)}
        shapes |= {f"{p}mlp.gate_proj.weight": (64, 32), f"{p}mlp.up_proj.weight": (64, 32)}
        shapes |= {f"{p}mlp.down_proj.weight": (32, 64)}
    return {n: (rng.standard_normal(s) * 0.2 + (len(s) == 1)).astype(np.float32) for n, s in shapes.items()}


@pytest.fixture
def memory_checkpoint() -> Callable[..., MemoryCheckpoint]:
    """Makes checkpoints: (kind, metadata, arrays)."""
    return MemoryCheckpoint


@pytest.fixture
def tiny_llama() -> MemoryCheckpoint:
    """A random two-layer llama as a Hugging Face folder would be."""
    return MemoryCheckpoint("hf", LLAMA_JSON, llama_arrays())
