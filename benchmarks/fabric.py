"""How fast the fabric is simulated, and what memory it takes: whole wafers, every line at work. A JSON line each.

    python benchmarks/fabric.py [--machine wse2 wse3] [--threads 1 2] [--wavelets N] [--rounds N] [--workload NAME ...]

Kernels are those of examples/fabric: every row of the wafer sends a vector from its first core to all others, and sums
one up by a level tree in two slices. `neighbor`: every core of a mesh of 32 x 32 streams to its east and its south
neighbor, as simulators of networks on chips have it. `tiles`: a stencil on 512 tiles, as many as the vendor ran on its
simulator. `layer`: a decode layer of Llama 3.1 8B, compiled for all cores of the wafer. `idle`: two cores talk.

A router that moves a wavelet, or a core that executes, is active in that cycle. Each measurement runs in a process of
its own; of several rounds the fastest counts. `scaling`: how many times as fast as with the first number of threads.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from undiced import fabric
from undiced.compiler.wafer.search import compile_graph
from undiced.compiler.wafer.task import Options
from undiced.machine import find_machine
from undiced.model import build_config, preset
from undiced.program import Bounds
from undiced.sim.fabric.layer import Manner, pick, simulate_layer
from undiced.sim.fabric.outcome import Outcome

EXAMPLES = Path(__file__).parents[1] / "examples" / "fabric"
GROUP = 27  # about the square root of a row
MESH = 32, 32
TILES = 32, 16
VENDOR_CYCLES_PER_S = 908  # of the vendor's simulator on 512 tiles: published (facts on the wafer, section 6)
MODEL, CONTEXT = "llama-3.1-8b", 4096
WORKLOADS = ("multicast", "level_tree", "neighbor", "tiles", "layer", "idle")
ONE_THREAD = ("idle",)


def kernel_of(workload: str, machine: str, wavelets: int) -> fabric.Kernel:
    """A whole wafer at work, or all but two of its cores idle."""
    sys.path.insert(0, str(EXAMPLES))
    import level_tree
    import multicast
    import stencil

    columns, rows = find_machine(machine).mesh.size
    if workload == "multicast":
        return multicast.kernel(columns, rows, wavelets)
    if workload == "level_tree":
        return level_tree.kernel(columns, rows, GROUP, 2, wavelets // 2)
    if workload == "neighbor":
        return neighbor(*MESH, 32 * wavelets)
    if workload == "tiles":
        return stencil.kernel(*TILES, 10, 10, 40)
    return idle(columns, rows, wavelets)


def neighbor(columns: int, rows: int, wavelets: int) -> fabric.Kernel:
    """Every core sends to the east and to the south, and hears the west and the north."""
    kernel = fabric.Kernel(columns, rows, name="neighbor")
    data, west, north = (kernel.array(name, wavelets) for name in ("data", "west", "north"))
    for turn in 0, 1:
        lines = (
            (kernel[turn : columns - 1 : 2], kernel[turn + 1 : columns : 2], fabric.EAST, fabric.WEST, west),
            (kernel[:, turn : rows - 1 : 2], kernel[:, turn + 1 : rows : 2], fabric.SOUTH, fabric.NORTH, north),
        )
        for side, (senders, hearers, to, back, heard) in enumerate(lines):
            color = kernel.color(f"{to.name.lower()} {turn}")
            kernel.paint(color, senders, fabric.way(fabric.CORE, to=to))
            kernel.paint(color, hearers, fabric.way(back, to=fabric.CORE))
            with kernel.on(senders, "all") as pe, pe.thread(2 * side):
                pe.move(color, data)
            with kernel.on(hearers, "all") as pe, pe.thread(2 * side + 1):
                pe.move(heard, color)
    return kernel


def idle(columns: int, rows: int, wavelets: int) -> fabric.Kernel:
    """The first core sends to its neighbor, and nobody else does anything."""
    kernel = fabric.Kernel(columns, rows, name="idle")
    data, red = kernel.array("data", wavelets), kernel.color("red")
    kernel.paint(red, kernel[0, 0], fabric.way(fabric.CORE, to=fabric.EAST))
    kernel.paint(red, kernel[1, 0], fabric.way(fabric.WEST, to=fabric.CORE))
    with kernel.on(kernel[0, 0]) as pe:
        pe.move(red, data)
    with kernel.on(kernel[1, 0]) as pe:
        pe.move(data, red)
    return kernel


def layer(machine: str, threads: int) -> Outcome:
    """A layer on a region of all cores of the wafer."""
    wafer = find_machine(machine)
    columns, rows = wafer.mesh.size
    options = Options(Bounds(1, CONTEXT), region=(columns, rows))
    program = compile_graph(build_config(replace(preset(MODEL), layers=1)), wafer, options)
    region, _, runs = pick(program, None, None)
    return simulate_layer(program, wafer, region, runs, Manner(threads=threads), position=CONTEXT - 1).outcome


def measured(workload: str, machine: str, threads: int, wavelets: int) -> dict[str, object]:
    """One simulation in this process."""
    kernel = None if workload == "layer" else kernel_of(workload, machine, wavelets)
    before = resource.getrusage(resource.RUSAGE_SELF)
    outcome = kernel.run(machine, threads=threads).outcome if kernel else layer(machine, threads)
    after = resource.getrusage(resource.RUSAGE_SELF)
    rows, columns = outcome.finished.shape
    seconds = outcome.seconds
    found: dict[str, object] = {
        "benchmark": "fabric",
        "workload": workload,
        "machine": machine,
        "columns": columns,
        "rows": rows,
        "wavelets": wavelets,
        "threads": threads,
        "cycles": outcome.cycles,
        "seconds": round(seconds, 3),
        "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 3),
        "cycles_per_s": round(outcome.cycles / seconds),
        "active_pe_cycles": outcome.active,
        "active_pe_cycles_per_s": round(outcome.active / seconds),
        "pe_cycles_per_s": round(outcome.cycles * rows * columns / seconds),
        "wavelet_hops_per_s": round(outcome.hops / seconds),
        "peak_bytes": after.ru_maxrss * 1024,
        "load_average": os.getloadavg()[0],
    }
    if workload == "idle":
        found["bytes_per_idle_core"] = round((after.ru_maxrss - before.ru_maxrss) * 1024 / (rows * columns), 1)
    if workload == "tiles":
        found["times_the_vendor"] = round(outcome.cycles / seconds / VENDOR_CYCLES_PER_S, 1)
    return found


def fastest(workload: str, machine: str, threads: int, wavelets: int, rounds: int) -> dict[str, object]:
    """Of several processes, what the fastest found."""
    command = [sys.executable, __file__, "--one", workload, "--machine", machine, "--threads", str(threads)]
    found: list[dict[str, object]] = []
    for _ in range(rounds):
        said = subprocess.run([*command, "--wavelets", str(wavelets)], check=True, capture_output=True, text=True)
        found.append(json.loads(said.stdout))
    return min(found, key=lambda each: float(str(each["seconds"])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machine", nargs="+", default=["wse2", "wse3"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--wavelets", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workload", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--one", choices=WORKLOADS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measured(given.one, given.machine[0], given.threads[0], given.wavelets)))
        return
    for machine in given.machine:
        for workload in given.workload:
            first = 0.0
            for threads in given.threads[:1] if workload in ONE_THREAD else given.threads:
                found = fastest(workload, machine, threads, given.wavelets, given.rounds)
                first = first or float(str(found["seconds"]))
                found["scaling"] = round(first / float(str(found["seconds"])), 2)
                print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
