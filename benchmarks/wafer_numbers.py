"""What a wafer's numbers do to a model: its program executed core by core with every rounding, against float32.

    python benchmarks/wafer_numbers.py [--model smollm2-135m] [--windows 2] [--tokens 512] [--machine toy-24x24]
                                       [--only int8,fp8,int4]

Text is teacher-forced in windows, and all positions are compared: KL divergence of the next token's
distribution, and how often the likeliest token agrees. The wafer's program runs twice: with sums of 16 bits in cores
and on wires, rounded after every multiply-add and every hop; and with sums of 32 bits. Beside it, on the same tokens:
the host engine (stored weights, int8 activations), and the same model with bf16 weights and every operator's inputs and
outputs in bf16, sums in float32, as GPU stacks run it. Ends in one JSON line.
"""

from __future__ import annotations

import argparse
import json
import runpy
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from undiced.checkpoint import Checkpoint, open_checkpoint
from undiced.cli.emulation import mesh_model
from undiced.cli.traces import trace_host
from undiced.machine import find_machine
from undiced.model import OPS, Graph, KvState, build, load_weights, run_graph
from undiced.model.meaning import Run
from undiced.program import Bounds
from undiced.program.wafer.value import DType
from undiced.sim.mesh.rounding import rounded
from undiced.text import load_tokenizer

F32 = NDArray[np.float32]
FORMATS = {
    "16_bit_sums": (16, "fp16"),
    "32_bit_sums": (32, "fp16"),
    "int8": (16, "int8"),
    "fp8": (16, "fp8"),
    "int4": (16, "int4"),
}
OTHERS = ("bf16_operators", "host_engine")

Logits = Callable[[list[int]], F32]  # (tokens, vocabulary) of a window


def bf16(graph: Graph, weights: Mapping[str, F32], tokens: list[int]) -> F32:
    """Logits of the numpy operators on rounded weights, inputs and outputs in bf16."""
    ids = np.array(tokens, dtype=np.int64)
    run = Run(ids, np.arange(len(ids), dtype=np.int64), ((0, len(ids)),), (KvState(),), context=0)
    values: dict[str, F32] = {}
    for node in graph.nodes:
        ins = [values[name] for name in node.ins if name in values]
        value = OPS[node.op].run(node, ins, [weights[name] for name in node.weights], run)
        values[node.out] = rounded(value.astype(np.float32), DType.BF16)
    return values[graph.output]


def mesh(checkpoint: Checkpoint, graph: Graph, machine: str, window: int, sum_bits: int, weights: str) -> Logits:
    """Logits of the wafer's program, sequence after sequence."""
    formats = {"sum_bits": sum_bits, "weights": weights}
    model = mesh_model(checkpoint, graph, find_machine(machine), Bounds(1, window), **formats)
    executor = model.executor("wafer")
    most = min(executor.most_tokens, executor.most_tokens_each)

    def logits(tokens: list[int]) -> F32:
        found = [executor.step([(0, tokens[at : at + most])]).logits for at in range(0, len(tokens), most)]
        executor.forget(0)
        return np.concatenate(found)

    return logits


def log_softmax(logits: F32) -> F32:
    """Over the last axis, row by row in float64."""
    found = np.empty_like(logits)
    for row, out in zip(logits, found, strict=True):
        shifted = row.astype(np.float64) - row.max()
        out[:] = shifted - np.log(np.exp(shifted).sum())
    return found


def figures(kl: list[F32], agrees: list[NDArray[np.bool_]], seconds: float) -> dict[str, float]:
    """Of all positions: KL divergence from the reference in nats, and the share of equal likeliest tokens."""
    all_kl = np.concatenate(kl)
    return {
        "mean_kl": float(all_kl.mean()),
        "p99_kl": float(np.quantile(all_kl, 0.99)),
        "max_kl": float(all_kl.max()),
        "top1": float(np.concatenate(agrees).mean()),
        "seconds": round(seconds, 1),
    }


def against(reference: list[F32], windows: list[list[int]], logits: Logits) -> dict[str, float]:
    """One executor on all windows."""
    started = time.perf_counter()
    kl, agrees = [], []
    for known, tokens in zip(reference, windows, strict=True):
        found = log_softmax(logits(tokens))
        kl.append(np.array([np.exp(k) @ (k - f) for k, f in zip(known, found, strict=True)]))
        agrees.append(found.argmax(axis=-1) == known.argmax(axis=-1))
    return figures(kl, agrees, time.perf_counter() - started)


def compare(model: str, count: int, window: int, machine: str, only: tuple[str, ...]) -> dict[str, object]:
    """Those that are asked for against float32, on the first `window` tokens of each of `count` windows."""
    quality = runpy.run_path(str(Path(__file__).parent / "quality.py"), run_name="quality")
    checkpoint = open_checkpoint(model)
    graph = build(checkpoint)
    windows = [list(map(int, ids[:window])) for ids in quality["windows_of"](load_tokenizer(checkpoint), count)]
    weights = load_weights(graph, checkpoint)
    reference = [log_softmax(run_graph(graph, weights, ids, KvState())) for ids in windows]
    weights = {name: rounded(array, DType.BF16) for name, array in weights.items()}
    found: dict[str, object] = {"model": model, "machine": machine, "tokens": sum(map(len, windows))}
    if "bf16_operators" in only:
        found["bf16_operators"] = against(reference, windows, lambda ids: bf16(graph, weights, ids))
    weights.clear()
    if "host_engine" in only:
        found["host_engine"] = against(reference, windows, lambda ids: trace_host(checkpoint, graph, ids)[graph.output])
    for name, (bits, form) in FORMATS.items():
        if name not in only:
            continue
        found[f"wafer_{name}"] = against(reference, windows, mesh(checkpoint, graph, machine, window, bits, form))
        print(name, found[f"wafer_{name}"], file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0] if __doc__ else None)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--windows", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=512, help="of each window, at most 512")
    parser.add_argument("--machine", default="toy-24x24")
    parser.add_argument("--only", default=",".join((*OTHERS, *FORMATS)), help="which of them, separated by commas")
    args = parser.parse_args()
    only = tuple(args.only.split(","))
    if unknown := sorted(set(only) - {*OTHERS, *FORMATS}):
        parser.error(f"there is no {unknown[0]}: use some of {', '.join((*OTHERS, *FORMATS))}")
    print(json.dumps(compare(args.model, args.windows, args.tokens, args.machine, only)))


if __name__ == "__main__":
    main()
