"""The ladder: a quantized product and attention from what the formula says to what the engine does, rung by rung.

    python benchmarks/kernels/ladder.py

Each rung is a file of its own in ladder/, to be read in turn; its first lines say what it has learned. By hand:
g++ -std=c++20 -O3 -march=native ladder/product_4_tiles.cpp && ./a.out. One core with AVX2. A rung is checked against
sums in double, and its speed stands beside the core's own limit, measured in the same process. Ends in one JSON line.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent / "ladder"
LINE = re.compile(
    r"(?P<rung>.*?) +(?P<us>[\d.]+) us +(?P<gop_per_s>[\d.]+) GOP/s +(?P<percent>[\d.]+) % of (?P<limit>.*?) \("
)


def measured(source: Path, folder: Path) -> dict[str, object]:
    """Compiles and runs a rung; SystemExit if it is wrong."""
    program = folder / source.stem
    subprocess.run(["g++", "-std=c++20", "-O3", "-march=native", "-Wall", source, "-o", program], check=True)
    done = subprocess.run([program], capture_output=True, text=True)
    print(done.stdout, end="", flush=True)
    found = LINE.match(done.stdout)
    if done.returncode or found is None:
        sys.exit(f"{source.name} is wrong.")
    numbers = {name: float(found[name]) for name in ("us", "gop_per_s", "percent")}
    return {"rung": found["rung"], **numbers, "limit": found["limit"]}


def main() -> None:
    """All rungs."""
    with tempfile.TemporaryDirectory() as folder:
        sources = sorted(FOLDER.glob("*.cpp"), key=lambda file: file.stem.split("_")[1])
        rungs = [measured(source, Path(folder)) for source in sources]
    print(json.dumps({"bench": "ladder", "rungs": rungs}))


if __name__ == "__main__":
    main()
