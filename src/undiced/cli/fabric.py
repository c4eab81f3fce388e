"""`undiced fabric`: kernels written by hand, simulated wavelet by wavelet.

What is printed as cycles is simulated; the speed beside it is this machine's.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.options import Json
from undiced.cli.report import writing
from undiced.core.errors import InvalidRequestError, KernelError
from undiced.core.printable import printable

if TYPE_CHECKING:
    from undiced.sim.fabric.kernel.result import Result

_LABEL = 24  # columns
_STEPS_SHOWN = 12


def run(
    file: Annotated[
        Path,
        typer.Argument(
            help="A Python file with a function kernel(). It is code, and runs with your rights.", metavar="FILE"
        ),
    ],
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="A parameter of kernel(), as NAME=VALUE; several times for several.", metavar="NAME=VALUE"
        ),
    ] = None,
    machine: Annotated[str, typer.Option(help="wse1, wse2, wse3, toy-8x8, toy-8x8:48K, or a .toml file.")] = "wse3",
    link_rate: Annotated[
        float | None,
        typer.Option(min=1 / 64, max=1, help="Wavelets that a link passes per cycle.", show_default="the machine's"),
    ] = None,
    setup: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1e6,
            help="Cycles of every operation's set-up; tasks, loops and register writes are then free.",
            show_default="the machine's",
        ),
    ] = None,
    skew: Annotated[int, typer.Option(min=0, max=1 << 30, help="Cores start up to so many cycles late.")] = 0,
    jitter: Annotated[int, typer.Option(min=0, max=1 << 30, help="Set-ups take up to so many cycles more.")] = 0,
    seed: Annotated[int, typer.Option(min=0, max=(1 << 63) - 1, help="Of skew and jitter.")] = 0,
    clock: Annotated[float | None, typer.Option(min=1e-3, max=100, help="GHz.", show_default="the machine's")] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, max=256, help="Cores of this machine to use; as many as help by default.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=(1 << 32) - 2, help="Cycles after which to give up.")] = 1 << 31,
    load_out: Annotated[
        Path | None,
        typer.Option("--loads", help="Draw how many wavelets each link carried, to this .svg or .png.", metavar="FILE"),
    ] = None,
    trace_out: Annotated[
        Path | None,
        typer.Option("--trace", help="Write steps and operations of cores to this .json for Perfetto.", metavar="FILE"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Simulate a kernel of your own, cycle by cycle. Prints its cycles and what moved, and runs its check().

    FILE is Python: a function kernel() returns an undiced.fabric.Kernel, and check(result), if there is one, raises an
    AssertionError where results are wrong. docs/fabric.md says how kernels are written.
    """
    from undiced.cli.kernel_file import checked, load, made
    from undiced.cli.terminal import emit
    from undiced.cli.ticking import Ticking
    from undiced.machine import find_machine
    from undiced.sim.trace.fabric import watched

    expect(load_out, trace_out)
    wafer = find_machine(machine)
    module = load(file)
    kernel = made(module, file, given or [])
    with Ticking(quiet=as_json) as tell:
        result = kernel.run(
            wafer,
            link_rate=link_rate,
            setup=setup,
            skew=skew,
            jitter=jitter,
            seed=seed,
            threads=threads or 0,
            limit=limit,
            watch=watched(kernel.width, kernel.height) if trace_out is not None else (),
            progress=lambda cycle: tell(f"Simulating {kernel.name}: cycle {cycle:,}"),
        )
    if load_out is not None:
        _draw(result, load_out)
    if trace_out is not None:
        _trace(result, _hertz(result, clock), trace_out)
    if not as_json:
        _show(result, _hertz(result, clock))
    passed = checked(module, file, result)
    if passed is False:
        raise KernelError(f"check() of {file} is not content.", remedy="The results are wrong, or the check is.")
    if as_json:
        emit({"file": str(file), **_found(result, _hertz(result, clock)), "check": passed and "passed"})
    else:
        say("check", "passed" if passed else "none: the file has no check()")


def expect(load_out: Path | None, trace_out: Path | None) -> None:
    """What is asked for can be written."""
    from undiced.cli.pictures import expect

    if load_out is not None and load_out.suffix.lower() not in (".svg", ".png"):
        raise InvalidRequestError(f"{load_out} is neither .svg nor .png.", remedy="Name the file loads.svg.")
    for path in filter(None, (load_out, trace_out)):
        expect(path)


def _draw(result: Result, out: Path) -> None:
    from undiced.cli.pictures import encoded
    from undiced.sim.views.load import load

    rate = f"{result.link_rate:.4g} wavelets per cycle and link"
    picture = load(result.outcome.loads, result.cycles, f"{result.kernel.name} on {result.machine}: links", (rate,))
    with writing(out):
        out.write_bytes(encoded(picture, out))


def _trace(result: Result, clock_hz: float, out: Path) -> None:
    from undiced.sim.trace.chrome import document
    from undiced.sim.trace.fabric import groups

    told = {"source": "simulated, not measured", "kernel": result.kernel.name, "machine": result.machine}
    tracks = list(groups(result.steps, result.outcome))
    with writing(out):
        out.write_text("".join(document(tracks, [], clock_hz, {**told, "clock_hz": clock_hz})), encoding="utf-8")


def _found(result: Result, clock_hz: float) -> dict[str, object]:
    """What scripts read."""
    outcome, kernel = result.outcome, result.kernel
    cores = kernel.width * kernel.height
    seconds = max(outcome.seconds, 1e-9)
    return {
        "kernel": kernel.name,
        "columns": kernel.width,
        "rows": kernel.height,
        "machine": result.machine,
        "link_wavelets_per_cycle": result.link_rate,
        "clock_hz": clock_hz,
        "cycles": outcome.cycles,
        "seconds": outcome.cycles / clock_hz,
        "wavelet_hops": outcome.hops,
        "active_pe_cycles": outcome.active,
        "computing_pe_cycles": outcome.worked,
        "busiest_link_wavelets": int(outcome.loads[:, :, 1:].max()),
        "memory_bytes_per_core": kernel.memory_bytes,
        "steps": [{"name": name, "start": start, "end": end} for name, (start, end) in _spans(result).items()],
        "simulation_s": round(outcome.seconds, 6),
        "simulated_active_pe_cycles_per_s": outcome.active / seconds,
        "simulated_pe_cycles_per_s": outcome.cycles * cores / seconds,
        "simulated_wavelet_hops_per_s": outcome.hops / seconds,
    }


def _show(result: Result, clock_hz: float) -> None:
    found = _found(result, clock_hz)
    rate = f"{result.link_rate:.4g} wavelets per cycle and link"
    typer.echo(
        printable(f"{found['kernel']} on {found['columns']} x {found['rows']} cores of {result.machine}, {rate}")
    )
    say("cycles", f"{result.cycles:,} (simulated: {result.cycles / clock_hz * 1e6:,.3f} us at {clock_hz / 1e9:g} GHz)")
    say("wavelet-hops", f"{found['wavelet_hops']:,}; busiest link {found['busiest_link_wavelets']:,} wavelets")
    say(
        "active PE-cycles",
        f"{found['active_pe_cycles']:,}, and {found['computing_pe_cycles']:,} of set-ups and memory alone",
    )
    say("memory", f"{found['memory_bytes_per_core']:,} bytes of arrays per core")
    steps = _spans(result)
    for name, (start, end) in list(steps.items())[:_STEPS_SHOWN] if len(steps) > 1 else ():
        say(f"  {name}", f"cycles {start:,} to {end:,}")
    if len(steps) > _STEPS_SHOWN:
        say("", f"and {len(steps) - _STEPS_SHOWN} steps more; --json has all")
    per_s = float(str(found["simulated_active_pe_cycles_per_s"]))
    say("simulation took", f"{result.outcome.seconds:.3f} s: {per_s / 1e6:,.2f} M active PE-cycles per second")


def _spans(result: Result) -> dict[str, tuple[int, int]]:
    """Each step by its name: when the first core began it, and when the last ended it."""
    spans: dict[str, tuple[int, int]] = {}
    for name, (start, end) in zip(result.steps, result.outcome.sections.tolist(), strict=True):
        first, last = spans.get(name, (start, end))
        spans[name] = min(first, start), max(last, end)
    return spans


def _hertz(result: Result, clock: float | None) -> float:
    return result.clock_hz if clock is None else clock * 1e9


def say(label: str, words: str) -> None:
    """One line of a report."""
    typer.echo(printable(f"  {label:<{_LABEL}}{words}"))
