"""How fast the fabric is simulated, and what memory it takes: whole wafers, every line at work. A JSON line each.

    python benchmarks/fabric.py [--machine wse2 wse3] [--threads 1 2] [--wavelets N] [--rounds N]

Kernels are those of examples/fabric: every row of the wafer sends a vector from its first core to all others, and sums
one up by a level tree in two slices; 512 tiles of a stencil are a mesh as small as others simulate. A router that moves
a wavelet, or a core that executes, is active in that cycle. Each measurement runs in a process of its own; of several
rounds the fastest counts. The memory of an idle core is that of a whole wafer in which two cores talk.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

from undiced import fabric
from undiced.machine import find_machine

EXAMPLES = Path(__file__).parents[1] / "examples" / "fabric"
GROUP = 27  # about the square root of a row
TILES = 32, 16  # as many as the vendor's simulator ran at 908 cycles per second
WORKLOADS = ("multicast", "level_tree", "tiles", "idle")


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
    if workload == "tiles":
        return stencil.kernel(*TILES, 10, 10, 40)
    return idle(columns, rows, wavelets)


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


def measured(workload: str, machine: str, threads: int, wavelets: int) -> dict[str, object]:
    """One simulation in this process."""
    kernel = kernel_of(workload, machine, wavelets)
    cores = kernel.width * kernel.height
    before = resource.getrusage(resource.RUSAGE_SELF)
    outcome = kernel.run(machine, threads=threads).outcome
    after = resource.getrusage(resource.RUSAGE_SELF)
    seconds = outcome.seconds
    return {
        "benchmark": "fabric",
        "workload": workload,
        "machine": machine,
        "columns": kernel.width,
        "rows": kernel.height,
        "wavelets": wavelets,
        "threads": threads,
        "cycles": outcome.cycles,
        "seconds": round(seconds, 3),
        "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 3),
        "cycles_per_s": round(outcome.cycles / seconds),
        "active_pe_cycles": outcome.active,
        "active_pe_cycles_per_s": round(outcome.active / seconds),
        "pe_cycles_per_s": round(outcome.cycles * cores / seconds),
        "wavelet_hops_per_s": round(outcome.hops / seconds),
        "peak_bytes": after.ru_maxrss * 1024,
        "bytes_per_core": round((after.ru_maxrss - before.ru_maxrss) * 1024 / cores, 1),
        "load_average": os.getloadavg()[0],
    }


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
    parser.add_argument("--one", choices=WORKLOADS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measured(given.one, given.machine[0], given.threads[0], given.wavelets)))
        return
    for machine in given.machine:
        for workload in WORKLOADS:
            for threads in given.threads if workload in ("multicast", "level_tree") else given.threads[:1]:
                print(json.dumps(fastest(workload, machine, threads, given.wavelets, given.rounds)), flush=True)


if __name__ == "__main__":
    main()
