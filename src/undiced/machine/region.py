"""What the integer parameters of a wafer program's regions mean: written by mappings, read by simulators.

A region runs its stream `repeats` times a token. Regions are listed in the order a token passes them; those over one
rectangle of one wafer form a stage of the pipeline.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Role(IntEnum):
    """What a region does for a token. Never renumber: saved programs hold them."""

    LAYERS = 0  # transformer layers
    EMBED = 1  # token to hidden state
    HEAD = 2  # final norm, lm_head, sampling, and the token on its way back
    ENTER = 3  # the hidden state arriving from the stage before
    DRAFT = 4  # a draft model's step, for speculation


@dataclass(frozen=True, slots=True)
class RegionParams:
    """Unpacked parameters.

    Attributes:
        role: see `Role`.
        first_layer: index of the first layer, or -1.
        repeats: times the stream runs for each token (layers that the region holds, as a rule).
        kv_rows: cores that share the KV positions of a layer; the fullest holds ceil(context / kv_rows).
    """

    role: Role
    first_layer: int
    repeats: int
    kv_rows: int

    def pack(self) -> tuple[int, ...]:
        """As stored in `Region.params`."""
        return int(self.role), self.first_layer, self.repeats, self.kv_rows


def unpack(params: tuple[int, ...]) -> RegionParams:
    """The inverse of `RegionParams.pack`."""
    role, first_layer, repeats, kv_rows = params
    return RegionParams(Role(role), first_layer, repeats, kv_rows)
