"""`undiced run`: continues texts on an emulated mesh of cores, which executes the compiled wafer program.

What is printed as a speed is the emulation's, on this machine, and says so; `undiced simulate` times the wafer.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from undiced.cli.asking import Clusters, Defects, Density, Mapping, Weights
from undiced.cli.gathered import gathered
from undiced.cli.given import chosen, refuse_given
from undiced.cli.options import DEFAULT_MODEL, Json
from undiced.core.errors import CompileError, ContextLengthError, InvalidRequestError
from undiced.core.printable import printable
from undiced.study.program_file import is_program

if TYPE_CHECKING:
    from undiced.checkpoint import Checkpoint
    from undiced.cli.emulation import Failing, Meshed, Texts
    from undiced.cli.surviving import Planned
    from undiced.machine.wafer import Wafer
    from undiced.model import Graph
    from undiced.program import Bounds
    from undiced.program.wafer.program import WaferProgram
    from undiced.sim.mesh.executor import MeshExecutor
    from undiced.sim.mesh.rounding import Numbers
    from undiced.study.program_file import ProgramFile
    from undiced.text import Tokenizer

Runnable = Annotated[
    str, typer.Argument(help="A model (as for serve), or a program of `undiced compile -o`.", metavar="MODEL")
]
Mesh = Annotated[str, typer.Option("--machine", help="toy-24x24 (columns by rows), or a small machine's .toml file.")]
NumbersOption = Annotated[
    Literal["fp32", "wafer"],
    typer.Option("--numbers", help="Exact ones, or a wafer's: every result and hop rounded to its element type."),
]
SumBits = Annotated[int, typer.Option(help="16 or 32 bits a partial sum, in cores and on wires.")]


@dataclass(slots=True)
class Answer:
    """One prompt's tokens, and what has been generated after them."""

    prompt: list[int]
    tokens: list[int] = field(default_factory=list)
    text: str = ""


@dataclass(slots=True)
class Timing:
    """Seconds of the emulation: until the first tokens were there, and from then on."""

    began_s: float
    first_s: float = 0.0
    last_s: float = 0.0
    steps: int = 0
    tokens: int = 0

    def step(self, now_s: float, tokens: int) -> None:
        """A step has made so many tokens."""
        self.first_s = self.first_s or now_s
        self.last_s, self.steps, self.tokens = now_s, self.steps + 1, self.tokens + tokens

    def summary(self) -> dict[str, object]:
        """What scripts read; speeds count the steps after the prompts' alone, and are null without any."""
        seconds = self.last_s - self.first_s
        return {
            "prompt_s": round(self.first_s - self.began_s, 3),
            "steps": self.steps,
            "tokens_per_second": round((self.steps - 1) / seconds, 3) if self.steps > 1 else None,
            "provenance": "speed of the emulation on this machine, not of a wafer",
        }


_COMPILED = {
    "machine", "wafers", "region", "sum_bits", "mapping", "weights", "defects", "defect_density", "clusters",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layout:
    """The options that say how a model is laid on a mesh."""

    wafers: Annotated[int | None, typer.Option(min=1, help="Wafers in a pipeline; the fewest by default.")] = None
    region: Annotated[str, typer.Option(help="Sides of a region, WxH, or auto.")] = "auto"
    sum_bits: SumBits = 16
    mapping: Mapping = "undiced"
    weights: Weights = "fp16"
    defects: Defects = None
    defect_density: Density = None
    clusters: Clusters = False

    def meshed(self, checkpoint: Checkpoint, graph: Graph, wafer: Wafer, bounds: Bounds, chunk: int = 1) -> Meshed:
        """The model, compiled for a machine; `chunk` tokens of a prompt are taken together at most.

        Raises:
            CompileError: as `mesh_model`, or sums of other than 16 or 32 bits.
        """
        from undiced.cli.emulation import mesh_model
        from undiced.study.maps import check_defects
        from undiced.study.words import parse_region

        check_defects(self.defects, self.defect_density, self.clusters, wafer)
        if self.sum_bits not in (16, 32):
            raise CompileError(f"Sums can't have {self.sum_bits} bits.", remedy="Use --sum-bits 16 or 32.")
        sides = parse_region(self.region)
        meshed = mesh_model(
            checkpoint,
            graph,
            wafer,
            bounds,
            wafers=self.wafers,
            region=None if sides == "auto" else sides,
            sum_bits=self.sum_bits,
            mapping=self.mapping,
            weights=self.weights,
            chunk=chunk,
        )
        return meshed if self.defects is None else replace(meshed, program=self._settled(meshed.program, wafer))

    def _settled(self, program: WaferProgram, wafer: Wafer) -> WaferProgram:
        from undiced.compiler.wafer.settle import settle
        from undiced.study.maps import maps_of, process_of

        assert self.defects is not None
        process = process_of(self.defect_density, self.clusters)
        return settle(program, wafer, maps_of(self.defects, wafer, process, program.wafers))


@gathered
def run(
    given: typer.Context,
    *,
    model: Runnable = DEFAULT_MODEL,
    machine: Mesh = "toy-24x24",
    prompt: Annotated[
        list[str] | None, typer.Option("--prompt", "-p", help="A text to continue; several run as one batch.")
    ] = None,
    count: Annotated[int, typer.Option("--tokens", "-n", min=1, help="Most tokens to generate.")] = 16,
    numbers: NumbersOption = "fp32",
    fail: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y@TOKEN", help="Let a core fail while a token is made: X,Y[,WAFER]@TOKEN[:stop|corrupt]."
        ),
    ] = None,
    layout: Layout,
    source: Annotated[
        str | None,
        typer.Option(
            "--checkpoint", help="Whose weights a compiled program takes; the model that it names by default."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Execute a model's wafer program core by core. An emulation with its weights, at this machine's speed."""
    from undiced.cli.emulation import CHUNK, meshed_program
    from undiced.cli.surviving import planned
    from undiced.cli.terminal import emit
    from undiced.machine import find_machine
    from undiced.program import Bounds
    from undiced.sim.outlook import mapping_of

    opened, plan = _program(given, model) if is_program(model) else None, planned(fail) if fail is not None else None
    if opened is None:
        refuse_given(given, {"source"}, "goes with a compiled program")
    texts = prompt or [_typed()]
    name = model if opened is None else source or opened.program.model
    checkpoint, graph, tokenizer = _opened(name, quiet=as_json)
    answers = _begun(tokenizer, texts, graph.config.context)
    longest = max(len(answer.prompt) for answer in answers)
    bounds = Bounds(len(answers), longest + count)
    if opened is None:
        wafer, most = find_machine(machine), min(CHUNK, longest)
        meshed, mapping = layout.meshed(checkpoint, graph, wafer, bounds, most), str(layout.mapping)
    else:
        program, wafer = opened.program, opened.wafer
        meshed, machine, mapping = meshed_program(checkpoint, graph, program), program.machine, mapping_of(program)
        _fits(program, bounds)
    texting = _texting(meshed, wafer, plan, numbers, quiet=as_json)
    timing = _continue(texting, tokenizer, answers, count, quiet=as_json)
    if as_json:
        what = {"model": checkpoint.name, "machine": machine, "mapping": mapping}
        emit(what | _summary(meshed, numbers, answers, texting, timing))
        return
    if len(answers) > 1:
        for text, answer in zip(texts, answers, strict=True):
            typer.echo(printable(f"{text}{answer.text}\n"))
    _tell(f"Emulated {machine}, {numbers} numbers", texting, timing)


def _begun(tokenizer: Tokenizer, texts: list[str], most: int) -> list[Answer]:
    """The prompts' tokens, with nothing after them.

    Raises:
        InvalidRequestError: one has none. ContextLengthError: one has more than `most`.
    """
    answers = [Answer(_ids(tokenizer, text, most)) for text in texts]
    if not all(answer.prompt for answer in answers):
        raise InvalidRequestError("A prompt has no tokens.", remedy="Give some text.")
    return answers


def _texting(meshed: Meshed, wafer: Wafer, plan: Planned | None, numbers: Numbers, *, quiet: bool) -> Texts:
    """What continues texts: a mesh, or one of which a core is planned to fail."""
    from undiced.cli.emulation import Texts
    from undiced.cli.surviving import Surviving

    def place(meshed: Meshed, failing: Failing | None = None) -> MeshExecutor:
        return placed(meshed, numbers, quiet=quiet, failing=failing)

    return Texts(place(meshed), wafer) if plan is None else Surviving(meshed, wafer, plan, place)


def _opened(name: str, *, quiet: bool) -> tuple[Checkpoint, Graph, Tokenizer]:
    """A model's weights, operators and tokenizer."""
    from undiced.checkpoint import open_checkpoint
    from undiced.cli.terminal import loading
    from undiced.model import build
    from undiced.text import load_tokenizer

    with loading(name, quiet=quiet) as bar:
        checkpoint = open_checkpoint(name, progress=bar)
    tokenizer = load_tokenizer(checkpoint)
    return checkpoint, build(checkpoint), tokenizer


def _summary(
    meshed: Meshed, numbers: Numbers, answers: list[Answer], texting: Texts, timing: Timing
) -> dict[str, object]:
    """What scripts read of the run."""
    return {
        "regions": len(meshed.program.regions),
        "wafers": meshed.program.wafers,
        "chunk": meshed.program.chunk,
        "numbers": numbers,
        "answers": [{"text": a.text, "prompt_tokens": len(a.prompt), "tokens": len(a.tokens)} for a in answers],
        "clamped_scores": texting.executor.clamped,
        "emulation": timing.summary(),
        "simulated": texting.simulated(),
        **_failure(texting),
    }


def _failure(texting: Texts) -> dict[str, object]:
    """Of a core that was to fail; null if the texts ended before."""
    from undiced.cli.surviving import Surviving

    if not isinstance(texting, Surviving):
        return {}
    return {"core_failure": None if texting.outage is None else texting.outage.as_dict()}


def _tell(what: str, texting: Texts, timing: Timing) -> None:
    """What a person should know of the emulation, beside the answers."""
    from undiced.cli.surviving import Surviving
    from undiced.cli.terminal import folded

    if (clamped := texting.executor.clamped) > 0:
        many = f"{clamped:,} scores were larger than the softmax without a maximum takes, and held there"
        typer.secho(folded(f"{many}; --sum-bits 32 takes the maximum off.", sys.stderr), fg="yellow", err=True)
    if isinstance(texting, Surviving):
        typer.secho(folded(texting.told(), sys.stderr), fg="yellow", err=True)
    found = timing.summary()
    speed = found["tokens_per_second"]
    after = f"then {speed} tokens/s of each text" if speed is not None else "one step"
    line = f"{what}: prompt {found['prompt_s']} s, {after}; this machine's speed, not a wafer's"
    typer.secho(folded(line, sys.stderr), fg="bright_black", err=True)
    found = texting.simulated()
    line = f"{found['source']} would take {found['seconds']:.3g} s, and {found['joules']:.3g} J in its steps"
    typer.secho(folded(f"{line} (simulated; energies assumed)", sys.stderr), fg="bright_black", err=True)


def _program(given: typer.Context, file: str) -> ProgramFile:
    """The program of a file, for a machine that can be emulated."""
    from undiced.cli.emulation import check_emulated
    from undiced.study.program_file import open_program

    opened = open_program(Path(file), given.params["machine"] if chosen(given, "machine") else None)
    refuse_given(given, _COMPILED - {"machine"}, "was decided when the program was compiled")
    check_emulated(opened.wafer)
    return opened


def _fits(program: WaferProgram, wanted: Bounds) -> None:
    """As many texts of such a length as the program holds.

    Raises:
        ContextLengthError: they are longer. InvalidRequestError: there are more.
    """
    if program.alone:
        raise InvalidRequestError(
            "The program takes prompts alone, and answers are decoded.",
            remedy="Compile one without --apart.",
        )
    have = program.bounds
    if wanted.batch > have.batch:
        raise InvalidRequestError(
            f"The program holds {have.batch} texts at once, and {wanted.batch} are given.",
            remedy=f"Compile it with --batch {wanted.batch}.",
        )
    if wanted.context > have.context:
        raise ContextLengthError(
            f"The program holds {have.context} positions, and {wanted.context} are wanted.",
            remedy=f"Ask for fewer --tokens, or compile it with --context {wanted.context}.",
        )


def _typed() -> str:
    from undiced.cli.terminal import typed

    if sys.stdin.isatty():
        typer.secho("The text to continue, then Ctrl-D:", fg="bright_black", err=True)
    return typed()


def _ids(tokenizer: Tokenizer, text: str, most: int) -> list[int]:
    """The prompt's tokens, as every other command makes them."""
    from undiced.text.pieces import TooManyTokensError, encode_pieces

    try:
        return tokenizer.begun(encode_pieces(tokenizer, [text], most))
    except TooManyTokensError as error:
        raise ContextLengthError(
            f"The context holds {most} tokens, but the prompt has more than {error.count}.", remedy="Shorten it."
        ) from None


def placed(meshed: Meshed, numbers: Numbers, *, quiet: bool, failing: Failing | None = None) -> MeshExecutor:
    """An executor with all weights on their cores; shows how far that is."""
    from undiced.cli.terminal import Bar

    with Bar("Putting weights on cores", quiet=quiet) as bar:
        return meshed.executor(numbers, bar, failing)


def _continue(texting: Texts, tokenizer: Tokenizer, answers: list[Answer], count: int, *, quiet: bool) -> Timing:
    """Generate all answers together; a single one is printed as it comes."""
    from undiced.cli.terminal import Bar
    from undiced.text.detokenizer import Detokenizer

    spelled = [Detokenizer(tokenizer, continuation=True) for _ in answers]
    timing = Timing(time.perf_counter())
    with Bar("Reading the prompt", quiet=quiet) as bar:
        steps = texting.continued([a.prompt for a in answers], count, frozenset(tokenizer.eos_ids), bar)
        for made in steps:
            timing.step(time.perf_counter(), len(made))
            for which, token in made:
                answers[which].tokens.append(token)
                piece = spelled[which].push(token)
                answers[which].text += piece
                if not quiet and len(answers) == 1:
                    bar.close()
                    typer.echo(printable(piece), nl=False)
    for answer, spelling in zip(answers, spelled, strict=True):
        answer.text += spelling.flush()
    if not quiet and len(answers) == 1:
        typer.echo()
    return timing
