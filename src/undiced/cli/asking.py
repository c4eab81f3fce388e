"""The options of questions about wafers, with one wording for every command that asks them, and those that stand
together in all commands that look at a model or at a program of it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.options import HUB
from undiced.core import mapping as asked

if TYPE_CHECKING:
    from undiced.study.question import Question

_NAMED = "A configuration's name (llama-3.3-70b; `undiced models --configurations` lists them), a config.json, a model"
Subject = Annotated[str, typer.Argument(help=f"{_NAMED} folder, a checkpoint, or {HUB}.", metavar="MODEL")]
Timed = Annotated[
    str,
    typer.Argument(
        help=f"{_NAMED} folder, a checkpoint, {HUB}, or a program of `undiced compile -o`.", metavar="MODEL"
    ),
]
Machine = Annotated[str, typer.Option(help="wse1, wse2, wse3, toy-8x8, toy-8x8:48K, a .toml file, or host.")]
TimedMachine = Annotated[str | None, typer.Option(help="As for compile; a program file knows its own.")]
Wafers = Annotated[
    int | None, typer.Option(min=1, help="Wafers in a pipeline; by default the fewest that the search finds.")
]
Weights = Annotated[asked.Weights, typer.Option(help="How cores keep weights.")]
Fill = Annotated[
    bool | None,
    typer.Option(
        "--fill/--no-fill",
        help="Use memory that narrow weights leave for speed, or leave it to keys and values; as it suits by default.",
    ),
]
Sums = Annotated[int, typer.Option("--sum-bits", help="16 or 32 bits a partial sum, in cores and on wires.")]
Mapping = Annotated[asked.Mappings, typer.Option(help="How a model is laid out: ours, or a published way.")]
Context = Annotated[int, typer.Option(min=1, help="Positions attended, the new one included (prefill: the prompt).")]
TimedContext = Annotated[
    int | None, typer.Option(min=1, help="Positions attended; 4,096 or a program's bound by default.")
]
Capacity = Annotated[
    int | None, typer.Option(min=1, help="Positions that the program holds; by default the context, or as published.")
]
Prefix = Annotated[
    int | None, typer.Option(min=0, help="Positions of the prompt that are there already (waferengine).")
]
Chunk = Annotated[
    int | None, typer.Option(min=1, help="Tokens of a prompt that pass together; prefill chooses the fastest.")
]
Apart = Annotated[
    bool, typer.Option("--apart", help="Prompts have wafers of their own, and hand keys and values to others.")
]
Batch = Annotated[int, typer.Option(min=1, help="Sequences at once.")]
Lockstep = Annotated[
    int | None,
    typer.Option(min=1, help="Sequences in lockstep, through a region together; others follow. 1 by default."),
]
Routing = Annotated[
    str | None,
    typer.Option(help="How tokens choose experts: uniform, zipf, zipf:1.2, or a JSON file of counts or choices."),
]
Region = Annotated[str, typer.Option(help="Sides of a region, WxH, or auto.")]
Groups = Annotated[int | None, typer.Option(help="Groups of the published two-tree.")]
Stages = Annotated[str | None, typer.Option(help="Layers of each region of a published pipeline: 2,4,4,2.")]
Layers = Annotated[int | None, typer.Option(help="Replace the model's number of layers.")]
Phase = Annotated[asked.Phase, typer.Option(help="Tokens one by one, or the prompt.")]
Objective = Annotated[
    asked.Objective,
    typer.Option(help="What is kept short: one user's token, or the time between tokens of a full pipeline."),
]
Clock = Annotated[float | None, typer.Option(help="GHz; the machine's own by default.")]
DrawnClock = Annotated[float | None, typer.Option(help="GHz; drawn over 0.85 to 1.1 by default.")]
Defects = Annotated[
    str | None,
    typer.Option(help="Place around defects: a seed that draws them, or files of them, one a wafer: a.csv,b.csv."),
]
Density = Annotated[float | None, typer.Option(help="Of a seed's defects, per mm^2; the published 0.001 by default.")]
Clusters = Annotated[bool, typer.Option("--clusters", help="Let a seed's defects gather, as assumed.")]
CodeBytes = Annotated[
    int | None, typer.Option(min=0, max=1 << 20, help="Take a core's code for this large instead of counting it.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placing:
    """How a model is placed and timed that is no program yet."""

    machine: TimedMachine = None
    wafers: Wafers = None
    sum_bits: Sums = 16
    mapping: Mapping = "undiced"
    context: TimedContext = None
    batch: Batch = 1
    region: Region = "auto"
    groups: Groups = None
    stages: Stages = None
    layers: Layers = None
    objective: Objective = "latency"
    clock: Clock = None

    def question(self, model: str, phase: asked.Phase = "decode") -> Question:
        """What is asked about a model."""
        from undiced.study.question import Question

        return Question(model, phase=phase, **{**asdict(self), "machine": self.machine or "wse3"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighing(Placing):
    """The same, and what the model's weights and a core's code take."""

    weights: Weights = "fp16"
    fill: Fill = None
    code_bytes: CodeBytes = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiling(Weighing):
    """The same, and all else that is decided when a program is compiled."""

    capacity: Capacity = None
    chunk: Chunk = None
    apart: Apart = False
    lockstep: Lockstep = None
    defects: Defects = None
    defect_density: Density = None
    clusters: Clusters = False


# What a ready program has decided already.
DECIDED = {each.name for each in fields(Compiling)} - {"machine", "context", "batch", "clock"} | {"prefix"}
