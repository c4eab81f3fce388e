"""InterpreterBackend: a host program in numpy, one instruction after the other. The obvious twin of the native team.

Weights are dequantized floats and activations are never quantized, so this is also the reference that the quantized
engine's quality is measured against. Slow, single-threaded, for tests and for finding where two executors part.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from undiced.core.errors import UnsupportedError
from undiced.core.sampling import TOP_LOGPROBS_MAX
from undiced.engine import meaning
from undiced.engine.backend import PAGE_TOKENS, Limits, SlotState, StepInput, StepOutput, Submitted
from undiced.engine.weights import matrix_of, vector_of
from undiced.program import Flag, Instr, Op
from undiced.program.isa import NONE

if TYPE_CHECKING:
    from undiced.checkpoint import Checkpoint
    from undiced.program import Program

F32 = NDArray[np.float32]


class InterpreterBackend:
    """Runs a host program's instructions by their numpy meaning.

    Args:
        program: of kind "host".
        checkpoint: source of the weights.
        pages: KV pages in the pool.
        max_tokens: tokens in a step at most.
        kv_f16: round keys and values to f16, as the native team's cache does; else they stay float32.
    """

    def __init__(
        self,
        program: Program,
        checkpoint: Checkpoint,
        *,
        pages: int = 256,
        max_tokens: int = 256,
        kv_f16: bool = False,
    ) -> None:
        self.program = program
        bounds = program.bounds
        self.limits = Limits(
            bounds.batch, max_tokens, bounds.context, pages, PAGE_TOKENS, program.vocab, "interpreter", max_tokens
        )
        self._submitted = Submitted(self.limits.in_flight)
        self._weights = [vector_of(s, checkpoint) if s.rows == 1 else matrix_of(s, checkpoint) for s in program.slots]
        self._buffers: list[F32] = [np.zeros((0, b.width), np.float32) for b in program.buffers]
        self._keys = [np.zeros((pages, PAGE_TOKENS, k.kv_heads, k.head_dim), np.float32) for k in program.kv]
        self._values = [np.zeros_like(k) for k in self._keys]
        self._done = 0
        self._kv_type = np.float16 if kv_f16 else np.float32

    def open_slot(self, slot: int, state: SlotState) -> None:
        """Accepted for the protocol's sake; sampling here is greedy."""

    def submit(self, batch: StepInput) -> int:
        """Take in one step."""
        return self._submitted.push(batch)

    def collect(self, ticket: int) -> StepOutput:
        """Run the step; tokens that are drawn are always the likeliest ones."""
        batch = self._submitted.oldest(ticket)
        start = time.perf_counter()
        for instr in self.program.streams[0].instrs:
            self._done += 1
            if instr.op in (Op.BARRIER, Op.SAMPLE):
                continue
            if instr.op not in _MEANINGS:
                raise UnsupportedError(
                    f"The interpreter has no meaning for {instr.op.name}.",
                    remedy="Run the program with the native engine.",
                )
            _MEANINGS[instr.op](self, instr, batch)
        logits = self._buffers[self.program.streams[0].instrs[-2].a]
        self._submitted.done()
        return self._sampled(logits, batch, start)

    def _sampled(self, logits: F32, batch: StepInput, start: float) -> StepOutput:
        rows, targets = np.arange(len(logits)), batch.sampling["target"]
        logs = meaning.log_softmax(logits) if len(rows) else logits
        tokens = np.where(targets < 0, np.argmax(logits, axis=1), targets).astype(np.int32)
        order = np.argsort(-logs, axis=1, kind="stable")[:, :TOP_LOGPROBS_MAX]
        unwanted = np.arange(TOP_LOGPROBS_MAX) >= batch.sampling["top_logprobs"][:, None]
        top = np.full((len(rows), TOP_LOGPROBS_MAX), -1, np.int32)
        values = np.full((len(rows), TOP_LOGPROBS_MAX), -np.inf, np.float32)
        top[:, : order.shape[1]] = order
        values[:, : order.shape[1]] = np.take_along_axis(logs, order, axis=1)
        top[unwanted], values[unwanted] = -1, -np.inf
        return StepOutput(tokens, logs[rows, tokens], top, values, time.perf_counter() - start, float("nan"))

    def buffer(self, index: int) -> F32:
        """The last step's rows of a buffer, copied."""
        return self._buffers[index].copy()

    def progress(self) -> int:
        """Instructions done since the beginning."""
        return self._done

    def close(self) -> None:
        """Nothing to free."""

    def _weight(self, index: int) -> F32 | None:
        return None if index == NONE else self._weights[index]

    def _write(self, instr: Instr, values: F32, start: int = 0) -> None:
        """Rows of `values` to columns from `start` on of the destination."""
        target = self._buffers[instr.dst]
        width = self.program.buffers[instr.dst].width
        if len(target) != len(values):
            target = self._buffers[instr.dst] = np.zeros((len(values), width), np.float32)
        columns = slice(start, start + values.shape[1])
        target[:, columns] = target[:, columns] + values if instr.flags & Flag.ACCUMULATE else values


def _embed(m: InterpreterBackend, i: Instr, batch: StepInput) -> None:
    ids = batch.positions if i.flags & Flag.POSITIONS else batch.tokens
    m._write(i, m._weights[i.weight][ids] * np.float32(i.f[0]))


def _rmsnorm(m: InterpreterBackend, i: Instr, batch: StepInput) -> None:
    start, columns, width = i.p
    x = m._buffers[i.a][:, start : start + columns]
    m._write(i, meaning.rmsnorm(x, m._weight(i.weight), width, i.f[0]), start)


def _layernorm(m: InterpreterBackend, i: Instr, batch: StepInput) -> None:
    m._write(i, meaning.layernorm(m._buffers[i.a], m._weights[i.weight], m._weights[i.bias], i.f[0]))


def _quantize(m: InterpreterBackend, i: Instr, batch: StepInput) -> None:
    m._write(i, m._buffers[i.a])


def _matmul(m: InterpreterBackend, i: Instr, batch: StepInput) -> None:
    start, rows, columns = i.p
    y = m._buffers[i.a][:, :columns] @ m._weights[i.weight].reshape(rows, columns).T
    bias = m._weight(i.bias)
    m._write(i, y if bias is None else y + bias, start)


def _rope(m: InterpreterBackend, i: Instr, batch: StepInput) -> None:
    start, heads, head_dim, dims, style, constant = i.p
    frequencies = np.asarray(m.program.constants[constant], np.float64)
    factors = m._weight(i.weight)
    angles = batch.positions[:, None] * (frequencies if factors is None else frequencies / factors)
    x = m._buffers[i.a][:, start : start + heads * head_dim]
    m._write(i, meaning.rope(x, angles, heads, head_dim, dims, style, i.f[0]), start)


def _kv_store(m: InterpreterBackend, i: Instr, batch: StepInput) -> None:
    layer, k_start, v_start, kv_heads, head_dim = i.p
    width = kv_heads * head_dim
    k, v = m._buffers[i.a].astype(m._kv_type), m._buffers[i.b].astype(m._kv_type)
    for s, (start, stop) in enumerate(zip(batch.seq_start[:-1], batch.seq_start[1:], strict=True)):
        for t in range(start, stop):
            page, offset = divmod(int(batch.positions[t]), PAGE_TOKENS)
            home = int(batch.page_table[s, page])
            m._keys[layer][home, offset] = k[t, k_start : k_start + width].reshape(kv_heads, head_dim)
            m._values[layer][home, offset] = v[t, v_start : v_start + width].reshape(kv_heads, head_dim)


def _attention(m: InterpreterBackend, i: Instr, batch: StepInput) -> None:
    layer, start, heads, kv_heads, head_dim, window = i.p
    q = m._buffers[i.a][:, start : start + heads * head_dim]
    out = np.zeros((len(q), heads * head_dim), np.float32)
    for s, (first, stop) in enumerate(zip(batch.seq_start[:-1], batch.seq_start[1:], strict=True)):
        length = int(batch.positions[stop - 1]) + 1
        pages = batch.page_table[s, : -(-length // PAGE_TOKENS)]
        keys = m._keys[layer][pages].reshape(-1, kv_heads, head_dim)[:length]
        values = m._values[layer][pages].reshape(-1, kv_heads, head_dim)[:length]
        out[first:stop] = meaning.attention(
            q[first:stop].reshape(-1, heads, head_dim), keys, values, batch.positions[first:stop], window, i.f,
            m._weight(i.weight),
        )  # fmt: skip
    m._write(i, out)


def _glu(m: InterpreterBackend, i: Instr, batch: StepInput) -> None:
    gate, up, columns, activation = i.p
    x = m._buffers[i.a]
    m._write(i, meaning.ACTIVATIONS[activation](x[:, gate : gate + columns]) * x[:, up : up + columns])


def _activate(m: InterpreterBackend, i: Instr, batch: StepInput) -> None:
    m._write(i, meaning.ACTIVATIONS[i.p[1]](m._buffers[i.a]))


def _add(m: InterpreterBackend, i: Instr, batch: StepInput) -> None:
    m._write(i, m._buffers[i.a] + m._buffers[i.b])


def _scale(m: InterpreterBackend, i: Instr, batch: StepInput) -> None:
    m._write(i, m._buffers[i.a] * np.float32(i.f[0]))


def _softcap(m: InterpreterBackend, i: Instr, batch: StepInput) -> None:
    cap = np.float32(i.f[0])
    m._write(i, cap * np.tanh(m._buffers[i.a] / cap))


def _gather(m: InterpreterBackend, i: Instr, batch: StepInput) -> None:
    m._write(i, m._buffers[i.a][batch.sample_rows])


_MEANINGS: dict[Op, Callable[[InterpreterBackend, Instr, StepInput], None]] = {
    Op.EMBED: _embed,
    Op.RMSNORM: _rmsnorm,
    Op.LAYERNORM: _layernorm,
    Op.QUANTIZE: _quantize,
    Op.MATMUL: _matmul,
    Op.ROPE: _rope,
    Op.KV_STORE: _kv_store,
    Op.ATTENTION: _attention,
    Op.GLU: _glu,
    Op.ACTIVATE: _activate,
    Op.ADD: _add,
    Op.SCALE: _scale,
    Op.SOFTCAP: _softcap,
    Op.GATHER: _gather,
}
