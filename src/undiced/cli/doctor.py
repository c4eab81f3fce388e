"""`undiced doctor`: what this machine can do, measured, and what the default model should reach on it."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.bystanders import Bystanders
from undiced.cli.options import DEFAULT_MODEL, Json, Model, Threads
from undiced.cli.terminal import folded
from undiced.core.printable import printable

if TYPE_CHECKING:
    from types import ModuleType

    from undiced.cli.terminal import Bar

_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_DECODE_TOKENS = 64
_TURNS = 5  # the fastest counts: the first ones run while weights are taken into memory
_BUSY = 0.1  # a tenth of the cores is seen in the figures
_LOW = 0.45  # of the limit: less was only seen with other work on the machine
_FULL = 0.9  # of the limit: what is left is not worth looking for
_PROMPT = "The history of computing begins with"


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found; rates are measured in this run.

    Attributes:
        isa: the instruction set level the engine uses. huge_pages: the kernel's setting, or "unknown".
        bytes_per_second, int8_ops_per_second: of `threads` threads together, from memory and in registers.
        bytes_per_token: weights read to decode one token. limit_tokens_per_second: their reading time alone, inverted.
        tokens_per_second, share_of_limit: decoding one sequence; None where the model is not here.
        energy_counters: of the processor, that may be read; joules_per_token: by them, None without any.
        packed_bytes, packed_dir: what packed weights take that are kept for the next starts, and where.
        busy_share: of the cores, what other processes took meanwhile; None where the system does not tell.
        remedies: what would help.
    """

    isa: str
    threads: int
    cores: int
    huge_pages: str
    bytes_per_second: float
    int8_ops_per_second: float
    model: str
    bytes_per_token: float | None
    limit_tokens_per_second: float | None
    tokens_per_second: float | None
    share_of_limit: float | None
    energy_counters: tuple[str, ...]
    joules_per_token: float | None
    packed_bytes: int
    packed_dir: str
    busy_share: float | None
    remedies: tuple[str, ...]


def doctor(
    model: Model = DEFAULT_MODEL,
    threads: Threads = None,
    run: Annotated[bool, typer.Option(help="Decode some tokens, if the model is here.")] = True,
    as_json: Json = False,
) -> None:
    """Measure this machine and what to expect of it."""
    from undiced.cli.terminal import Bar, emit

    with Bar("Measuring", quiet=as_json) as bar:
        found = examine(model, threads, run=run, bar=bar)
    if as_json:
        emit(asdict(found))
    else:
        _show(found)


def examine(model: str, threads: int | None, *, run: bool, bar: Bar) -> Findings:
    """Measure; takes a few seconds, so a model that does not exist is refused first."""
    from undiced.checkpoint import CATALOG, resolve
    from undiced.checkpoint.cache import packed_bytes, packed_dir
    from undiced.machine.host import host

    if model.casefold() not in CATALOG:
        resolve(model)
    machine, others = host(threads), Bystanders()
    native = _native()
    from undiced.engine.level import level

    isa, best = level(), str(native.isa_detect())
    bar.share(0.1, "Measuring memory bandwidth")
    bandwidth = float(native.probe_bandwidth(machine.threads))
    bar.share(0.4, "Measuring int8 arithmetic")
    peak = float(native.probe_int8_peak(machine.threads, isa))
    bar.share(0.6, f"Decoding {_DECODE_TOKENS} tokens")
    bytes_per_token, speed, joules = _model(model, machine.threads, run=run)
    limit = bandwidth / bytes_per_token if bytes_per_token else None
    huge_pages = _huge_pages()
    cores, busy, share = host().threads, others.share(), speed / limit if speed and limit else None
    return Findings(
        isa=isa,
        threads=machine.threads,
        cores=cores,
        huge_pages=huge_pages,
        bytes_per_second=bandwidth,
        int8_ops_per_second=peak,
        model=model,
        bytes_per_token=bytes_per_token,
        limit_tokens_per_second=limit,
        tokens_per_second=speed,
        share_of_limit=share,
        energy_counters=_counters(),
        joules_per_token=joules,
        packed_bytes=packed_bytes(),
        packed_dir=str(packed_dir()),
        busy_share=busy,
        remedies=(
            *remedies(isa, best, huge_pages, machine.threads, cores, here=bytes_per_token is not None, model=model),
            *disturbed(busy, share),
        ),
    )


def remedies(
    isa: str, best: str, huge_pages: str, threads: int, cores: int, *, here: bool, model: str
) -> tuple[str, ...]:
    """What would make this machine faster, or this report complete."""
    said = []
    if isa != best:
        said.append(f"UNDICED_ISA={isa} forgoes {best}, which this processor runs: unset it.")
    elif isa == "portable":
        said.append("This processor has neither AVX2, AVX-512 nor NEON's dot products: expect a tenth of the speed.")
    if huge_pages == "never":
        said.append(f"Huge pages are off: as root, write 'madvise' to {_HUGE_PAGES}.")
    if threads < cores:
        said.append(f"Only {threads} of {cores} cores are used: leave --threads out to use all.")
    if not here:
        said.append(f"The model is not here yet: undiced pull {model}.")
    return tuple(said)


def disturbed(busy_share: float | None, share_of_limit: float | None) -> tuple[str, ...]:
    """What to do about figures that others have lowered: processes that are seen, or what else shares the memory."""
    if busy_share is not None and busy_share >= _BUSY:
        return (f"Other processes took {busy_share:.0%} of the cores: measure again when the machine is idle.",)
    if share_of_limit is not None and share_of_limit < _LOW:
        return ("That is a small share of the limit: measure again; something else may have used the memory.",)
    return ()


def verdict(share_of_limit: float | None) -> str:
    """What to say where nothing would help: whose the rest of the limit is, if there is much of it."""
    if share_of_limit is None or share_of_limit >= _FULL:
        return "Nothing to improve."
    return f"No setting would help: the engine itself leaves {1 - share_of_limit:.0%} of the limit."


def _native() -> ModuleType:
    import importlib

    from undiced.core.errors import UnsupportedError

    try:
        return importlib.import_module("undiced._native")
    except ImportError as error:
        remedy = "Run make serve, or pip install in the source folder."
        raise UnsupportedError("The native engine is not built.", remedy=remedy) from error


def _huge_pages() -> str:
    """The bracketed word of the kernel's setting."""
    try:
        text = _HUGE_PAGES.read_text()
    except OSError:
        return "unknown"
    return text[text.find("[") + 1 : text.find("]")] if "[" in text else "unknown"


def _counters() -> tuple[str, ...]:
    """Counters of energy that the kernel lets us read."""
    from undiced.engine.energy import Energy

    energy = Energy()
    try:
        return energy.zones
    finally:
        energy.close()


def _model(model: str, threads: int, *, run: bool) -> tuple[float | None, float | None, float | None]:
    """Bytes of weights per token, tokens per second and joules per token, the prompt's included; None for what would
    need a download, is not wanted or is not known.
    """
    from undiced.checkpoint import CATALOG, is_cached
    from undiced.compiled import compile_for_host
    from undiced.llm import LLM, SamplingParams

    packaged = CATALOG.get(model.casefold())
    if packaged is not None and not is_cached(packaged):
        return None, None, None
    if not run:
        compiled = compile_for_host(model, threads=threads, max_batch=1, max_context=256)
        return compiled.program.fact("matmul_bytes_per_token"), None, None
    with LLM(model, threads=threads, max_batch=1, max_context=256, speculate=False) as llm:
        params = SamplingParams(max_tokens=_DECODE_TOKENS, ignore_eos=True)
        answers = [llm.generate(_PROMPT, params)[0].outputs[0] for _ in range(_TURNS)]
        answer = max(answers, key=lambda one: one.tokens_per_second)
        used = answer.usage
        known = used is not None and used.joules > 0
        joules = used.joules / (used.prompt_tokens + used.completion_tokens) if used and known else None
        return llm.program.fact("matmul_bytes_per_token"), answer.tokens_per_second, joules


def _energy(found: Findings) -> str:
    if not found.energy_counters:
        return "not known: the kernel shows no counters (RAPL), or not to us"
    each = "" if found.joules_per_token is None else f", {found.joules_per_token:.3g} J a token of prompt and answer"
    return ", ".join(found.energy_counters) + each


def _show(found: Findings) -> None:
    from undiced.cli.terminal import megabytes

    rows = [
        ("instruction set", found.isa),
        ("threads", f"{found.threads} of {found.cores} cores"),
        ("huge pages", found.huge_pages),
        ("memory bandwidth", f"{found.bytes_per_second / 1e9:.1f} GB/s"),
        ("int8 peak", f"{found.int8_ops_per_second / 1e9:.0f} GOP/s"),
    ]
    if found.bytes_per_token is not None and found.limit_tokens_per_second is not None:
        rows.append((found.model, f"{megabytes(found.bytes_per_token)} of weights per token"))
        rows.append(("limit", f"{found.limit_tokens_per_second:.0f} tokens/s, one sequence, bandwidth alone"))
    if found.tokens_per_second is not None and found.share_of_limit is not None:
        rows.append(("measured", f"{found.tokens_per_second:.0f} tokens/s, {found.share_of_limit:.0%} of the limit"))
    rows.append(("energy", _energy(found)))
    rows.append(("packed weights", f"{megabytes(found.packed_bytes)} in {found.packed_dir}"))
    for name, value in rows:
        typer.echo(printable(f"{name:<18}{value}"))
    for remedy in found.remedies:
        typer.secho(folded(f"! {remedy}", sys.stdout), fg="yellow")
    if not found.remedies:
        typer.secho(verdict(found.share_of_limit), fg="green")
