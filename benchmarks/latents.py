"""Decoding with latent attention against what memory gives: layers of DeepSeek V2 Lite's shape with random weights.

    python benchmarks/latents.py [--layers 6] [--experts 16] [--contexts 32 1024 4096] [--threads 2]

Speed does not depend on weights' values. Fewer experts than the model's 64 are kept, and as many chosen: a token reads
what it reads there. Bytes are those of weights and latents that a token reads; the bandwidth is probed in the same run.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from msgspec import structs

from undiced import _native
from undiced.checkpoint import TensorInfo
from undiced.compiler import compile
from undiced.core.manifest import Source
from undiced.engine.backend import PAGE_TOKENS, StepInput
from undiced.engine.host import HostBackend
from undiced.engine.record import greedy
from undiced.machine.host import host
from undiced.model import Graph, MlaConfig, ModelConfig, MoeConfig, RopeConfig, build_config
from undiced.model.node import Load, slot_bytes
from undiced.program import Bounds

STEPS, ROUNDS, CHUNK = 12, 5, 256


def shaped(layers: int, experts: int, context: int) -> ModelConfig:
    """DeepSeek V2 Lite's sizes (published: its config.json), with so many layers, experts and a small vocabulary."""
    return ModelConfig(
        family="deepseek_v2", name="V2 Lite's layers", layers=layers, dim=2048, heads=16, kv_heads=16, head_dim=192,
        ffn=10944, vocab=8192, context=context, norm_eps=1e-6, rope=RopeConfig(1e4, 64, "interleaved"),
        mla=MlaConfig(q_rank=0, kv_rank=512, nope_dim=128, rope_dim=64, v_dim=128),
        moe=MoeConfig(experts=experts, top_k=6, ffn=1408, layers=tuple(range(1, layers)), normalize=False,
                      shared_ffn=2816),
    )  # fmt: skip


class Random:
    """A checkpoint of random weights, a tensor for each slot."""

    kind, name, path, digest, metadata = "gguf", "random", Path("memory"), "0" * 64, {}

    def __init__(self, graph: Graph) -> None:
        self.rng = np.random.default_rng(0)
        shapes = {slot.name: ((slot.columns,) if slot.rows == 1 else (slot.rows, slot.columns)) for slot in graph.slots}
        self.tensors = {
            slot.name: TensorInfo(slot.name, shapes[slot.name], slot.format, 0, int(slot_bytes(slot)))
            for slot in graph.slots
        }

    def raw(self, name: str) -> memoryview:
        """Ones for vectors; blocks of Q4_0 whose products stay near 1."""
        shape = self.tensors[name].shape
        if len(shape) == 1:
            return memoryview(np.ones(shape, np.float32).tobytes())
        rows, columns = shape
        blocks = self.rng.integers(0, 256, (rows * columns // 32, 18), np.uint8)
        scales = self.rng.uniform(0.5, 1.5, len(blocks)) / (4.6 * np.sqrt(columns))
        blocks[:, :2] = scales.astype("<f2")[:, None].view(np.uint8)
        return memoryview(blocks.tobytes())

    def forget(self) -> None:
        """There are no pages of a file."""


def step(backend: HostBackend, first: int, count: int) -> float:
    """Seconds of a step of `count` tokens from position `first` on, the last of them sampled."""
    at = np.arange(first, first + count, dtype=np.int32)
    table = np.arange(backend.limits.pages, dtype=np.int32)[None]
    ends, zero = np.array([0, count], np.int32), np.zeros(1, np.int32)
    batch = StepInput(at % 8000, at, ends, zero, table, np.array([count - 1], np.int32), greedy(zero))
    return backend.collect(backend.submit(batch)).seconds


def measured(graph: Graph, backend: HostBackend, context: int, bandwidth: float) -> dict[str, Any]:
    """Decoding after `context` positions: the best round, which others on the machine disturbed least."""
    done = 0
    while done < context:
        count = min(CHUNK, context - done)
        step(backend, done, count)
        done += count
    before = backend._engine.counters()
    backend._engine.set_profile(True)
    rounds = sorted(sum(step(backend, context + i, 1) for i in range(STEPS)) / STEPS for _ in range(ROUNDS))
    backend._engine.set_profile(False)
    after = backend._engine.counters()
    spent = {name: after[name] - before.get(name, 0) for name in ("LATENT_ATTENTION", "HEAD_MATMUL")}
    nbytes = graph.bytes(Load(1, context + STEPS / 2, 1, value_bytes=0))
    seconds = rounds[0]
    return {
        "context": context,
        "tokens_per_second": round(1 / seconds, 1),
        "read_mb": round(nbytes / 1e6, 1),
        "share_of_bandwidth": round(nbytes / seconds / bandwidth, 3),
    } | {f"{name.lower()}_share": round(s / (sum(rounds) * STEPS), 3) for name, s in spent.items()}


def main() -> None:
    """Print a row for each context, then all of them as one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--experts", type=int, default=16)
    parser.add_argument("--contexts", type=int, nargs="+", default=[32, 1024, 4096])
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    room = max(args.contexts) + STEPS
    graph = build_config(shaped(args.layers, args.experts, room), "Q4_0")
    graph = replace(graph, slots=tuple(structs.replace(slot, sources=(Source(slot.name),)) for slot in graph.slots))
    program = compile(graph, host(args.threads), Bounds(1, room))
    backend = HostBackend(program, Random(graph), threads=args.threads, pages=-(-room // PAGE_TOKENS), max_tokens=CHUNK)
    backend.warm_up()
    bandwidth = _native.probe_bandwidth(args.threads)
    rows = [measured(graph, backend, context, bandwidth) for context in args.contexts]
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    prompt, began = min(1024, room), perf_counter()
    for at in range(0, prompt, CHUNK):
        step(backend, at, min(CHUNK, prompt - at))
    prefill = {"prompt": prompt, "prefill": round(prompt / (perf_counter() - began))}
    backend.close()
    told = {"layers": args.layers, "threads": args.threads, "isa": _native.isa_detect(), **prefill}
    print(json.dumps(told | {"bandwidth_gb_per_second": round(bandwidth / 1e9, 1), "rows": rows}))


if __name__ == "__main__":
    main()
