"""What 16-bit partial sums do to a model: the wafer mapping's default numerics, emulated, against float32.

    python benchmarks/wires.py [--model smollm2-135m] [--tokens 160]

Emulated as `compiler/wafer` schedules it: weights, cached keys and values of 11 significant bits; products of what no
norm has scaled yet; every addition of a local sum and of a tree over rows or columns rounded to fp16; the activation by
short sequences of vector operations. Exponentials and what they weigh stay in 32 bits, and so does the residual. Beside
it the same model with bf16 weights and every operator's inputs and outputs in bf16, sums in float32, as GPU stacks run
it. Ends in one JSON line. A twin of numbers, not of speed; knows Llama-like models.
"""

from __future__ import annotations

import argparse
import json
import runpy
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from undiced.checkpoint import open_checkpoint
from undiced.compiler.wafer.vector_math import Tally, half_silu
from undiced.model import OPS, Graph, KvState, Node, build, load_weights
from undiced.model.ops import Run
from undiced.text import load_tokenizer

F32 = NDArray[np.float32]
FP16_LARGEST = 65504.0
PER_CORE = 2  # inputs a core adds up by itself
TREES = {288: (3, 4, 24), 768: (4, 8, 24), 32: (4, 8)}  # cores of a line: sizes of its tree's levels
_BLOCK = 128  # outputs at a time, so that they stay in cache


def to_fp16(x: F32) -> F32:
    """Rounded to 11 significant bits (Veltkamp's split); range is checked apart."""
    c = x * np.float32(2**13 + 1)
    return c - (c - x)


def to_bf16(x: F32) -> F32:
    """Rounded to 8 significant bits."""
    c = x * np.float32(2**16 + 1)
    return c - (c - x)


class Sums:
    """Sums in fp16 as cores and trees make them; remembers the largest that traveled."""

    def __init__(self) -> None:
        self.largest = 0.0

    def tree(self, terms: F32, per_core: int) -> F32:
        """(..., terms) to (...): `per_core` terms on each core, then the levels, every addition rounded."""
        cores = -(-terms.shape[-1] // per_core)
        for size in (per_core, *TREES.get(cores, (cores,))):
            terms = np.pad(terms, [(0, 0)] * (terms.ndim - 1) + [(0, -terms.shape[-1] % size)])
            groups = terms.reshape(*terms.shape[:-1], -1, size)
            terms = groups[..., 0]
            for i in range(1, size):
                terms = to_fp16(terms + groups[..., i])
        self.largest = max(self.largest, float(np.abs(terms).max()))
        return terms[..., 0]

    def linear(self, x: F32, weight: F32) -> F32:
        """(tokens, inputs) by (outputs, inputs)."""
        x, out = to_fp16(x), np.empty((len(x), len(weight)), np.float32)
        for token, row in enumerate(x):
            for at in range(0, len(weight), _BLOCK):
                out[token, at : at + _BLOCK] = self.tree(to_fp16(weight[at : at + _BLOCK] * row), PER_CORE)
        return out

    def attention(self, node: Node, q: F32, k: F32, v: F32) -> F32:
        """Causal attention of one sequence from its first token: scores summed in fp16, the rest in 32 bits."""
        heads, kv_heads, width = node.integer("heads"), node.integer("kv_heads"), node.integer("head_dim")
        tokens, out = len(q), np.empty_like(q)
        q, k, v = to_fp16(q * np.float32(node.number("scale"))), to_fp16(k), to_fp16(v)
        hidden = np.triu(np.ones((tokens, tokens), bool), 1)
        for head in range(heads):
            own = slice(head * width, (head + 1) * width)
            shared = slice(head * kv_heads // heads * width, (head * kv_heads // heads + 1) * width)
            scores = self.tree(to_fp16(q[:, None, own] * k[None, :, shared]), PER_CORE)
            weights = np.where(hidden, np.float32(0), np.exp(np.minimum(scores, 80)))
            out[:, own] = to_fp16((weights / weights.sum(-1, keepdims=True)) @ v[:, shared])
        return out


def on_wafer(graph: Graph, weights: Mapping[str, F32], run: Run, sums: Sums) -> F32:
    """(tokens, vocab) logits with the wafer's numerics; `weights` are rounded already."""
    values: dict[str, F32] = {}
    scales: dict[str, F32] = {}  # of products of what a norm has not scaled yet
    known = np.ones((len(run.tokens), 1), np.float32)  # power of two near the inverse root of the norm before
    for node in graph.nodes:
        ins = [values[name] for name in node.ins if name in values]
        slots = [weights[name] for name in node.weights]
        if node.op == "rmsnorm":
            mean = np.mean(np.square(ins[0]), axis=-1, keepdims=True)
            inverse = 1 / np.sqrt(mean + np.float32(node.number("eps")))
            scales[node.out] = inverse / known
            value = ins[0] * (slots[0] * known)
            known = np.exp2(np.round(np.log2(inverse))).astype(np.float32)
        elif node.op == "linear":
            value = sums.linear(ins[0], slots[0]) * scales.get(node.ins[0], np.float32(1))
        elif node.op == "attention":
            value = sums.attention(node, *ins)
        elif node.op == "glu":
            gate = half_silu(ins[0].ravel().astype(np.float16), Tally()).reshape(ins[0].shape)
            value = to_fp16(gate.astype(np.float32) * to_fp16(ins[1] * known))
            scales[node.out] = np.reciprocal(known)
        else:
            value = OPS[node.op].run(node, ins, slots, run)
        values[node.out] = value.astype(np.float32)
    return values[graph.output]


def rounded(graph: Graph, weights: Mapping[str, F32], run: Run, bits: bool) -> F32:
    """(tokens, vocab) logits of the numpy operators; with `bits`, inputs and outputs in bf16."""
    values: dict[str, F32] = {}
    for node in graph.nodes:
        ins = [values[name] for name in node.ins if name in values]
        ins = [to_bf16(value) for value in ins] if bits else ins
        value = OPS[node.op].run(node, ins, [weights[name] for name in node.weights], run)
        values[node.out] = to_bf16(value) if bits else value
    return values[graph.output]


def log_softmax(logits: F32) -> NDArray[np.float64]:
    """Over the last axis."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    found: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return found


def figures(logits: F32, reference: NDArray[np.float64]) -> dict[str, float]:
    """Mean and largest KL divergence from the reference in nats, and how often the likeliest token agrees."""
    found = log_softmax(logits)
    kl = (np.exp(reference) * (reference - found)).sum(axis=-1)
    agree = (found.argmax(axis=-1) == reference.argmax(axis=-1)).mean()
    return {"mean_kl": float(kl.mean()), "max_kl": float(kl.max()), "top1": float(agree)}


def compare(model: str, tokens: int) -> dict[str, object]:
    """Both against float32, on the first `tokens` tokens of the quality benchmark's text."""
    started = time.perf_counter()
    quality = runpy.run_path(str(Path(__file__).parent / "quality.py"), run_name="quality")
    checkpoint = open_checkpoint(model)
    graph = build(checkpoint)
    weights = load_weights(graph, checkpoint)
    ids = quality["windows_of"](load_tokenizer(checkpoint), 1)[0][:tokens].astype(np.int64)

    def run() -> Run:
        return Run(ids, np.arange(len(ids), dtype=np.int64), ((0, len(ids)),), (KvState(),))

    reference = log_softmax(rounded(graph, weights, run(), bits=False))
    bf16 = rounded(graph, {name: to_bf16(w) for name, w in weights.items()}, run(), bits=True)
    sums = Sums()
    wafer = on_wafer(graph, {name: to_fp16(w) for name, w in weights.items()}, run(), sums)
    return {
        "model": model,
        "tokens": len(ids),
        "wafer_fp16_sums": figures(wafer, reference),
        "bf16_operators": figures(bf16, reference),
        "largest_sum": sums.largest,
        "share_of_fp16_range": sums.largest / FP16_LARGEST,
        "seconds": time.perf_counter() - started,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0] if __doc__ else None)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--tokens", type=int, default=160)
    args = parser.parse_args()
    print(json.dumps(compare(args.model, args.tokens)))


if __name__ == "__main__":
    main()
