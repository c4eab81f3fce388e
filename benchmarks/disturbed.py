"""What is left of each side's speed when another process takes one of the cores, in alternating rounds.

    python benchmarks/disturbed.py [--rounds 5] [--peers llama.cpp,llama.cpp-q4_0]

The other process spins on the first of the cores that this one may use. Each round asks every side the same, first
undisturbed and then disturbed, beginning with another side each time; sides and prompts are those of peers.py. One JSON
line: of each side and column the middle of both speeds, and the middle of the rounds' shares.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import peer_calls as calls
from peer_report import middle
from peer_sides import MAKERS, OURS
from peers import Run, about, installed
from quality import text

from undiced.checkpoint import open_checkpoint
from undiced.text import load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator

SPIN = "import os, sys\nos.sched_setaffinity(0, {int(sys.argv[1])})\nprint(flush=True)\nwhile True: pass\n"


@contextlib.contextmanager
def spinning() -> Iterator[None]:
    """Another process has one of the cores to itself as far as it can get it."""
    core = min(os.sched_getaffinity(0))
    other = subprocess.Popen([sys.executable, "-c", SPIN, str(core)], stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None
        other.stdout.readline()
        yield
    finally:
        other.kill()
        other.wait()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", default="llama.cpp,llama.cpp-q4_0", help=f"of {', '.join(MAKERS)}")
    given = parser.parse_args()
    checkpoint = open_checkpoint(given.model)
    sides, missing = installed(["undiced", *given.peers.split(",")], Path(checkpoint.path))
    run = Run(sides, load_tokenizer(checkpoint).encode(text()), given.threads, calls.SHORT)
    disturbed = run.measure_disturbed(given.rounds, spinning)
    found = {
        side.name: {
            column: {
                "alone": round(middle(alone), 1),
                "disturbed": round(middle(disturbed[side.name][column]), 1),
                "share": round(middle(b / a for a, b in zip(alone, disturbed[side.name][column], strict=True)), 3),
            }
            for column, alone in run.rows[side.name].items()
        }
        for side in run.sides
    }
    ahead = {
        column: round(row["disturbed"] / max(found[name][column]["disturbed"] for name in found if name != OURS), 2)
        for column, row in found[OURS].items()
        if len(found) > 1
    }
    line = about("disturbed", checkpoint.path, given.threads) | {"rounds": given.rounds, "sides": found}
    print(json.dumps(line | {"over_the_fastest_peer_disturbed": ahead, "missing": missing | run.missing}))


if __name__ == "__main__":
    main()
