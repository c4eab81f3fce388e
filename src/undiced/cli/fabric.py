"""`undiced fabric`: kernels written by hand, simulated wavelet by wavelet.

What is printed as cycles is simulated; the speed beside it is this machine's.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.gathered import gathered
from undiced.cli.moved import (
    LoadsOut,
    Moving,
    TraceOut,
    counts,
    draw,
    expect,
    per_second,
    say,
    say_cycles,
    say_hops,
    trace,
)
from undiced.cli.options import Json
from undiced.core.errors import KernelError
from undiced.core.printable import printable

if TYPE_CHECKING:
    from undiced.machine.wafer import Wafer
    from undiced.sim.fabric.kernel.kernel import Kernel
    from undiced.sim.fabric.kernel.result import Result

_STEPS_SHOWN = 12


@gathered
def run(
    file: Annotated[
        Path,
        typer.Argument(
            help="A Python file with a function kernel(). It is code, and runs with your rights.", metavar="FILE"
        ),
    ],
    *,
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="A parameter of kernel(), as NAME=VALUE; several times for several.", metavar="NAME=VALUE"
        ),
    ] = None,
    machine: Annotated[str, typer.Option(help="wse1, wse2, wse3, toy-8x8, toy-8x8:48K, or a .toml file.")] = "wse3",
    setup: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1e6,
            help="Cycles of every operation's set-up; tasks, loops and register writes are then free.",
            show_default="the machine's",
        ),
    ] = None,
    moving: Moving,
    clock: Annotated[float | None, typer.Option(min=1e-3, max=100, help="GHz.", show_default="the machine's")] = None,
    limit: Annotated[int, typer.Option(min=1, max=(1 << 32) - 2, help="Cycles after which to give up.")] = 1 << 31,
    load_out: LoadsOut = None,
    trace_out: TraceOut = None,
    as_json: Json = False,
) -> None:
    """Simulate a kernel of your own, cycle by cycle. Prints its cycles and what moved, and runs its check().

    FILE is Python: a function kernel() returns an undiced.fabric.Kernel, and check(result), if there is one, raises an
    AssertionError where results are wrong. docs/fabric.md says how kernels are written.
    """
    from undiced.cli.kernel_file import checked, load, made
    from undiced.cli.terminal import emit
    from undiced.machine import find_machine

    expect(load_out, trace_out)
    wafer = find_machine(machine)
    module = load(file)
    kernel = made(module, file, given or [])
    result = _simulated(kernel, wafer, setup, moving, limit, watched=trace_out is not None, quiet=as_json)
    clock_hz = _hertz(result, clock)
    if load_out is not None:
        draw(result.outcome, f"{kernel.name} on {result.machine}: links", _rate(result), load_out)
    if trace_out is not None:
        trace(result.outcome, result.steps, {"kernel": kernel.name, "machine": result.machine}, clock_hz, trace_out)
    if not as_json:
        _show(result, clock_hz)
    passed = checked(module, file, result)
    if passed is False:
        raise KernelError(f"check() of {file} is not content.", remedy="The results are wrong, or the check is.")
    if as_json:
        emit({"file": str(file), **_found(result, clock_hz), "check": passed and "passed"})
    else:
        say("check", "passed" if passed else "none: the file has no check()")


def _simulated(
    kernel: Kernel, wafer: Wafer, setup: float | None, moving: Moving, limit: int, *, watched: bool, quiet: bool
) -> Result:
    from undiced.cli.ticking import Ticking
    from undiced.sim.trace.fabric import watched as some

    with Ticking(quiet=quiet) as tell:
        return kernel.run(
            wafer,
            link_rate=moving.link_rate,
            setup=setup,
            skew=moving.skew,
            jitter=moving.jitter,
            seed=moving.seed,
            threads=moving.threads or 0,
            limit=limit,
            watch=some(kernel.width, kernel.height) if watched else (),
            progress=lambda cycle: tell(f"Simulating {kernel.name}: cycle {cycle:,}"),
        )


def _found(result: Result, clock_hz: float) -> dict[str, object]:
    """What scripts read."""
    outcome, kernel = result.outcome, result.kernel
    cores = kernel.width * kernel.height
    return {
        "kernel": kernel.name,
        "columns": kernel.width,
        "rows": kernel.height,
        "machine": result.machine,
        "link_wavelets_per_cycle": result.link_rate,
        "clock_hz": clock_hz,
        "cycles": outcome.cycles,
        "seconds": outcome.cycles / clock_hz,
        **counts(outcome),
        "memory_bytes_per_core": kernel.memory_bytes,
        "steps": [{"name": name, "start": start, "end": end} for name, (start, end) in _spans(result).items()],
        "simulation_s": round(outcome.seconds, 6),
        "simulated_active_pe_cycles_per_s": per_second(outcome.seconds, outcome.active),
        "simulated_pe_cycles_per_s": per_second(outcome.seconds, outcome.cycles * cores),
        "simulated_wavelet_hops_per_s": per_second(outcome.seconds, outcome.hops),
    }


def _show(result: Result, clock_hz: float) -> None:
    outcome, kernel = result.outcome, result.kernel
    size = f"{kernel.width} x {kernel.height} cores"
    typer.echo(printable(f"{kernel.name} on {size} of {result.machine}, {_rate(result)}"))
    say_cycles(outcome.cycles, clock_hz)
    say_hops(outcome)
    say("active PE-cycles", f"{outcome.active:,}, and {outcome.worked:,} of set-ups and memory alone")
    say("memory", f"{kernel.memory_bytes:,} bytes of arrays per core")
    steps = _spans(result)
    for name, (start, end) in list(steps.items())[:_STEPS_SHOWN] if len(steps) > 1 else ():
        say(f"  {name}", f"cycles {start:,} to {end:,}")
    if len(steps) > _STEPS_SHOWN:
        say("", f"and {len(steps) - _STEPS_SHOWN} steps more; --json has all")
    rate = per_second(outcome.seconds, outcome.active) / 1e6
    say("simulation took", f"{outcome.seconds:.3f} s: {rate:,.2f} M active PE-cycles per second")


def _spans(result: Result) -> dict[str, tuple[int, int]]:
    """Each step by its name: when the first core began it, and when the last ended it."""
    spans: dict[str, tuple[int, int]] = {}
    for name, (start, end) in zip(result.steps, result.outcome.sections.tolist(), strict=True):
        first, last = spans.get(name, (start, end))
        spans[name] = min(first, start), max(last, end)
    return spans


def _hertz(result: Result, clock: float | None) -> float:
    return result.clock_hz if clock is None else clock * 1e9


def _rate(result: Result) -> str:
    return f"{result.link_rate:.4g} wavelets per cycle and link"
