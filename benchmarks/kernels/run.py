"""Kernels against the machine's limits: builds native/tests and runs its benchmark for one level and several threads.

    python benchmarks/kernels/run.py [--threads 1 2] [--isa avx2] [--brief] [--cpu-time]

Prints the benchmark's tables (GB/s, GOP/s and their share of the limits probed in the same run) and ends in one JSON
line with commit, processor and one entry a run. `--cpu-time` counts each thread's processor time, for busy machines.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def build(folder: Path) -> Path:
    """Configures and builds the benchmark in `folder`; returns the program."""
    configure = ["cmake", "-S", str(ROOT / "native" / "tests"), "-B", str(folder)]
    compile_ = ["cmake", "--build", str(folder), "--target", "kernel_bench", "--parallel", "2"]
    for command in (configure, compile_):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / "kernel_bench"


def measure(program: Path, threads: int, isa: str | None, flags: list[str]) -> dict[str, object]:
    """Runs the benchmark once, shows its table, and returns the JSON of its last line."""
    command = [str(program), "--threads", str(threads), *flags, *(["--isa", isa] if isa else [])]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    table, _, last = output.strip().rpartition("\n")
    print(table, flush=True)
    result: dict[str, object] = json.loads(last)
    return result


def processor() -> str:
    """The processor's name, as Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--isa", help="portable, avx2, avx512 or neon; the best one by default")
    parser.add_argument("--brief", action="store_true", help="the model's products only")
    parser.add_argument("--cpu-time", action="store_true")
    parser.add_argument("--build", type=Path, help="build folder; a temporary one by default")
    args = parser.parse_args()
    flags = [flag for flag, wanted in (("--brief", args.brief), ("--cpu-time", args.cpu_time)) if wanted]
    with tempfile.TemporaryDirectory() as temporary:
        program = build(args.build or Path(temporary))
        runs = [measure(program, threads, args.isa, flags) for threads in args.threads]
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout
    print(json.dumps({"bench": "kernels", "commit": commit.strip(), "cpu": processor(), "runs": runs}))


if __name__ == "__main__":
    main()
