"""Runs prompts on any backend, whole or in pieces, and returns logits: shared by the tests that compare executors."""

from itertools import repeat

import numpy as np

from undiced.engine.backend import StepInput
from undiced.engine.host import HostBackend
from undiced.engine.record import greedy
from undiced.program.host.instruction import Sample


def logits_buffer(program):
    """Index of the buffer that SAMPLE reads."""
    return next(i.a for i in program.instrs if isinstance(i, Sample))


def step_of(parts, page_rows, pages_each):
    """A step over parts [(slot, tokens, first position)], every token's row sampled greedily."""
    tokens = np.concatenate([np.asarray(t, np.int32) for _, t, _ in parts])
    positions = np.concatenate([np.arange(p, p + len(t), dtype=np.int32) for _, t, p in parts])
    starts = np.cumsum([0, *(len(t) for _, t, _ in parts)]).astype(np.int32)
    slots = np.array([s for s, _, _ in parts], np.int32)
    rows = (starts[1:] - 1).astype(np.int32)
    return StepInput(tokens, positions, starts, slots, page_rows[slots, :pages_each].copy(), rows, greedy(slots))


def run(backend, program, prompts, chunk, order):
    """Last-row logits after each step: prompts are fed in chunks of `chunk` tokens, all sequences together.

    Args:
        chunk: a number, or one for each step.
        order: a permutation of the page pool, so that sequences lie on scattered pages.

    Returns:
        For each prompt a dict: position -> logits of the token at that position.
    """
    pages_each = backend.limits.pages // len(prompts)
    page_rows = np.asarray(order[: pages_each * len(prompts)], np.int32).reshape(len(prompts), pages_each)
    index = logits_buffer(program)
    found = [{} for _ in prompts]
    at, sizes = 0, repeat(chunk) if isinstance(chunk, int) else iter(chunk)
    while at < max(map(len, prompts)):
        size = next(sizes)
        parts = [(i, p[at : at + size], at) for i, p in enumerate(prompts) if at < len(p)]
        backend.collect(backend.submit(step_of(parts, page_rows, pages_each)))
        for (i, tokens, start), row in zip(parts, backend.buffer(index), strict=True):
            found[i][start + len(tokens) - 1] = row.copy()
        at += size
    return found


def check_rows_alone(program, checkpoint, prompts):
    """Rows of a sequence that come together, as many as a draft may have, have the bits that each has alone."""
    backend = HostBackend(program, checkpoint, threads=2, pages=8)
    count, table = 1 + backend.limits.draft, np.arange(8, dtype=np.int32)[None]
    tokens = np.array((max(prompts, key=len) * 8)[:count], np.int32)

    def logits(first, rows):
        at = np.arange(first, first + rows, dtype=np.int32)
        sampled, start = np.arange(rows, dtype=np.int32), np.array([0, rows], np.int32)
        records = greedy(np.zeros(rows, np.int32))
        records["target"], records["top_logprobs"] = 1, 0
        step = StepInput(tokens[at], at, start, np.zeros(1, np.int32), table, sampled, records)
        backend.collect(backend.submit(step))
        return backend.buffer(logits_buffer(program))

    try:
        together = logits(0, count).copy()
        for row in range(count):
            np.testing.assert_array_equal(logits(row, 1)[0], together[row])
    finally:
        backend.close()
