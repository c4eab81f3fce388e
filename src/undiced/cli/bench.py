"""`undiced bench engine`: the engine on this machine against what the machine allows, by kind of work."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import replace

from undiced.cli.options import DEFAULT_MODEL, Json, KvTypeName, Model, Threads
from undiced.core.errors import InvalidRequestError
from undiced.core.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undiced.bench.nearness import Nearness
    from undiced.bench.rounds import Measured, Rounds
    from undiced.bench.work import Work
    from undiced.compiled import Compiled, Progress

_BUSY = 0.1  # a tenth of the cores is seen in the figures
_LEAST_CONTEXT = 64
_CHARACTERS = 12  # of a text that are enough for a token


@dataclass(frozen=True, slots=True)
class Found:
    """What is printed.

    Attributes:
        kv_type: of the cache; nearness: of what it makes the engine predict to what f16 does, none for f16 itself.
        left_out: works that need more positions than the model takes. busy_share: of the cores, what other processes
            took meanwhile; None where the system does not tell.
    """

    model: str
    isa: str
    threads: int
    rounds: Rounds
    left_out: tuple[str, ...]
    weight_bytes: int
    busy_share: float | None
    kv_type: str
    nearness: tuple[Nearness, ...]

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "model": self.model,
            "isa": self.isa,
            "threads": self.threads,
            "rounds": len(self.rounds.limits),
            "weight_bytes": self.weight_bytes,
            "limits": asdict(self.rounds.typical),
            "works": [one.as_dict() for one in self.rounds.measured()],
            "left_out": list(self.left_out),
            "busy_share": self.busy_share,
            "kv_type": self.kv_type,
            "nearness": [one.as_dict() for one in self.nearness],
        }


def engine(
    model: Model = DEFAULT_MODEL,
    threads: Threads = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of all works; figures are medians.")] = 5,
    work: Annotated[
        list[str] | None, typer.Option(help="Measure works whose names hold this word alone; may be repeated.")
    ] = None,
    kv_type: KvTypeName = "f16",
    isa: Annotated[str | None, typer.Option(help="portable, avx2, avx512 or neon; by default the best.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Draw the roofline to a .svg or .png file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure the engine against this machine's limits: a roofline.

    A work's share is of what memory and int8 arithmetic gave in the same round, whichever of them bounds it. Nothing is
    guessed ahead, and nothing is served: these are bare steps. With another KV cache than f16, what that changes of the
    predictions over a text is measured too.
    """
    from undiced.cli.pictures import encoded, expect_picture
    from undiced.cli.report import writing
    from undiced.cli.terminal import emit

    expect_picture(output)
    found = _measured(Asked(model, threads, kv_type, isa or ""), rounds, _chosen(work or []), quiet=as_json)
    if output is not None:
        from undiced.bench.figure import drawn

        title = f"{found.model}, {found.threads} threads, {found.isa}, {found.kv_type} KV"
        canvas = drawn(found.rounds, title)
        with writing(output):
            output.write_bytes(encoded(canvas, output))
    if as_json:
        emit(found.as_dict())
    else:
        _show(found, output)


def _chosen(words: Sequence[str]) -> list[Work]:
    """Works whose names hold one of the words; all without any.

    Raises:
        InvalidRequestError: a word that none holds.
    """
    from undiced.bench.work import WORKS

    for word in words:
        if not any(word.casefold() in each.name for each in WORKS):
            raise InvalidRequestError(
                f"No work has '{word}' in its name.", remedy=f"There are: {', '.join(each.name for each in WORKS)}."
            )
    return [each for each in WORKS if not words or any(word.casefold() in each.name for word in words)]


@dataclass(frozen=True, slots=True)
class Asked:
    """The engine that is measured."""

    model: str
    threads: int | None
    kv_type: str
    isa: str


def _measured(asked: Asked, rounds: int, works: list[Work], *, quiet: bool) -> Found:
    from undiced import _native
    from undiced.bench.engine import EngineBench
    from undiced.bench.rounds import Limits, measure
    from undiced.cli.bystanders import Bystanders
    from undiced.cli.terminal import Bar, loading
    from undiced.engine.level import level

    isa = level(asked.isa)
    with loading(asked.model, quiet=quiet) as bar:
        compiled, fit = _compiled(asked, works, bar)
    near = _nearness(compiled, isa, quiet=quiet)
    with loading(asked.model, quiet=quiet) as bar:
        bench = EngineBench(compiled.program, compiled.checkpoint, fit, bar, isa)
    team, others = compiled.program.cores, Bystanders()

    def limits() -> Limits:
        return Limits(float(_native.probe_bandwidth(team)), float(_native.probe_int8_peak(team, isa)))

    try:
        with Bar("Measuring", quiet=quiet) as bar:
            done = measure(bench, fit, rounds, limits, bar.share)
        weights = bench.backend.memory()["weights"]
    finally:
        bench.close()
    left_out = tuple(work.name for work in works if work not in fit)
    kind = compiled.program.kv_type
    return Found(compiled.checkpoint.name, isa, team, done, left_out, weights, others.share(), kind, near)


def _nearness(compiled: Compiled, isa: str, *, quiet: bool) -> tuple[Nearness, ...]:
    """Of the program to the one with an f16 cache, over a text as long as both take."""
    from undiced.bench.nearness import REACHES, nearness, text
    from undiced.cli.terminal import Bar
    from undiced.compiler import compile
    from undiced.machine.host import host
    from undiced.program import Bounds
    from undiced.text import load_tokenizer

    program = compiled.program
    if program.kv_type == "f16":
        return ()
    bounds = Bounds(1, min(max(REACHES), program.bounds.context))
    plain, own = (compile(compiled.graph, host(program.cores), bounds, kind) for kind in ("f16", program.kv_type))
    tokenizer = load_tokenizer(compiled.checkpoint)
    begin = [tokenizer.bos_id] if tokenizer.add_bos and tokenizer.bos_id is not None else []
    tokens = (begin + tokenizer.encode(text()[: _CHARACTERS * bounds.context]))[: bounds.context]
    with Bar(f"Comparing {program.kv_type} with f16", quiet=quiet) as bar:
        return tuple(nearness(plain, own, compiled.checkpoint, tokens, bar.share, isa))


def _compiled(asked: Asked, works: list[Work], bar: Progress) -> tuple[Compiled, list[Work]]:
    """The model, and the works that its context has room for."""
    from undiced.compiled import compile_for_host
    from undiced.compiler import compile
    from undiced.machine.host import host
    from undiced.program import Bounds

    first = compile_for_host(
        asked.model,
        threads=asked.threads,
        max_batch=1,
        max_context=_LEAST_CONTEXT,
        kv_type=asked.kv_type,
        progress=bar,
    )
    fit = [work for work in works if work.positions <= first.graph.config.context]
    if not fit:
        raise InvalidRequestError(
            f"{first.checkpoint.name} takes {first.graph.config.context:,} positions, too few for any of these works.",
            remedy="Leave --work out.",
        )
    bounds = Bounds(max(work.sequences for work in fit), max(work.positions for work in fit))
    return replace(first, program=compile(first.graph, host(asked.threads), bounds, first.program.kv_type)), fit


def _show(found: Found, output: Path | None) -> None:
    from undiced.cli.rows import say, show_rows
    from undiced.cli.terminal import megabytes

    typical = found.rounds.typical
    weights = megabytes(found.weight_bytes)
    say(f"{found.model}, {found.threads} threads, {found.isa}, {weights} of weights, {found.kv_type} KV cache")
    for one in found.nearness:
        say(
            f"from f16 KV, before position {one.reach:,}: mean KL {one.mean_kl:.5f} nats, the same likeliest token in "
            f"{one.top1:.1%} of {one.predictions} predictions"
        )
    say(
        f"limits: {typical.bytes_per_s / 1e9:.1f} GB/s streaming, {typical.operations_per_s / 1e9:.0f} GOP/s int8; "
        f"medians of {len(found.rounds.limits)} rounds"
    )
    columns = ("WORK", "TOKENS/S", "LOW", "HIGH", "GB/S", "GOP/S", "OPS/BYTE", "BOUND BY", "SHARE")
    rows = [_row(one) for one in found.rounds.measured()]
    show_rows(columns, rows, "", numbers=set(columns) - {"WORK", "BOUND BY"})
    for name in found.left_out:
        say(f"{name}: left out, the model's context is shorter.")
    if found.busy_share is not None and found.busy_share >= _BUSY:
        say(f"Other processes took {found.busy_share:.0%} of the cores: measure again when the machine is idle.")
    if output is not None:
        typer.echo(printable(str(output)))


def _row(one: Measured) -> tuple[str, ...]:
    return (
        one.work,
        f"{one.tokens_per_second:,.0f}",
        f"{one.low:,.0f}",
        f"{one.high:,.0f}",
        f"{one.bytes_per_s / 1e9:.1f}",
        f"{one.operations_per_s / 1e9:,.0f}",
        f"{one.intensity:,.1f}",
        one.bound,
        f"{one.share:.0%}",
    )
