"""The likeliest tokens of a step's logits, and how likely they are: what the interpreter draws."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from undiced.core.sampling import TOP_LOGPROBS_MAX
from undiced.engine import meaning
from undiced.engine.backend import NoToken, StepInput, StepOutput

F32 = NDArray[np.float32]


def likeliest(logits: F32, batch: StepInput, start: float) -> StepOutput:
    """The token of each row of logits (rows, vocab), and the step's seconds since `start`."""
    rows, targets = np.arange(len(logits)), batch.sampling["target"]
    logs = meaning.log_softmax(logits) if len(rows) else logits
    tokens = np.where(targets < 0, np.argmax(_masked(logits, batch), axis=1), targets).astype(np.int32)
    _leave_drafts(tokens, batch)
    order = np.argsort(-logs, axis=1, kind="stable")[:, :TOP_LOGPROBS_MAX]
    unwanted = np.arange(TOP_LOGPROBS_MAX) >= batch.sampling["top_logprobs"][:, None]
    top = np.full((len(rows), TOP_LOGPROBS_MAX), -1, np.int32)
    values = np.full((len(rows), TOP_LOGPROBS_MAX), -np.inf, np.float32)
    top[:, : order.shape[1]] = order
    values[:, : order.shape[1]] = np.take_along_axis(logs, order, axis=1)
    top[unwanted], values[unwanted] = -1, -np.inf
    return StepOutput(tokens, logs[rows, tokens], top, values, time.perf_counter() - start, float("nan"))


def _leave_drafts(tokens: NDArray[np.int32], batch: StepInput) -> None:
    """Rows whose sequence drew another token than the one that they have read are not reached."""
    slots, drawn = batch.sampling["slot"], batch.sampling["target"] < 0
    for row in range(1, len(tokens)):
        if slots[row] == slots[row - 1] and drawn[row] and drawn[row - 1]:
            read = batch.tokens[batch.sample_rows[row]]
            tokens[row] = tokens[row] if read == tokens[row - 1] else NoToken.NOT_REACHED


def _masked(logits: F32, batch: StepInput) -> F32:
    """The logits with -infinity for tokens that a mask forbids."""
    rows = batch.sampling["mask"]
    if batch.masks is None or not (rows >= 0).any():
        return logits
    bits = np.unpackbits(batch.masks.view(np.uint8), axis=1, bitorder="little")[:, : logits.shape[1]]
    free = (rows < 0)[:, None] | (bits[rows] == 1)
    return np.where(free, logits, np.float32(-np.inf))
