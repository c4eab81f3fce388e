"""The commands that replay published runs, as they are typed, and which figures of their answers make a row's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from undiced.validation.lab import Run

Made = Literal["value", "ratio", "slope", "count"]
PLACES = "places"  # no key: 1 if the command is answered, 0 if it is refused


@dataclass(frozen=True, slots=True)
class Replayed:
    """Commands of one row.

    Attributes:
        commands: of `undiced`, without the word. key: of each one's JSON.
        made: the row's figure is that one, the first over the second, their difference per position, or their sum.
        positions: between the two of a slope.
    """

    commands: tuple[str, ...]
    key: str
    made: Made = "value"
    positions: int = 1

    def value(self, figures: Sequence[float]) -> float:
        """The row's figure from those that the commands print."""
        if self.made == "ratio":
            return figures[0] / figures[1]
        if self.made == "slope":
            return (figures[1] - figures[0]) / self.positions
        return sum(figures)


def of_run(run: Run, key: str) -> Replayed:
    """A row that is one figure of one run."""
    return Replayed((command(run),), key)


def command(run: Run) -> str:
    """`simulate` with the options of a run."""
    width, height = run.region
    words = [
        "simulate", run.model, "--machine", run.machine, "--mapping", run.mapping, "--region", f"{width}x{height}",
        "--groups", str(run.groups), "--context", str(run.context),
    ]  # fmt: skip
    if run.stages is not None:
        words += ["--stages", ",".join(map(str, run.stages))]
    for name, value, usual in (
        ("capacity", run.capacity, None), ("phase", run.phase, "decode"), ("batch", run.batch, 1),
        ("chunk", run.chunk, None), ("prefix", run.prefix, 0),
    ):  # fmt: skip
        if value != usual:
            words += [f"--{name}", str(value)]
    return " ".join(words)


def single(row_id: str) -> Replayed:
    """A row of kernels: no model is asked about."""
    return Replayed((f"validate --row {row_id}",), "simulated")
