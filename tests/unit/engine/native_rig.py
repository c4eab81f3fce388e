"""A native engine around a few instructions: tokens choose rows of an F32 table, so tests feed any numbers they like.

Knows how to call the engine; knows nothing of what instructions mean.
"""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from undiced import _native
from undiced.engine.record import SAMPLING
from undiced.program.host.encoding import encode
from undiced.program.host.instr import Instr
from undiced.program.host.instruction import Barrier, Embed

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
NO_INTS = np.zeros(0, np.int32)
NO_FLOATS = np.zeros(0, np.float32)
THREADS = (1, 2, 3)


def barriers(instrs: Items[Instr]) -> tuple[Instr, ...]:
    """The instructions with a barrier after each: right for any split of the work."""
    return tuple(i for instr in instrs for i in (instr, Barrier()))


def embed(columns: int) -> Embed:
    """Buffer 0 takes the tokens' rows of the table in slot 0."""
    return Embed(dst=0, table=0, columns=columns, scale=1.0)


def vector(values: F32) -> tuple[int, int, str, int]:
    return (1, len(values), "F32", 1)


def matrix(values: F32, fmt: str = "F32") -> tuple[int, int, str, int]:
    return (*values.shape, fmt, 1)


def sampling(rows: int, **fields: object) -> NDArray[np.void]:
    """Sampling rows: greedy, no penalties, slots 0, 1, ... unless `fields` say otherwise."""
    out = np.zeros(rows, SAMPLING)
    out["slot"] = np.arange(rows)
    out["top_logprobs"] = out["target"] = out["mask"] = -1
    out["top_p"] = out["repetition_penalty"] = 1
    for name, value in fields.items():
        out[name] = value
    return out


@dataclass
class Seq:
    """New tokens of one sequence, the first at `position`, and the sequence's pages."""

    tokens: Items[int]
    position: int = 0
    pages: Items[int] = (0,)


@dataclass
class Out:
    tokens: I32
    logprobs: F32
    top_ids: I32
    top_logprobs: F32


@dataclass
class Rig:
    """An engine whose slots are loaded with `weights` (vectors and F32 matrices as arrays, others by `load`)."""

    stream: tuple[Instr, ...]
    buffers: list[tuple[int, ...]]  # width, samples, bytes a code or 0 and, unless it is 0, own
    weights: list[F32]
    kv: list[tuple[int, ...]] = field(default_factory=list)  # heads, columns, window and, unless it is 0, latent
    kv_type: str = "f16"
    constants: list[F32] = field(default_factory=list)
    slots: list[tuple[int, int, str, int]] | None = None
    threads: int = 2
    batch: int = 4
    samples: int = 0  # sampled rows in a step; 0: as many as sequences
    tokens: int = 64
    context: int = 4096
    pages: int = 64
    vocab: int = 64
    isa: str = ""

    def __post_init__(self) -> None:
        slots = self.slots or [vector(w) if w.ndim == 1 else matrix(w) for w in self.weights]
        self.engine = _native.Engine(
            encode(self.stream), [(*b, 0)[:4] for b in self.buffers], slots,
            [(*(*k, 0)[:4], self.kv_type) for k in self.kv], self.constants, self.threads,
            self.batch, self.tokens, self.context, self.pages, self.vocab, self.isa,
            max_samples=self.samples,
        )  # fmt: skip
        for index, (slot, values) in enumerate(zip(slots, self.weights, strict=False)):
            if slot[0] == 1:
                self.engine.load_vector(index, values)
            elif slot[2] == "F32":
                self.load(index, values, "F32", *values.shape)

    def load(self, index: int, raw: NDArray[np.generic], fmt: str, rows: int, columns: int) -> None:
        data = np.ascontiguousarray(raw).view(np.uint8).reshape(-1)
        self.engine.load([(index, [(data, fmt, rows, columns, np.arange(rows, dtype=np.int32), False)])])

    def step(
        self,
        sequences: Items[Seq],
        rows: Items[int] = (),
        params: NDArray[np.void] | None = None,
        slots: Items[int] | None = None,
        masks: I32 | None = None,
    ) -> Out:
        lengths = [len(s.tokens) for s in sequences]
        width = max(len(s.pages) for s in sequences)
        out = Out(
            np.full(len(rows), -7, np.int32),
            np.zeros(len(rows), np.float32),
            np.zeros((len(rows), 20), np.int32),
            np.zeros((len(rows), 20), np.float32),
        )
        self.engine.step(
            np.array([t for s in sequences for t in s.tokens], np.int32),
            np.array([s.position + i for s in sequences for i in range(len(s.tokens))], np.int32),
            np.cumsum([0, *lengths]).astype(np.int32),
            np.array(range(len(sequences)) if slots is None else slots, np.int32),
            np.array([[*s.pages, *[-1] * (width - len(s.pages))] for s in sequences], np.int32),
            np.array(rows, np.int32),
            sampling(len(rows)) if params is None else params,
            out.tokens, out.logprobs, out.top_ids, out.top_logprobs, masks,
        )  # fmt: skip
        return out

    def run(self, tokens: Items[int], position: int = 0) -> None:
        """One sequence on pages 0, 1, ..."""
        self.step([Seq(tokens, position, range(self.context // _native.PAGE_TOKENS)[: self.pages])])

    def buffer(self, index: int) -> F32:
        out: F32 = self.engine.buffer(index)
        return out


def open_slot(
    rig: Rig,
    slot: int,
    prompt: Items[int] = (),
    bias: Items[tuple[int, float]] = (),
    eos: Items[int] = (),
    allowed: Items[int] = (),
) -> None:
    rig.engine.open_slot(
        slot,
        np.array(prompt, np.int32),
        np.array([i for i, _ in bias], np.int32),
        np.array([v for _, v in bias], np.float32),
        np.array(eos, np.int32),
        np.array(allowed, np.int32),
    )
