"""The choices that our mapping makes, each switchable by itself, so that an ablation can take one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args

from undiced.core.errors import CompileError
from undiced.machine.vector import Kind

Weights = Literal["bf16", "int8", "int4"]
Wire = Literal["fp32", "fp16", "mixed"]
Accumulator = Literal["fp32", "fp16", "fp32-cached", "fp16-cached"]

WEIGHT_BITS: dict[str, float] = {"bf16": 16.0, "int8": 8.25, "int4": 4.5}  # with one 16-bit scale a group of 64 or 32
_UNPACK_OPERATIONS: dict[str, int] = {"bf16": 0, "int8": 1, "int4": 2}
_ACCUMULATORS: dict[str, Kind] = {
    "fp32": Kind.FMA32,
    "fp16": Kind.FMA16,
    "fp32-cached": Kind.FMA32_CACHED,
    "fp16-cached": Kind.FMA16_CACHED,
}
_STORING: dict[str, Kind] = {
    "fp32": Kind.FMA32,
    "fp16": Kind.FMA16,
    "fp32-cached": Kind.FMA32,
    "fp16-cached": Kind.FMA16,
}
_WIRES = get_args(Wire)
_SLICES_MAX = 8


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a layer is written.

    Attributes:
        weights: storage of matrices. Activations and KV entries stay 16 or 8 bits wide.
        kv_bytes: bytes of a stored key or value element.
        wire: format of partial sums that travel. "mixed": 16 bits but for exponentials and what they weigh, whose
            range needs 32.
        accumulator: format of local sums; "cached" ones stay in the core's small cache while a tile streams (the cache
            is published; that vector operations reach it at full rate is assumed).
        first_writes: the first product of a sum is written instead of added to a cleared one; the last goes to memory.
        fuse_weights: q, k, v (and up, gate) are one tile: one operation per input.
        fuse_norms: a norm's sum of squares rides on the product it feeds, which is scaled afterwards.
        norms_ahead: with slices, the sum of squares goes ahead of the product it scales, in 32 bits over the first
            tree, and its root is taken before the product's sums arrive.
        fuse_softmax: the softmax's sum rides on the values; only the maximum has a collective of its own.
        plain_softmax: no maximum at all: e^s of scores clamped to +-80 summed in fp32, exact unless a score is larger.
            A count of clamped scores rides on the sum; such a token (none in practice) is repeated with the maximum.
        vector_math: exponentials, divisions, roots as short sequences of vector operations instead of library scalars.
        half_silu: where wires are of 16 bits, the activation of what they bring is computed in 16 bits too.
        overlap: local softmax and values run while the maximum is on its way, and are rescaled.
        early: slices arrive one after the other, so the product that they feed starts with the first.
        one_multicast: results return by one send both ways.
        slices: trees with neighboring roots that share the up and gate payload; the roots apply the activation, and
            only its result is sent on.
        slice_rows: all other sums along rows use those trees too: the roots scale, rotate and divide their share.
        band_slices: trees that share the scores of a band; the roots exponentiate and sum their share. Of both kinds of
            slices there are as many as colors allow.
        levels: reduction trees of up to four levels of chains or stars, searched; otherwise the two-tree.
    """

    weights: Weights = "bf16"
    kv_bytes: int = 2
    wire: Wire = "mixed"
    accumulator: Accumulator = "fp16-cached"
    first_writes: bool = True
    fuse_weights: bool = True
    fuse_norms: bool = True
    norms_ahead: bool = True
    fuse_softmax: bool = True
    plain_softmax: bool = True
    vector_math: bool = True
    half_silu: bool = True
    overlap: bool = True
    early: bool = True
    one_multicast: bool = True
    levels: bool = True
    slices: int = 5
    slice_rows: bool = True
    band_slices: int = 4

    def __post_init__(self) -> None:
        if self.weights not in WEIGHT_BITS:
            raise CompileError(f"There are no {self.weights[:40]!r} weights.", remedy="Use bf16, int8 or int4.")
        if self.kv_bytes not in (1, 2):
            raise CompileError(f"Keys and values can't have {self.kv_bytes} bytes.", remedy="Use 1 or 2.")
        if self.wire not in _WIRES or self.accumulator not in _ACCUMULATORS:
            raise CompileError(
                f"There is no {self.wire} wire with sums in {self.accumulator}.",
                remedy=f"Use {', '.join(_WIRES)}, and one of {', '.join(_ACCUMULATORS)}.",
            )
        if self.plain_softmax and self.wire == "fp16":
            raise CompileError("A softmax without its maximum overflows fp16 wires.", remedy="Use fp32 or mixed wires.")
        if not (0 <= self.slices <= _SLICES_MAX and 0 <= self.band_slices <= _SLICES_MAX):
            raise CompileError(
                f"{self.slices} and {self.band_slices} slices are out of range.",
                remedy=f"Use 0 (off) to {_SLICES_MAX}.",
            )

    @property
    def wire_bytes(self) -> int:
        """Bytes of a traveling element."""
        return 4 if self.wire == "fp32" else 2

    @property
    def sum_bytes(self) -> int:
        """Bytes of a local sum."""
        return 4 if self.accumulator.startswith("fp32") else 2

    @property
    def fma(self) -> Kind:
        """The multiply-add that the accumulator allows."""
        return _ACCUMULATORS[self.accumulator]

    @property
    def storing(self) -> Kind:
        """The multiply-add that leaves its sums in memory."""
        return _STORING[self.accumulator]

    @property
    def attending(self) -> Kind:
        """The multiply-add of scores and values: wide where exponentials have no maximum taken off."""
        if not self.plain_softmax:
            return self.fma
        return Kind.FMA32_CACHED if self.cached else Kind.FMA32

    @property
    def cached(self) -> bool:
        """Whether local sums stay in the core's cache while a tile streams."""
        return self.accumulator.endswith("cached")

    @property
    def weight_bits(self) -> float:
        """Stored bits per weight, scales included."""
        return WEIGHT_BITS[self.weights]

    @property
    def unpack_operations(self) -> int:
        """Vector operations that widen an input's row of weights before it is multiplied."""
        return _UNPACK_OPERATIONS[self.weights]


def scheme_of(overrides: Mapping[str, object]) -> Scheme:
    """The default scheme with some fields replaced; fp16 wires imply a softmax with its maximum.

    Raises:
        CompileError: an unknown field, or a value of the wrong type.
    """
    defaults = Scheme()
    for name, value in overrides.items():
        if name not in _names():
            raise CompileError(f"A scheme has no {name!r}.", remedy=f"Its fields: {', '.join(_names())}.")
        if type(value) is not type(getattr(defaults, name)):
            raise CompileError(
                f"A scheme can't have {name} = {value!r}.", remedy=f"For example {getattr(defaults, name)!r}."
            )
    if overrides.get("wire") == "fp16":
        overrides = {"plain_softmax": False, **overrides}
    return replace(defaults, **overrides)  # type: ignore[arg-type]


def _names() -> list[str]:
    return [field.name for field in fields(Scheme)]
