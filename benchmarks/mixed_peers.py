"""`undiced serve` and llama.cpp's server under the same mixed load; see mixed_load.py for what is asked.

    python benchmarks/mixed_peers.py [--format Q4_0] [--shares 0.7 1.3] [--seconds 120] [--rounds 1]

Each side is first saturated by `--together` requests that are always under way. The rates that follow are shares of
what the slower side then finished: under the first it keeps up, under the second requests pile up. So at such rates
nobody can be more than that share faster; how much more a side could serve, its saturation tells. Both sides get the
same requests at the same moments, in turns, each time from a server that was just started, with as many places and
positions, f16 keys and values, all threads and their caches of prefixes on. One JSON line for each run and one for what
they come to: of each share the middle ratio of tokens per second, and both sides' p99 of the time between tokens.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
from typing import TYPE_CHECKING

import llama_server
import mixed_load
import uvloop
from servers import served
from streams import Place, together

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS, PEER = "undiced", "llama-server"


@contextlib.contextmanager
def ours(given: argparse.Namespace) -> Iterator[str]:
    """Our server's address."""
    with served(given.model, "--max-batch", str(given.slots), "--max-context", str(given.context)) as server:
        yield server.url


@contextlib.contextmanager
def theirs(given: argparse.Namespace) -> Iterator[str]:
    """The peer's server's address."""
    with llama_server.serving(given) as (url, _):
        yield url


SIDES = {OURS: ours, PEER: theirs}


def run(side: str, rate: float, seed: int, given: argparse.Namespace) -> dict[str, object]:
    """One load on one side; without a rate, saturated."""
    asked = mixed_load.load(seed, given.prompt, given.new, rate, given.seconds, 1 << 30 if rate else given.requests)
    with SIDES[side](given) as url:
        warm = {"prompt": "One two three.", "max_tokens": 4, "temperature": 0, "model": given.model}
        [answer] = uvloop.run(together(Place.of(url), [warm]))
        if answer.failure:
            sys.exit(f"{side} does not answer: {answer.failure}")
        client = mixed_load.Client(argparse.Namespace(url=url, model=given.model, extra="{}"))
        uvloop.run(client.arrivals(asked) if rate else client.together(asked, given.together))
    how = {"rate": round(rate, 3), "seconds": given.seconds} if rate else {"together": given.together}
    line = {"side": side, "seed": seed, **how, **mixed_load.told(client, given.seconds if rate else 0.0)}
    print(json.dumps(line), flush=True)
    return line


def main() -> None:
    """Saturate, then ask both at the same rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--format", default="Q4_0", help="what the peer serves the file as; '' as it is")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--port", type=int, default=8081, help="the peer's")
    parser.add_argument("--slots", type=int, default=16, help="sequences that run together")
    parser.add_argument("--context", type=int, default=2560, help="positions of each")
    parser.add_argument("--together", type=int, default=32, help="requests under way while a side is saturated")
    parser.add_argument("--requests", type=int, default=48, help="that saturate it")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.7, 1.3])
    parser.add_argument("--seconds", type=float, default=120.0, help="of arrivals")
    parser.add_argument("--rounds", type=int, default=1, help="each with other requests")
    parser.add_argument("--prompt", type=int, nargs=2, default=(200, 2000), metavar=("LEAST", "MOST"))
    parser.add_argument("--new", type=int, nargs=2, default=(32, 224), metavar=("LEAST", "MOST"))
    given = parser.parse_args()
    saturated = {side: run(side, 0.0, 0, given) for side in SIDES}
    slower = min(float(line["requests_per_second"]) for line in saturated.values())
    found: list[dict[str, object]] = []
    for share in given.shares:
        lines: dict[str, list[dict]] = {side: [] for side in SIDES}
        for turn in range(given.rounds):
            for side in sorted(SIDES, reverse=bool(turn % 2)):
                lines[side].append(run(side, share * slower, turn, given))
        ratios = [a["speed"] / b["speed"] for a, b in zip(lines[OURS], lines[PEER], strict=True)]
        p99 = {side: statistics.median(line["between_s"]["p99"] for line in each) for side, each in lines.items()}
        found.append({"share": share, "times_the_peer": round(statistics.median(ratios), 2), "between_p99_s": p99})
    both = {side: line["speed"] for side, line in saturated.items()}
    print(json.dumps({"saturated": both, "slower_requests_per_second": slower, "loads": found}))


if __name__ == "__main__":
    main()
