"""Which model, machine, grid and context each published run had. Knows no result.

Forced tokens: a prefix and 1,024 more, so the mean context is prefix + 512. Free tokens: 64, so position + 32.
"""

from __future__ import annotations

from undiced.core.mapping import Phase
from undiced.validation.lab import Run

_GROUPS = {360: 18, 420: 20, 480: 20, 540: 20, 600: 24, 660: 22, 720: 24}  # of the published two-tree, by side
_FORCED, _FREE = 512, 32
_FORCED_ROOM, _FREE_ROOM, _LONG_ROOM = 17_408, 20_480, 32_512  # the last where a context is beyond _FREE_MOST
_FREE_MOST = 16_384
_EIGHT_STAGES = (2, 4, 4, 4, 4, 4, 4, 2)


def waferllm(model: str, side: int) -> Run:
    """A decode layer on a square grid of WSE-2, at 4,096 positions padded up to the grid."""
    return _waferllm(model, side, -(-4096 // side) * side, "decode")


def waferllm_prompt(model: str, side: int) -> Run:
    """A layer of a prompt of 4,096 tokens."""
    return _waferllm(model, side, 4096, "prefill")


def _waferllm(model: str, side: int, context: int, phase: Phase) -> Run:
    return Run(model, "wse2", "waferllm", (side, side), _GROUPS[side], context, phase=phase)


def forced(wide: bool, prefix: int) -> Run:
    """Tokens forced after `prefix`: eight stages of 256 x 256 cores (wide), or 28 of 64 x 256."""
    return engine(wide, prefix + _FORCED)


def free(wide: bool, position: int) -> Run:
    """Tokens that the engine draws itself from `position` on."""
    return engine(wide, position + _FREE, capacity=_FREE_ROOM if position <= _FREE_MOST else _LONG_ROOM)


def engine(
    wide: bool, context: int, stages: tuple[int, ...] | None = None, batch: int = 1, capacity: int = _FORCED_ROOM
) -> Run:
    """The decode engine of Qwen3-1.7B on WSE-3."""
    region, layers = ((256, 256), _EIGHT_STAGES) if wide else ((64, 256), (1,) * 28)
    stages = stages or layers
    return Run("qwen3-1.7b", "wse3", "waferengine", region, 16, context, None, "decode", stages, batch, capacity)


def narrow() -> Run:
    """A layer a region of 128 x 128 cores, which does not place."""
    return Run("qwen3-1.7b", "wse3", "waferengine", (128, 128), 16, 1024, stages=(1,) * 28)


def prompt(tokens: int, chunk: int, prefix: int = 0) -> Run:
    """The engine's prefill, on the same regions as its decode."""
    return Run(
        "qwen3-1.7b", "wse3", "waferengine", (256, 256), 16, tokens, phase="prefill", stages=_EIGHT_STAGES, chunk=chunk,
        prefix=prefix,
    )  # fmt: skip
