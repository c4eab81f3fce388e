"""How near each side's next-token distributions are to the dequantized float model's, on the text of quality.py, whose
windows all of them read as prompts."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import quality
from peer_sides import OURS, Side, Worker

from undiced.checkpoint import Checkpoint
from undiced.compiler import compile
from undiced.engine.meaning import log_softmax
from undiced.machine.host import host
from undiced.model import build
from undiced.program import Bounds
from undiced.text import load_tokenizer


def measured(checkpoint: Checkpoint, sides: Sequence[Side], count: int, threads: int) -> dict[str, object]:
    """Figures of each side over `count` windows, all of the same tokens."""
    program = compile(build(checkpoint), host(threads), Bounds(count, quality.WINDOW))
    windows = quality.windows_of(load_tokenizer(checkpoint), count)
    expected = list(quality.reference(program, checkpoint, windows))
    found = {}
    for side in sides:
        tally = quality.Tally()
        if side.name == OURS:
            tally.add_windows(expected, quality.read(program, checkpoint, windows))
        else:
            _tell(tally, side, windows, expected, threads)
        found[side.name] = {"version": side.version, **tally.figures()}
    return {"windows": count, "sides": found}


def _tell(
    tally: quality.Tally, side: Side, windows: quality.NDArray, expected: list[quality.F32], threads: int
) -> None:
    worker = Worker(side, threads, 1, 1024)
    try:
        worker.ready()
        for window, wanted in zip(windows, expected, strict=True):
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "logits"
                rows = worker.logits(window.tolist(), quality.WINDOW - quality.COMPARED, file)
                logits = np.fromfile(file, np.float32).reshape(rows, -1)[:, : wanted.shape[1]]
            for row, got in zip(wanted, log_softmax(logits), strict=True):
                tally.add(row, got)
    finally:
        worker.close()
