"""A group of GPUs that share a model's layers out: its steps as draws of a roofline, alone and with prompts beside."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from undiced.core.errors import CompileError
from undiced.core.option import option
from undiced.machine.gpu import COUNT_MAX, SERVER, Gpu
from undiced.machine.roofline import fits, floor_s, step_s
from undiced.model import Graph
from undiced.study.gpus import demand

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

SEQUENCES_MAX = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """So many GPUs of one kind with a model, weights and cached numbers of `bits`.

    Raises:
        CompileError: none, or more than are compared.
    """

    gpu: Gpu
    count: int
    graph: Graph
    bits: int = 16

    def __post_init__(self) -> None:
        if not 1 <= self.count <= COUNT_MAX:
            raise CompileError(f"{self.count} GPUs are out of range.", remedy=f"Use 1 to {COUNT_MAX}.")

    @property
    def name(self) -> str:
        """As in 8 x h100."""
        return f"{self.count} x {self.gpu.name}"

    @property
    def power_w(self) -> float:
        """At most, with its share of a server."""
        return self.gpu.server_power_w.value * self.count / SERVER

    @property
    def price_usd(self) -> tuple[float, float]:
        """Its share of a server of eight, assumed."""
        low, high = self.gpu.server_price_usd.span
        return low * self.count / SERVER, high * self.count / SERVER

    def holds(self, sequences: int, context: int) -> bool:
        """Whether weights and the keys and values of so many sequences fit."""
        return fits(self.gpu, self.count, demand(self.graph, batch=sequences, context=context, bits=self.bits))

    @cache  # noqa: B019  # groups are few, and compared by identity
    def most(self, context: int) -> int:
        """The most sequences that fit, up to `SEQUENCES_MAX`; 0 if none does."""
        low, high = 0, SEQUENCES_MAX + 1
        while low + 1 < high:
            middle = (low + high) // 2
            low, high = (middle, high) if self.holds(middle, context) else (low, middle)
        return low

    def token_s(self, sequences: int, context: float) -> Numbers:
        """Draws of a decoding step, in which each sequence gets a token."""
        return step_s(self.gpu, self.count, demand(self.graph, batch=sequences, context=context, bits=self.bits))

    def prompt_s(self, prompt: int) -> Numbers:
        """Draws of one prompt's step."""
        asked = demand(self.graph, batch=1, context=(prompt + 1) / 2, bits=self.bits, tokens=prompt)
        return step_s(self.gpu, self.count, asked)

    def shared_token_s(self, sequences: int, prompt: int, answer: int) -> Numbers:
        """Draws of a token's time in a service: prompts of new sequences come between steps, one for each answer."""
        between = self.prompt_s(prompt) * sequences / answer
        return self.token_s(sequences, prompt + answer / 2) + between

    def least_token_s(self, sequences: int, context: float) -> float:
        """What nominal bandwidth and arithmetic alone take."""
        return floor_s(self.gpu, self.count, demand(self.graph, batch=sequences, context=context, bits=self.bits))


@cache
def counts() -> tuple[int, ...]:
    """Groups that are compared: 1 to 16 GPUs."""
    return tuple(1 << n for n in range(COUNT_MAX.bit_length()) if 1 << n <= COUNT_MAX)


def none_holds(graph: Graph, context: int) -> CompileError:
    """The error of a model that no group has room for."""
    return CompileError(
        f"{graph.config.name} at {context:,} positions does not fit {COUNT_MAX} of these GPUs.",
        remedy=f"Use narrower weights or {option('context', max(context // 2, 1))}.",
    )
