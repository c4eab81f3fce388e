"""Decode speed of quantized Hugging Face folders beside the dense one of the same shape, all of random weights.

    python benchmarks/quantized_folders.py FOLDER [--methods gptq,awq,fp8,bf16] [--turns 5] [--tokens 24]

Writes what is not there yet below FOLDER (1.6 GB for all), loads all of them and decodes in turns. Speed does not
depend on weights' values. Ends in one JSON line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import struct
import time
from pathlib import Path

import numpy as np

from undiced.checkpoint import bytes_by_format, kept_by_format, open_checkpoint
from undiced.compiler import compile
from undiced.engine.backend import StepInput
from undiced.engine.host import HostBackend
from undiced.engine.record import greedy
from undiced.machine.host import host
from undiced.model import build
from undiced.program import Bounds

HIDDEN, FEED_FORWARD, LAYERS, VOCABULARY, KEYS, GROUP = 1024, 4096, 24, 16384, 256, 128
SHAPES = {
    "self_attn.q_proj": (HIDDEN, HIDDEN), "self_attn.k_proj": (KEYS, HIDDEN), "self_attn.v_proj": (KEYS, HIDDEN),
    "self_attn.o_proj": (HIDDEN, HIDDEN), "mlp.gate_proj": (FEED_FORWARD, HIDDEN),
    "mlp.up_proj": (FEED_FORWARD, HIDDEN), "mlp.down_proj": (HIDDEN, FEED_FORWARD),
}  # fmt: skip
SETTINGS: dict[str, dict[str, object]] = {
    "gptq": {"quant_method": "gptq", "bits": 4, "group_size": GROUP},
    "awq": {"quant_method": "awq", "bits": 4, "group_size": GROUP},
    "fp8": {"quant_method": "fp8", "weight_block_size": [GROUP, GROUP]},
}
Tensors = dict[str, tuple[str, np.ndarray]]


def bf16(rng: np.random.Generator, rows: int, columns: int) -> tuple[str, np.ndarray]:
    """Numbers around 0.01."""
    return "BF16", rng.integers(0, 256, (rows, columns), np.uint16) | np.uint16(0x3C00)


def matrix(method: str, rng: np.random.Generator, name: str, rows: int, columns: int) -> Tensors:
    """The parts of one weight."""
    if method == "bf16":
        return {f"{name}.weight": bf16(rng, rows, columns)}
    if method == "fp8":
        numbers = rng.integers(0x10, 0x40, (rows, columns), np.uint8)
        scales = np.full((rows // GROUP, columns // GROUP), 0.05, np.float32)
        return {f"{name}.weight": ("F8_E4M3", numbers), f"{name}.weight_scale_inv": ("F32", scales)}
    packed = (columns // 8, rows) if method == "gptq" else (columns, rows // 8)
    groups = columns // GROUP
    return {
        f"{name}.qweight": ("I32", rng.integers(0, 1 << 32, packed, np.uint32)),
        f"{name}.qzeros": ("I32", np.full((groups, rows // 8), 0x77777777, np.uint32)),
        f"{name}.scales": ("F16", np.full((groups, rows), 0.004, np.float16)),
    }


def write(folder: Path, method: str) -> None:
    """A Llama of random weights."""
    rng = np.random.default_rng(0)
    tensors: Tensors = {"model.embed_tokens.weight": bf16(rng, VOCABULARY, HIDDEN)}
    ones = ("F32", np.ones(HIDDEN, np.float32))
    tensors["model.norm.weight"] = ones
    for layer in range(LAYERS):
        at = f"model.layers.{layer}."
        tensors |= {f"{at}{norm}.weight": ones for norm in ("input_layernorm", "post_attention_layernorm")}
        for name, (rows, columns) in SHAPES.items():
            tensors |= matrix(method, rng, at + name, rows, columns)
    header, end = {}, 0
    for name, (dtype, array) in tensors.items():
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": [end, end + array.nbytes]}
        end += array.nbytes
    raw = json.dumps(header).encode()
    folder.mkdir(parents=True)
    with (folder / "model.safetensors").open("wb") as out:
        out.write(struct.pack("<Q", len(raw)) + raw)
        for _, array in tensors.values():
            out.write(array.tobytes())
    config: dict[str, object] = {
        "model_type": "llama", "hidden_size": HIDDEN, "intermediate_size": FEED_FORWARD, "num_hidden_layers": LAYERS,
        "num_attention_heads": 16, "num_key_value_heads": KEYS // 64, "vocab_size": VOCABULARY, "rms_norm_eps": 1e-5,
        "max_position_embeddings": 2048, "rope_theta": 1e4, "tie_word_embeddings": True,
    }  # fmt: skip
    if method in SETTINGS:
        config["quantization_config"] = SETTINGS[method]
    (folder / "config.json").write_text(json.dumps(config))


def decode(backend: HostBackend, tokens: int) -> float:
    """Tokens per second of one sequence from its beginning."""
    pages, slot = np.arange(8, dtype=np.int32)[None], np.zeros(1, np.int32)
    began = time.perf_counter()
    for at in range(tokens):
        here = np.array([at], np.int32)
        backend.collect(
            backend.submit(StepInput(here, here, np.array([0, 1], np.int32), slot, pages, slot, greedy(slot)))
        )
    return tokens / (time.perf_counter() - began)


def main() -> None:
    """Write, load, decode in turns, and say it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--methods", default="gptq,awq,fp8,bf16")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=24)
    given = parser.parse_args()
    backends, facts = {}, {}
    for method in given.methods.split(","):
        folder = given.folder / method
        if not folder.exists():
            write(folder, method)
        checkpoint = open_checkpoint(folder)
        began = time.perf_counter()
        backends[method] = HostBackend(compile(build(checkpoint), host(None), Bounds(1, 256)), checkpoint, pages=8)
        facts[method] = {
            "load_s": round(time.perf_counter() - began, 1),
            "file_bytes": sum(bytes_by_format(checkpoint).values()),
            "resident_bytes": sum(kept_by_format(checkpoint).values()),
        }
    speeds: dict[str, list[float]] = {method: [] for method in backends}
    for _ in range(given.turns):
        for method, backend in backends.items():
            speeds[method].append(decode(backend, given.tokens))
    rows = {m: {"tokens_per_second": round(statistics.median(found), 1), **facts[m]} for m, found in speeds.items()}
    print(json.dumps({"bench": "quantized folders", **rows}))


if __name__ == "__main__":
    main()
