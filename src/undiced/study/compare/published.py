"""Published points of a model, and of models of its very sizes: GPUs beside their rooflines, services on wafers."""

from __future__ import annotations

from dataclasses import dataclass

from undiced.machine.gpu_points import Point
from undiced.model import ModelConfig, preset
from undiced.study.gpus import Beside, beside
from undiced.validation.services import SERVICES, Service

_SIZES = ("dim", "layers", "heads", "kv_heads", "head_dim", "ffn", "vocab", "moe", "mla")


@dataclass(frozen=True, slots=True)
class Published:
    """Measured on GPUs, each beside its roofline, `mine` of them of the same sizes; and claimed of services."""

    every: tuple[Beside, ...]
    mine: tuple[Beside, ...]
    services: tuple[Service, ...]


def published(config: ModelConfig) -> Published:
    """All measured points, and what is of this model's sizes."""
    every = tuple(beside())
    alike = {name: _alike(preset(name), config) for name in {p.point.model for p in every}}
    mine = tuple(each for each in every if alike[each.point.model])
    return Published(every, mine, tuple(each for each in SERVICES if _alike(preset(each.model), config)))


def speeds(point: Point) -> tuple[float, float]:
    """Tokens per second of one sequence, and of all, from what was measured; prompts are included where they were."""
    match point.measure:
        case "token_s":
            return 1 / point.value, point.batch / point.value
        case "whole_s":
            return point.answer / point.value, point.batch * point.answer / point.value
        case "tokens_per_second":
            return point.value / point.batch, point.value
        case "user_tokens_per_second":
            return point.value, point.batch * point.value
        case _:
            raise ValueError(f"{point.measure} is no speed")


def _alike(one: ModelConfig, other: ModelConfig) -> bool:
    """Whether a token of both takes the same work."""
    return all(getattr(one, name) == getattr(other, name) for name in _SIZES)
