"""Instructions of mixtures of experts: choosing experts, and products with those that a token chose.

A token's choice is a row of `2 * top_k` floats: the weights of its experts, then their numbers.
"""

from __future__ import annotations

from undiced.program.host.field import (
    NONE,
    Activation,
    Count,
    Factor,
    Floats,
    Matrix,
    NotNegative,
    Partition,
    Scoring,
    Vector,
)
from undiced.program.host.instr import SHARD_GRANULE, Instr, Shape, Span


class Route(Instr, frozen=True, kw_only=True, tag=16):
    """dst[t] = the weights of the `top_k` chosen experts of a[t, :experts], largest choice first, then their numbers;
    chosen by score plus bias among the `top_groups` best of `groups`, each as good as its `group_best` best experts
    together; weights are scores, divided by their sum if
    `normalize`, times scaling"""

    dst: Floats
    a: Floats
    bias: Vector = NONE
    experts: Count
    top_k: Count
    groups: Count
    top_groups: Count
    group_best: Count = 2
    scoring: Scoring
    scaling: float
    normalize: bool = False

    def reads(self) -> tuple[Span, ...]:
        return (Span(self.a, 0, self.experts),)

    def writes(self) -> tuple[Span, ...]:
        return (Span(self.dst, 0, 2 * self.top_k),)

    def shapes(self) -> tuple[Shape, ...]:
        return (Shape(self.bias, 1, self.experts),)

    def fault(self) -> str:
        if self.experts % self.groups or not self.top_groups <= self.groups:
            return f"{self.experts} experts can't be chosen from {self.top_groups} of {self.groups} groups"
        if self.group_best > 2:
            return f"groups can't be judged by {self.group_best} experts"
        allowed = self.experts // self.groups * self.top_groups
        return "" if self.top_k <= allowed else f"{self.top_k} of {allowed} experts can't be chosen"


class _OfExperts(Instr, frozen=True, kw_only=True):
    """A product with the matrices of the experts that `routes` names for a token, stacked in one slot."""

    split = Partition.COLUMNS
    dst: Factor
    a: Factor
    routes: Floats
    rows: Count
    columns: Count
    experts: Count
    top_k: Count
    weigh: bool = False

    def _chosen(self) -> Span:
        return Span(self.routes, 0, 2 * self.top_k)

    def _stack(self, slot: int) -> Shape:
        return Shape(slot, self.experts * self.rows, self.columns)

    def _biases(self, slot: int) -> Shape:
        return Shape(slot, 1, self.experts * self.rows)

    def fault(self) -> str:
        if self.rows % SHARD_GRANULE or self.columns % SHARD_GRANULE:
            return f"experts of {self.rows} x {self.columns} are no multiples of {SHARD_GRANULE}"
        return "dst is a" if self.dst == self.a else ""


class ExpertGlu(_OfExperts, frozen=True, kw_only=True, tag=17):
    """dst[:, k*rows:(k+1)*rows] = activation(a @ gate[e].T (+ bias)) * (a @ up[e].T (+ bias)), e the token's k-th
    expert; `weigh`: a times its weight; a dst of int8 blocks is quantized; limit clamps SWIGLU_OSS, 0: none"""

    gate: Matrix
    up: Matrix
    gate_bias: Vector = NONE
    up_bias: Vector = NONE
    activation: Activation
    limit: NotNegative

    def reads(self) -> tuple[Span, ...]:
        return Span(self.a, 0, self.columns), self._chosen()

    def writes(self) -> tuple[Span, ...]:
        return (Span(self.dst, 0, self.top_k * self.rows),)

    def shapes(self) -> tuple[Shape, ...]:
        stacks = self._stack(self.gate), self._stack(self.up)
        return *stacks, self._biases(self.gate_bias), self._biases(self.up_bias)


class ExpertSum(_OfExperts, frozen=True, kw_only=True, tag=18):
    """dst[:, :rows] (+)= the sum over the token's experts e, number k, of a[:, k*columns:(k+1)*columns] @ down[e].T
    (+ bias); `weigh`: each times its weight"""

    down: Matrix
    bias: Vector = NONE
    accumulate: bool = False

    @property
    def adds(self) -> bool:
        return self.accumulate

    def reads(self) -> tuple[Span, ...]:
        return Span(self.a, 0, self.top_k * self.columns), self._chosen()

    def writes(self) -> tuple[Span, ...]:
        return (Span(self.dst, 0, self.rows),)

    def shapes(self) -> tuple[Shape, ...]:
        return self._stack(self.down), self._biases(self.bias)
