"""A whole comparison: both sides, what is published beside them, and everything that is taken for granted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from undiced.machine import find_machine
from undiced.machine.constant import Constant
from undiced.machine.gpu import Gpu, find_gpu
from undiced.machine.prices import PRICES
from undiced.machine.roofline import DRAWS
from undiced.machine.wafer import Wafer
from undiced.model import build_config
from undiced.study.compare.asked import BITS, Asked
from undiced.study.compare.gpus import gpu_points
from undiced.study.compare.point import Point
from undiced.study.compare.published import Published, published
from undiced.study.compare.wafers import Missing, wafer_points
from undiced.study.gpu_group import none_holds
from undiced.study.subject import subject
from undiced.study.variants import Progress, Variants, variants

_DRAWN = 0.3  # of the work


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both sides and what is published; `missing` has no place."""

    model: str
    asked: Asked
    wafer: Wafer
    over: Variants
    points: tuple[Point, ...]
    missing: tuple[Missing, ...]
    published: Published

    def notes(self) -> Iterator[str]:
        """What is taken for granted, in words."""
        bits = BITS[self.asked.weights]
        low, high = PRICES.system_price.span
        yield f"Wafers: {self.over.words}. Partial sums of 16 bits, code counted, caches of 16 bits."
        yield (
            "Sequences follow each other through the pipeline, as many as memory holds; prompts token by token, but "
            "for what is placed for prompts."
        )
        yield (
            f"GPUs: rooflines with {max(bits, 8)}-bit caches, 5 %, 50 % and 95 % of {DRAWS} draws of what is assumed "
            "of software; layers shared out over all of them; prompts at once, nothing else meanwhile."
        )
        yield "Nobody speculates. No service's queues, network or prompts of others."
        yield f"A system with a wafer at {low / 1e6:g} to {high / 1e6:g} million US$, assumed; power by data sheets."

    def constants(self) -> Iterator[tuple[str, Constant]]:
        """Every figure of the GPUs, by name; those of the wafer are `undiced machines --sources`'s."""
        for name in self.asked.gpus:
            for what, each in find_gpu(name).constants():
                yield f"{name}.{what}", each

    def gpus(self) -> list[Gpu]:
        """The kinds that are compared."""
        return [find_gpu(name) for name in self.asked.gpus]

    def as_dict(self) -> dict[str, object]:
        """What `undiced compare --json` prints."""
        return {
            "model": self.model,
            "source": "simulated",
            "context": self.asked.context,
            "weights": self.asked.weights,
            "clock_hz": list(self.over.ends_hz),
            "draws": {"kept": len(self.over.wafers), "drawn": self.over.drawn},
            "points": [point.as_dict() for point in self.points],
            "missing": [asdict(each) for each in self.missing],
            "measured": [
                {**each.as_dict(), "of_these_sizes": each in self.published.mine} for each in self.published.every
            ],
            "services": [asdict(each) for each in self.published.services],
            "assumptions": {
                "notes": list(self.notes()),
                "gpus": {name: asdict(each) for name, each in self.constants()},
                "system_price": asdict(PRICES.system_price),
            },
        }


def compare(asked: Asked, progress: Progress) -> Comparison:
    """Both sides of a model.

    Raises:
        UndicedError: what is asked makes no sense, or the model has room nowhere.
    """
    asked.check()
    about = subject(asked.model, progress)
    wafer = find_machine(asked.machine)
    graph = build_config(about.config)
    clock = None if asked.clock is None else asked.clock * 1e9
    over = variants(wafer, asked.samples, clock, lambda share, what: progress(_DRAWN * share, what))
    mine, out = wafer_points(asked, over, lambda share, what: progress(_DRAWN + (1 - _DRAWN) * share, what))
    theirs, beyond = gpu_points(asked, graph)
    if not mine and not theirs:
        raise none_holds(graph, asked.context)
    return Comparison(about.config.name, asked, wafer, over, (*mine, *theirs), (*out, *beyond), published(about.config))
