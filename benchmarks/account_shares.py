"""What shares of accounts change: the same tenants on the same engine, told apart and not. One JSON line per scene.

    python benchmarks/account_shares.py

The engine is a formula (10 ms a step, 1 ms a token of it) on a virtual clock, so the figures are the same everywhere:
how long a light tenant waits beside a flood, how even the shares of busy ones are, and what all of them get together.
Waits are of requests that had their first token before the end. The last line is what the scheduler itself takes for a
decode step while so many accounts wait, in this process' time.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.tenants import LIMITS, Formula, Tenant, World, jain

from undiced.serve import GREEDY, Policy, Request, Scheduler
from undiced.serve.loop import EngineLoop

FLOOD = Tenant("flood", (100, 400), (100, 400), open=60)
LIGHT = Tenant("light", (64, 64), (20, 20), every_s=1.0, start_s=1.0)
EQUAL = {
    f"{count} equal": [
        Tenant(f"t{at}", (10 * (at + 1), 300 + 40 * at), (10, 300 - 30 * at), open=20) for at in range(count)
    ]
    for count in (2, 4, 8)
}
SCENES = {
    "light alone": [LIGHT],
    "light beside a flood": [LIGHT, FLOOD],
    "light beside a flood, few pages": [LIGHT, FLOOD],
    "light beside a flood, 32 slots": [LIGHT, FLOOD],
    "long prompts beside long answers": [
        Tenant("reader", (800, 1200), (5, 20), open=20),
        Tenant("writer", (10, 30), (200, 400), open=20),
    ],
    **EQUAL,
}


ROOM = {"few pages": replace(LIMITS, pages=50), "32 slots": replace(LIMITS, max_batch=32)}
WAITING = (0, 200, 800, 3200)


def measure(scene: str, *, apart: bool, seconds: float = 100.0) -> dict[str, object]:
    """Run a scene; waits for the first token of the first tenant, and tokens of all."""
    tenants = [dataclasses.replace(tenant, waits_s=[]) for tenant in SCENES[scene]]
    world = World(tenants, ROOM.get(scene.rpartition(", ")[2], LIMITS), apart=apart)
    world.run(30.0 if len(tenants) > 1 and tenants[0].open else seconds)
    return {
        "first_token_p50_s": round(tenants[0].wait_s(0.5), 3),
        "first_token_p99_s": round(tenants[0].wait_s(0.99), 3),
        "jain": round(jain([tenant.served for tenant in tenants]), 4),
        "jain_tokens": round(jain([tenant.tokens for tenant in tenants]), 4),
        "tokens": sum(tenant.tokens for tenant in tenants),
        "preemptions": world.loop.stats().preemptions,
    }


def decode_us(waiting: int) -> int:
    """Processor time of a decode step of two accounts while others wait, the engine's formula and all; the median."""
    limits = replace(LIMITS, max_batch=2)
    loop = EngineLoop(Formula(limits, 0.01, 0.0), Scheduler(limits, Policy(max_waiting=waiting + 2)))
    for at in range(waiting + 2):
        loop.add(Request(f"r{at}", (1, 2, 3), 4000, GREEDY, account=f"a{at}"))
        if at < 2:
            loop.step()
    times = []
    for _ in range(1000):
        begin = time.thread_time()
        loop.step()
        times.append(time.thread_time() - begin)
    return round(statistics.median(times) * 1e6)


def main() -> None:
    """Measure and print."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    for scene in SCENES:
        told = {"told_apart": measure(scene, apart=True), "not": measure(scene, apart=False)}
        print(json.dumps({"commit": commit, "scene": scene, "first": SCENES[scene][0].name, **told}), flush=True)
    told = {str(waiting): decode_us(waiting) for waiting in WAITING}
    print(json.dumps({"commit": commit, "scene": "a decode step's Python", "us_by_waiting": told}), flush=True)


if __name__ == "__main__":
    main()
