"""Nearness: how far the next-token distributions of an engine are from those of another one, over a real text."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from undiced.engine.backend import PAGE_TOKENS, SlotState, StepInput
from undiced.engine.host import HostBackend
from undiced.engine.meaning import log_softmax
from undiced.engine.record import greedy
from undiced.program.host.instruction import Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from undiced.checkpoint import Checkpoint
    from undiced.program import HostProgram

REACHES = (512, 4096)  # positions before which predictions are compared
_COMPARED = 256  # predictions before each
_STEP = 32  # tokens, all of whose logits a step tells


@dataclass(frozen=True, slots=True)
class Nearness:
    """What two engines predict, compared.

    Attributes:
        reach: the position that the predictions stand before.
        mean_kl: of the second from the first, in nats. top1: share of predictions whose likeliest token is the same.
    """

    reach: int
    predictions: int
    mean_kl: float
    top1: float

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def text() -> str:
    """English that every Python carries: the language reference's topics."""
    from pydoc_data.topics import topics

    return "\n\n".join(topics[name] for name in sorted(topics))


def nearness(
    first: HostProgram,
    second: HostProgram,
    checkpoint: Checkpoint,
    tokens: Sequence[int],
    say: Callable[[float, str], None],
    isa: str = "",
) -> list[Nearness]:
    """Both programs read the tokens, one after the other, so that memory holds one engine; for each of REACHES that the
    tokens come to, or else for all that there are. `say` is told the share that is done, and what is read.
    """
    count = len(tokens) // _STEP * _STEP
    reaches = [reach for reach in REACHES if reach <= count] or [count]

    def told(begin: float) -> Callable[[float], None]:
        return lambda share: say(begin + share / 2, "Reading a text")

    halves = ((first, 0.0), (second, 0.5))
    readings = [predictions(each, checkpoint, tokens[:count], reaches, told(begin), isa=isa) for each, begin in halves]
    expected = list(readings[0])
    kl: dict[int, list[float]] = {reach: [] for reach in reaches}
    same: dict[int, list[bool]] = {reach: [] for reach in reaches}
    for (reach, wanted), (_, rows) in zip(expected, readings[1], strict=True):
        shares = np.exp(wanted.astype(np.float64))
        kl[reach] += np.sum(shares * (wanted - rows), axis=1).tolist()
        same[reach] += (wanted.argmax(axis=1) == rows.argmax(axis=1)).tolist()
    return [Nearness(r, len(kl[r]), float(np.mean(kl[r])), float(np.mean(same[r]))) for r in reaches]


def predictions(
    program: HostProgram,
    checkpoint: Checkpoint,
    tokens: Sequence[int],
    reaches: Sequence[int],
    done: Callable[[float], None],
    *,
    prompt: bool = False,
    isa: str = "",
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Log-probabilities (_STEP, vocabulary) of the predictions before each reach, _STEP of them at a time.

    Args:
        tokens: a multiple of _STEP. reaches: such multiples, of at least _COMPARED.
        prompt: whether the tokens attend as a prompt's do; otherwise as an answer's.
    """
    pages = -(-len(tokens) // PAGE_TOKENS)
    logits = next(instr.a for instr in program.instrs if isinstance(instr, Sample))
    backend = HostBackend(program, checkpoint, pages=pages, max_tokens=_STEP, isa=isa)
    try:
        backend.open_slot(0, SlotState(prompt_tokens=len(tokens) if prompt else 0))
        for at in range(0, len(tokens), _STEP):
            done(at / len(tokens))
            reach = next((reach for reach in reaches if reach - _COMPARED <= at < reach), None)
            backend.collect(backend.submit(_step(tokens[at : at + _STEP], at, pages, told=reach is not None)))
            if reach is not None:
                yield reach, log_softmax(backend.buffer(logits))
    finally:
        backend.close()


def _step(tokens: Sequence[int], at: int, pages: int, *, told: bool) -> StepInput:
    count = len(tokens)
    rows = np.arange(count if told else 0, dtype=np.int32)
    return StepInput(
        np.array(tokens, np.int32),
        np.arange(at, at + count, dtype=np.int32),
        np.array([0, count], np.int32),
        np.zeros(1, np.int32),
        np.arange(pages, dtype=np.int32)[None],
        rows,
        _scored(rows),
    )


def _scored(rows: NDArray[np.int32]) -> NDArray[np.void]:
    """Rows that are looked at and drawn from by nobody."""
    records = greedy(np.zeros(len(rows), np.int32))
    records["target"], records["top_logprobs"] = 1, 0
    return records
