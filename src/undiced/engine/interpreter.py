"""InterpreterBackend: a host program in numpy, one instruction after the other. The obvious twin of the native team.

Weights are dequantized floats and activations are never quantized, so this is also the reference that the quantized
engine's quality is measured against. Slow, single-threaded, for tests and for finding where two executors part.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, assert_never

import numpy as np
from numpy.typing import NDArray

from undiced.engine import meaning
from undiced.engine.backend import PAGE_TOKENS, AnyStep, Limits, SlotState, StepInput, StepOutput, Submitted
from undiced.engine.hidden import hidden_buffer, hidden_width
from undiced.engine.likeliest import likeliest
from undiced.engine.stored import stored_keys, stored_values
from undiced.engine.weights import matrix_of, vector_of
from undiced.program.host.expert_instruction import ExpertGlu, ExpertSum, Route
from undiced.program.host.field import NONE
from undiced.program.host.instruction import (
    Activate,
    Add,
    Attention,
    Barrier,
    Embed,
    Gather,
    Glu,
    Instruction,
    KvStore,
    Layernorm,
    Matmul,
    PositionScale,
    Quantize,
    Rmsnorm,
    Rope,
    Sample,
    Scale,
    Softcap,
)
from undiced.program.host.latent_instruction import HeadMatmul, LatentAttention, LatentStore
from undiced.program.host.verify import verify

if TYPE_CHECKING:
    from undiced.checkpoint import Checkpoint
    from undiced.program import HostProgram

F32 = NDArray[np.float32]
Ints = NDArray[np.int32]


class InterpreterBackend:
    """Runs a host program's instructions by their numpy meaning.

    Args:
        program: verified here.
        checkpoint: source of the weights.
        pages: KV pages in the pool.
        max_tokens: tokens in a step at most.
        kv_rounded: keep of keys and values what the native team's cache does; else they stay float32.

    Raises:
        CompileError: the program breaks a rule of the instruction table.
        CheckpointError: the checkpoint is not the one that the program was compiled from.
    """

    def __init__(
        self,
        program: HostProgram,
        checkpoint: Checkpoint,
        *,
        pages: int = 256,
        max_tokens: int = 256,
        kv_rounded: bool = False,
    ) -> None:
        verify(program)
        self.program = program
        bounds = program.bounds
        self.limits = Limits(
            bounds.batch,
            max_tokens,
            bounds.context,
            pages,
            PAGE_TOKENS,
            program.vocab,
            "interpreter",
            max_tokens,
            hidden=hidden_width(program, hidden_buffer(program)),
        )
        self._submitted = Submitted(self.limits.in_flight)
        self._weights = [vector_of(s, checkpoint) if s.rows == 1 else matrix_of(s, checkpoint) for s in program.slots]
        self._buffers: list[F32] = [np.zeros((0, b.width), np.float32) for b in program.buffers]
        self._keys = [np.zeros((pages, PAGE_TOKENS, k.kv_heads, k.head_dim), np.float32) for k in program.kv]
        self._values = [
            np.zeros(0 if k.latent else x.shape, np.float32) for k, x in zip(program.kv, self._keys, strict=True)
        ]
        self._done = 0
        self._kv_rounded = kv_rounded

    def open_slot(self, slot: int, state: SlotState) -> None:
        """Accepted for the protocol's sake; sampling here is greedy."""

    def count_tokens(self, slot: int, tokens: list[int]) -> None:
        """Accepted for the protocol's sake; nothing is penalized here."""

    def submit(self, batch: AnyStep) -> int:
        """Take in one step."""
        return self._submitted.push(batch)

    def collect(self, ticket: int) -> StepOutput:
        """Run the step; tokens that are drawn are always the likeliest ones."""
        batch = self._submitted.oldest(ticket).arrays()
        start = time.perf_counter()
        logits = np.zeros((0, self.program.vocab), np.float32)
        for instr in self.program.instrs:
            self._done += 1
            if isinstance(instr, Sample):
                (logits,) = self._read(instr)
            else:
                self._run(instr, batch)
        self._submitted.done()
        output = likeliest(logits, batch, start)
        if batch.hidden:
            output.hidden = self.buffer(hidden_buffer(self.program))
        return output

    def _run(self, instr: Instruction, batch: StepInput) -> None:
        match instr:
            case Embed():
                _embed(self, instr, batch)
            case Rmsnorm():
                _rmsnorm(self, instr, batch)
            case Layernorm():
                _layernorm(self, instr, batch)
            case Quantize():
                _quantize(self, instr, batch)
            case Matmul():
                _matmul(self, instr, batch)
            case Rope():
                _rope(self, instr, batch)
            case KvStore():
                _kv_store(self, instr, batch)
            case Attention():
                _attention(self, instr, batch)
            case Glu():
                _glu(self, instr, batch)
            case Activate():
                _activate(self, instr, batch)
            case Add():
                _add(self, instr, batch)
            case Scale():
                _scale(self, instr, batch)
            case Softcap():
                _softcap(self, instr, batch)
            case Gather():
                _gather(self, instr, batch)
            case Route():
                _route(self, instr, batch)
            case ExpertGlu():
                _expert_glu(self, instr, batch)
            case ExpertSum():
                _expert_sum(self, instr, batch)
            case HeadMatmul():
                _head_matmul(self, instr, batch)
            case LatentStore():
                _latent_store(self, instr, batch)
            case LatentAttention():
                _latent_attention(self, instr, batch)
            case PositionScale():
                _position_scale(self, instr, batch)
            case Barrier() | Sample():
                pass
            case _:
                assert_never(instr)

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

    def _read(self, instr: Instruction) -> tuple[F32, ...]:
        """The columns that the instruction reads, an array for each of its `reads`."""
        return tuple(self._buffers[buffer][:, start : start + columns] for buffer, start, columns in instr.reads())

    def _write(self, instr: Instruction, values: F32, accumulate: bool = False) -> None:
        """Rows of `values` to the columns that the instruction writes."""
        ((buffer, start, columns),) = instr.writes()
        target = self._buffers[buffer]
        if len(target) != len(values):
            target = self._buffers[buffer] = np.zeros((len(values), self.program.buffers[buffer].width), np.float32)
        place = slice(start, start + columns)
        target[:, place] = target[:, place] + values if accumulate else values


def _embed(m: InterpreterBackend, i: Embed, batch: StepInput) -> None:
    ids = batch.positions if i.positions else batch.tokens
    m._write(i, m._weights[i.table][ids] * np.float32(i.scale), i.accumulate)


def _rmsnorm(m: InterpreterBackend, i: Rmsnorm, batch: StepInput) -> None:
    m._write(i, meaning.rmsnorm(m._read(i)[0], m._weight(i.weight), i.width, i.eps))


def _layernorm(m: InterpreterBackend, i: Layernorm, batch: StepInput) -> None:
    m._write(i, meaning.layernorm(m._read(i)[0], m._weight(i.weight), m._weight(i.bias), i.eps))


def _quantize(m: InterpreterBackend, i: Quantize, batch: StepInput) -> None:
    m._write(i, m._read(i)[0])


def _matmul(m: InterpreterBackend, i: Matmul, batch: StepInput) -> None:
    (x,), bias = m._read(i), m._weight(i.bias)
    y = x @ m._weights[i.weight].T
    m._write(i, y if bias is None else y + bias, i.accumulate)


def _tokens(m: InterpreterBackend, i: Rope | PositionScale | Attention | LatentAttention, batch: StepInput) -> Ints:
    """The token of each row that an instruction reads."""
    sampled = m.program.buffers[i.dst].rows == "samples"
    return batch.sample_rows if sampled else np.arange(len(batch.tokens), dtype=np.int32)


def _rope(m: InterpreterBackend, i: Rope, batch: StepInput) -> None:
    frequencies = np.asarray(m.program.constants[i.constant], np.float64)
    factors = m._weight(i.factors)
    angles = batch.positions[_tokens(m, i, batch), None] * (frequencies if factors is None else frequencies / factors)
    m._write(i, meaning.rope(m._read(i)[0], angles, i.heads, i.head_dim, i.dims, i.style, i.magnitude, i.offset))


def _kv_store(m: InterpreterBackend, i: KvStore, batch: StepInput) -> None:
    k, v = (x.reshape(-1, i.kv_heads, i.head_dim) for x in m._read(i))
    if m._kv_rounded:
        kind = m.program.kv[i.kv_layer].type
        k, v = stored_keys(k, kind), stored_values(v, kind)
    for t, home, offset in _homes(batch):
        m._keys[i.kv_layer][home, offset], m._values[i.kv_layer][home, offset] = k[t], v[t]


def _homes(batch: StepInput) -> Iterator[tuple[int, int, int]]:
    """Each token with the page that its position lies in, and where in there."""
    for s, (start, stop) in enumerate(zip(batch.seq_start[:-1], batch.seq_start[1:], strict=True)):
        for t in range(start, stop):
            page, offset = divmod(int(batch.positions[t]), PAGE_TOKENS)
            yield t, int(batch.page_table[s, page]), offset


def _cached(cache: F32, batch: StepInput, tokens: Ints) -> Iterator[tuple[slice, F32]]:
    """Each sequence's rows, of those of ascending `tokens`, and what the cache (pages, PAGE_TOKENS, ...) has of its
    positions so far.
    """
    for s, (first, stop) in enumerate(zip(batch.seq_start[:-1], batch.seq_start[1:], strict=True)):
        length = int(batch.positions[stop - 1]) + 1
        pages = cache[batch.page_table[s, : -(-length // PAGE_TOKENS)]]
        yield slice(*np.searchsorted(tokens, (first, stop))), pages.reshape(-1, *cache.shape[2:])[:length]


def _attention(m: InterpreterBackend, i: Attention, batch: StepInput) -> None:
    (q,), tokens = m._read(i), _tokens(m, i, batch)
    out = np.zeros_like(q)
    caches = (_cached(x[i.kv_layer], batch, tokens) for x in (m._keys, m._values))
    for (rows, keys), (_, values) in zip(*caches, strict=True):
        out[rows] = meaning.attention(
            q[rows].reshape(-1, i.heads, i.head_dim), keys, values, batch.positions[tokens[rows]], i.window,
            (i.scale, i.softcap), m._weight(i.sinks), i.chunk,
        )  # fmt: skip
    m._write(i, out)


def _head_matmul(m: InterpreterBackend, i: HeadMatmul, batch: StepInput) -> None:
    (x,), stack = m._read(i), m._weights[i.weight].reshape(i.heads, i.rows, i.columns)
    heads = (x[:, h * i.stride :][:, : i.columns] @ stack[h].T for h in range(i.heads))
    m._write(i, np.concatenate(list(heads), axis=1))


def _latent_store(m: InterpreterBackend, i: LatentStore, batch: StepInput) -> None:
    (rows,) = m._read(i)
    for t, home, offset in _homes(batch):
        m._keys[i.kv_layer][home, offset] = stored_keys(rows[t], "f16") if m._kv_rounded else rows[t]


def _latent_attention(m: InterpreterBackend, i: LatentAttention, batch: StepInput) -> None:
    sizes = (i.rank, i.nope + i.rope)
    absorbed, turned = (x.reshape(-1, i.heads, size) for x, size in zip(m._read(i), sizes, strict=True))
    q = np.concatenate([absorbed, turned[:, :, i.nope :]], axis=2)
    out = np.zeros((len(q), i.heads * i.rank), np.float32)
    tokens = _tokens(m, i, batch)
    for rows, keys in _cached(m._keys[i.kv_layer], batch, tokens):
        values, positions = keys[:, :, : i.rank], batch.positions[tokens[rows]]
        out[rows] = meaning.attention(q[rows], keys, values, positions, 0, (i.scale, 0.0), None)
    m._write(i, out)


def _position_scale(m: InterpreterBackend, i: PositionScale, batch: StepInput) -> None:
    grown = 1 + i.scale * np.log1p((batch.positions[_tokens(m, i, batch)] + 1) // i.floor)
    m._write(i, m._read(i)[0] * grown.astype(np.float32)[:, None])


def _glu(m: InterpreterBackend, i: Glu, batch: StepInput) -> None:
    gate, up = m._read(i)
    m._write(i, meaning.ACTIVATIONS[i.activation](gate) * up)


def _activate(m: InterpreterBackend, i: Activate, batch: StepInput) -> None:
    m._write(i, meaning.ACTIVATIONS[i.activation](m._read(i)[0]))


def _add(m: InterpreterBackend, i: Add, batch: StepInput) -> None:
    a, b = m._read(i)
    m._write(i, a + b)


def _scale(m: InterpreterBackend, i: Scale, batch: StepInput) -> None:
    (x,) = m._read(i)
    m._write(i, x * np.float32(i.factor))


def _softcap(m: InterpreterBackend, i: Softcap, batch: StepInput) -> None:
    (x,), cap = m._read(i), np.float32(i.cap)
    m._write(i, cap * np.tanh(x / cap))


def _gather(m: InterpreterBackend, i: Gather, batch: StepInput) -> None:
    (x,) = m._read(i)
    m._write(i, x[batch.sample_rows])


def _route(m: InterpreterBackend, i: Route, batch: StepInput) -> None:
    m._write(i, meaning.routes(m._read(i)[0], m._weight(i.bias), i))


def _chosen(m: InterpreterBackend, i: ExpertGlu | ExpertSum, slot: int, bias: int) -> Iterator[_Choice]:
    """Each token's experts: token, number k, the expert's matrix and bias, and its weight."""
    stack, biases = m._weights[slot].reshape(i.experts, i.rows, i.columns), m._weight(bias)
    for token, row in enumerate(m._read(i)[1]):
        for k in range(i.top_k):
            expert = int(row[i.top_k + k])
            added = np.float32(0) if biases is None else biases.reshape(i.experts, -1)[expert]
            yield _Choice(token, k, stack[expert], added, row[k])


class _Choice(NamedTuple):
    token: int
    k: int
    matrix: F32
    bias: F32 | np.float32
    weight: np.float32


def _expert_glu(m: InterpreterBackend, i: ExpertGlu, batch: StepInput) -> None:
    x = m._read(i)[0]
    out = np.zeros((len(x), i.top_k, i.rows), np.float32)
    gates, ups = _chosen(m, i, i.gate, i.gate_bias), _chosen(m, i, i.up, i.up_bias)
    for gate, up in zip(gates, ups, strict=True):
        row = x[gate.token] * gate.weight if i.weigh else x[gate.token]
        left, right = (row @ each.matrix.T + each.bias for each in (gate, up))
        out[gate.token, gate.k] = meaning.glu(left, right, i.activation, i.limit)
    m._write(i, out.reshape(len(x), i.top_k * i.rows))


def _expert_sum(m: InterpreterBackend, i: ExpertSum, batch: StepInput) -> None:
    x = m._read(i)[0]
    out, inner = np.zeros((len(x), i.rows), np.float32), x.reshape(len(x), i.top_k, i.columns)
    for one in _chosen(m, i, i.down, i.bias):
        y = inner[one.token, one.k] @ one.matrix.T + one.bias
        out[one.token] += y * one.weight if i.weigh else y
    m._write(i, out, i.accumulate)
