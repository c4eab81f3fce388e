"""Quality of the quantized engine: its next-token distributions and llama.cpp's against the dequantized float model.

    python benchmarks/quality.py [--model smollm2-135m] [--windows 13] [--no-peer] [--kv-type int8] [--window 4096]

Text is teacher-forced in windows of 512 tokens; the last 255 predictions of each window are compared. The float
reference is the numpy interpreter of the same program with dequantized weights, unquantized activations, and keys and
values in float. All sides get the same token ids. They read windows as prompts; the engine also decodes what is
compared, token by token, which computes attention otherwise. --kv-type int8 adds the engine with that KV cache. Ends in
one JSON line.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from undiced.bench import nearness
from undiced.checkpoint import Checkpoint, open_checkpoint
from undiced.compiler import compile
from undiced.core.kv_type import KV_TYPES, KvType
from undiced.engine.backend import Backend, StepInput
from undiced.engine.host import HostBackend
from undiced.engine.interpreter import InterpreterBackend
from undiced.engine.meaning import log_softmax
from undiced.engine.record import greedy
from undiced.machine.host import host
from undiced.model import build
from undiced.program import Bounds, HostProgram
from undiced.program.host.instruction import Sample
from undiced.text import Tokenizer, load_tokenizer

WINDOW, COMPARED = 512, 256  # the last COMPARED positions of a window but one predict a token that the text has
CLEAR_MARGIN = 0.1  # nats between the reference's two likeliest tokens
GATES = {"mean_kl": 0.005, "p99_kl": 0.03, "top1_clear": 0.98, "top1": 0.955}
DECODED = ", decoded"  # of a side's name
F32 = NDArray[np.float32]


def text() -> str:
    """English and Python that every CPython 3.11 carries: the language reference's topics and a standard module."""
    import json.decoder

    prose = nearness.text()
    return prose[:40_000] + Path(json.decoder.__file__).read_text()[:8_000] + prose[40_000:120_000]


def windows_of(tokenizer: Tokenizer, count: int, window: int = WINDOW) -> NDArray[np.int32]:
    """(count, window) token ids of `text`."""
    return np.array(tokenizer.encode(text())[: count * window], np.int32).reshape(count, window)


def _step(tokens: NDArray[np.int32], at: int, slots: int, rows: NDArray[np.int32], pages: int) -> StepInput:
    """Equal pieces of `slots` sequences, all starting at position `at`."""
    each = tokens.shape[1]
    starts = np.arange(0, slots * each + 1, each, dtype=np.int32)
    sampling = greedy(np.arange(len(rows), dtype=np.int32) % slots)
    table = np.arange(slots * pages, dtype=np.int32).reshape(slots, pages)
    positions = np.tile(np.arange(at, at + each, dtype=np.int32), slots)
    return StepInput(
        np.ascontiguousarray(tokens).reshape(-1),
        positions,
        starts,
        np.arange(slots, dtype=np.int32),
        table,
        rows,
        sampling,
    )


def _logits(backend: Backend, program: HostProgram) -> F32:
    index = next(i.a for i in program.instrs if isinstance(i, Sample))
    return backend.buffer(index)  # type: ignore[attr-defined,no-any-return]


def reference(program: HostProgram, checkpoint: Checkpoint, windows: NDArray[np.int32]) -> Iterator[F32]:
    """Log-probabilities of the compared positions of each window, (255, vocab), in float."""
    length = windows.shape[1]
    pages = -(-length // 32)
    backend = InterpreterBackend(program, checkpoint, pages=pages, max_tokens=length)
    rows = np.arange(length - COMPARED, length - 1, dtype=np.int32)
    for window in windows:
        backend.collect(backend.submit(_step(window[None], 0, 1, rows, pages)))
        yield log_softmax(_logits(backend, program))


def read(program: HostProgram, checkpoint: Checkpoint, windows: NDArray[np.int32]) -> Iterator[F32]:
    """Log-probabilities of the compared positions of each window, (255, vocab), read as a prompt."""
    length = windows.shape[1]
    for window in windows:
        steps = nearness.predictions(program, checkpoint, window.tolist(), [length], lambda _: None, prompt=True)
        yield np.concatenate([rows for _, rows in steps])[:-1]


def decode(program: HostProgram, checkpoint: Checkpoint, windows: NDArray[np.int32]) -> Iterator[list[F32]]:
    """For each compared position, the windows' log-probabilities: decoded together, what is before them prefilled."""
    count, length = windows.shape
    pages = -(-length // 32)
    backend = HostBackend(program, checkpoint, pages=count * pages, max_tokens=count * 32)
    none = np.zeros(0, np.int32)
    for at in range(0, length - COMPARED, 32):
        backend.collect(backend.submit(_step(windows[:, at : at + 32], at, count, none, pages)))
    every = np.arange(count, dtype=np.int32)
    for at in range(length - COMPARED, length - 1):
        backend.collect(backend.submit(_step(windows[:, at : at + 1], at, count, every, pages)))
        yield list(log_softmax(_logits(backend, program)))
    backend.close()


def peers(path: Path, count: int) -> tuple[NDArray[np.int32], Iterator[F32]]:
    """llama.cpp's token ids (count, WINDOW) and log-probabilities of the compared positions, window by window."""
    import peer

    folder = Path(tempfile.mkdtemp())
    (folder / "text").write_text(text())
    out = folder / "logits"
    command = [peer.program("llama-perplexity"), "-m", path, "-f", folder / "text", "-c", WINDOW, "-b", WINDOW, "-t", 2]
    command += ["--chunks", count, "--kl-divergence-base", out]
    subprocess.run([str(c) for c in command], check=True, capture_output=True)
    data = np.memmap(out, np.uint8, "r")
    context, vocab, chunks = np.frombuffer(data[8:20], np.int32)
    assert data[:8].tobytes() == b"_logits_" and context == WINDOW and chunks == count
    end = 20 + int(chunks) * WINDOW * 4
    tokens = np.frombuffer(data[20:end], np.int32).reshape(chunks, WINDOW).copy()
    width = 2 * ((int(vocab) + 1) // 2) + 4
    rows = np.frombuffer(data[end:], np.uint16).reshape(chunks, COMPARED - 1, width)

    def log_probabilities() -> Iterator[F32]:
        for chunk in rows:
            scale, least = np.ascontiguousarray(chunk[:, :4]).view(np.float32).T
            yield scale[:, None] * chunk[:, 4 : 4 + vocab] + least[:, None]

    return tokens, log_probabilities()


class Tally:
    """Divergence of one side from the reference, prediction by prediction."""

    def __init__(self) -> None:
        self.kl: list[float] = []
        self.agree: list[bool] = []
        self.clear: list[bool] = []

    def add(self, expected: F32, found: F32) -> None:
        """One prediction: log-probabilities (vocab,)."""
        p = np.exp(expected.astype(np.float64))
        self.kl.append(float(np.sum(p * (expected - found), dtype=np.float64)))
        second, first = np.partition(expected, -2)[-2:]
        self.agree.append(int(np.argmax(expected)) == int(np.argmax(found)))
        self.clear.append(bool(first - second > CLEAR_MARGIN))

    def add_windows(self, expected: Iterable[F32], found: Iterable[F32]) -> None:
        """All predictions of each window."""
        for wanted, rows in zip(expected, found, strict=True):
            for row, got in zip(wanted, rows, strict=True):
                self.add(row, got)

    def figures(self) -> dict[str, float]:
        """mean and 99th percentile of KL in nats; shares of equal likeliest tokens, in all and where it is clear."""
        agree, clear = np.array(self.agree), np.array(self.clear)
        return {
            "predictions": len(self.kl),
            "mean_kl": float(np.mean(self.kl)),
            "p99_kl": float(np.percentile(self.kl, 99)),
            "top1_clear": float(agree[clear].mean()),
            "top1": float(agree.mean()),
        }


def compare(
    model: str, count: int, with_peer: bool, kv_types: tuple[KvType, ...] = ("f16",), window: int = WINDOW
) -> dict[str, dict[str, float]]:
    """Figures of each side over `count` windows."""
    checkpoint = open_checkpoint(model)
    graph = build(checkpoint)
    programs = {
        "undiced" if kind == "f16" else f"{kind} KV": compile(graph, host(), Bounds(max(count, 1), window), kind)
        for kind in kv_types
    }
    tokenizer = load_tokenizer(checkpoint)
    windows = windows_of(tokenizer, count, window)
    sides = {name + how: Tally() for name in programs for how in ("", DECODED)}
    theirs: Iterator[F32] = iter(())
    if with_peer:
        sides["llama.cpp"] = Tally()
        windows, theirs = peers(checkpoint.path, count)
    if tokenizer.add_bos:  # llama.cpp computes with it at the beginning of each window too, and stores the text's token
        windows[:, 0] = tokenizer.bos_id
    expected = list(reference(programs["undiced"], checkpoint, windows))
    for name, program in programs.items():
        sides[name].add_windows(expected, read(program, checkpoint, windows))
        for position, together in enumerate(decode(program, checkpoint, windows)):
            for one, row in zip(expected, together, strict=True):
                sides[name + DECODED].add(one[position], row)
    if with_peer:
        sides["llama.cpp"].add_windows(expected, theirs)
    return {name: tally.figures() for name, tally in sides.items()}


def failures(figures: dict[str, float]) -> list[str]:
    """Gates that the figures miss."""
    worse = {k: figures[k] > limit if "kl" in k else figures[k] < limit for k, limit in GATES.items()}
    return [
        f"{k} is {figures[k]:.5f}, the gate is {GATES[k]}" for k, bad in worse.items() if bad or math.isnan(figures[k])
    ]


def main() -> None:
    """Measure, print a table, end in one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--windows", type=int, default=13)
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--kv-type", choices=KV_TYPES, default="f16", help="measure the engine with this one, too")
    parser.add_argument("--window", type=int, default=WINDOW, help="tokens of a window; no peer with another than 512")
    args = parser.parse_args()
    kinds = tuple(dict.fromkeys(("f16", args.kv_type)))
    found = compare(args.model, args.windows, not args.no_peer and args.window == WINDOW, kinds, args.window)
    for name, row in found.items():
        print(f"{name:18} mean KL {row['mean_kl']:.5f}  p99 {row['p99_kl']:.5f}  top-1 {100 * row['top1']:.2f} %"
              f"  where clear {100 * row['top1_clear']:.2f} %  ({row['predictions']:.0f} predictions)")  # fmt: skip
    for name in ("undiced", "undiced" + DECODED):
        for fault in failures(found[name]):
            print(f"GATE MISSED by {name}: {fault}")
    print(json.dumps({"command": "python benchmarks/quality.py", "model": args.model, "sides": found}))


if __name__ == "__main__":
    main()
