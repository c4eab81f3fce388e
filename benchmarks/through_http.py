"""What HTTP takes from the engine: the same prompts through a server and without one, in alternating rounds.

    python benchmarks/through_http.py [--model smollm2-135m] [--streams 1 8 32] [--rounds 5] [--prompt 64] [--new 128]

The engine without HTTP is the loop that the engine process runs, in this process; the server is `undiced serve` in its
own processes, read by a client in this one. Both are loaded all the time, and who is not measured sleeps. All requests
of a round come at once, drawn greedily to the same length, without drafts, and no prompt is ever repeated.

`share` is tokens per second through HTTP over those without, per round; `prompts_s` is what the engine alone takes
until all prompts have their first token. CPU is milliseconds of processor time for a token: of the server's two
processes (`edge` and `engine`), of the client, and of the engine without HTTP (`loop`). Unlike the speeds, it hardly
depends on what else the machine does. The client runs on the same cores: `clients_part` is its share of what edge and
client compute beside the engine, so about that part of what is lost. One JSON line for each number of streams.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from itertools import pairwise

import numpy as np
from servers import cpu_s, served
from streams import Answer, Place, at_once, quantile, spread

from undiced.compiled import compile_for_host
from undiced.engine.host import HostBackend
from undiced.serve import GREEDY, Policy, Request, Scheduler
from undiced.serve.loop import EngineLoop

BATCH, CONTEXT = 32, 2048
Prompts = list[list[int]]


class Alone:
    """The engine without HTTP."""

    def __init__(self, model: str) -> None:
        compiled = compile_for_host(model, max_batch=BATCH, max_context=CONTEXT)
        backend = HostBackend(compiled.program, compiled.checkpoint)
        backend.warm_up()
        self.vocab = compiled.program.vocab
        self._loop = EngineLoop(backend, Scheduler(backend.limits, Policy(speculate=False)))

    def run(self, prompts: Prompts, new: int) -> tuple[float, list[float], list[float]]:
        """Seconds in all, to each first token, and between tokens."""
        began = time.perf_counter()
        for at, prompt in enumerate(prompts):
            self._loop.add(Request(f"r{at}", tuple(prompt), new, GREEDY))
        told: dict[str, list[float]] = {}
        while not self._loop.idle:
            deltas = self._loop.step()
            now = time.perf_counter() - began
            for delta in deltas:
                told.setdefault(delta.request_id, []).extend([now] * len(delta.tokens))
        between = [b - a for times in told.values() for a, b in pairwise(times)]
        return time.perf_counter() - began, [times[0] for times in told.values()], between


def through(place: Place, prompts: Prompts, new: int) -> tuple[float, list[Answer]]:
    """Seconds from the first request to the last text."""
    bodies = [{"prompt": ids, "max_tokens": new, "ignore_eos": True, "temperature": 0} for ids in prompts]
    began = time.perf_counter()
    answers = at_once(place, bodies)
    for answer in answers:
        assert not answer.failure and answer.completion_tokens == new, answer.failure
    return max(answer.said_s[-1] for answer in answers) - began, answers


class Rounds:
    """What the rounds of a number of streams have found."""

    def __init__(self) -> None:
        self.alone: list[float] = []
        self.http: list[float] = []
        self.first: dict[str, list[float]] = {"http": [], "alone": []}
        self.between: dict[str, list[float]] = {"http": [], "alone": []}
        self.prompts_s: list[float] = []
        self.over_prompts: list[float] = []
        self.cpu: dict[str, float] = {}

    def count(self, used: dict[str, float]) -> None:
        """Add processor seconds."""
        for name, seconds in used.items():
            self.cpu[name] = self.cpu.get(name, 0.0) + seconds

    def told(self, streams: int, tokens: int) -> dict[str, object]:
        """The line."""
        shares = [alone / http for alone, http in zip(self.alone, self.http, strict=True)]
        rounds = len(shares)
        return {
            "streams": streams,
            "rounds": rounds,
            "tokens_per_second": round(statistics.median(tokens / s for s in self.http)),
            "without_http": round(statistics.median(tokens / s for s in self.alone)),
            "share": round(statistics.median(shares), 3),
            "shares": [round(share, 3) for share in shares],
            "prompts_s": round(statistics.median(self.prompts_s), 3),
            "ttft_p99_over_prompts": round(statistics.median(self.over_prompts), 2),
            "ttft_s": {side: spread(found) for side, found in self.first.items()},
            "between_s": {side: spread(found) for side, found in self.between.items()},
            "clients_part": round(self.cpu["client"] / (self.cpu["client"] + self.cpu["edge"]), 2),
            "cpu_ms_per_token": {name: round(1e3 * s / rounds / tokens, 3) for name, s in self.cpu.items()},
        }


def measure(alone: Alone, place: Place, pids: dict[str, int], streams: int, given: argparse.Namespace) -> None:
    """Alternate and print."""
    rng, found, own = np.random.default_rng(streams), Rounds(), os.getpid()

    def prompts() -> Prompts:
        return rng.integers(100, alone.vocab, (streams, given.prompt)).tolist()

    for at in range(given.rounds + 1):
        if at == 1:
            found = Rounds()  # the first round warms up
        found.prompts_s.append(max(alone.run(prompts(), 1)[1]))
        for side in ("alone", "http") if at % 2 else ("http", "alone"):
            if side == "alone":
                before = cpu_s(own)
                seconds, first, between = alone.run(prompts(), given.new)
                found.count({"loop": cpu_s(own) - before})
                found.alone.append(seconds)
            else:
                before_each = {name: cpu_s(pid) for name, pid in pids.items()} | {"client": cpu_s(own)}
                seconds, answers = through(place, prompts(), given.new)
                after = {name: cpu_s(pid) for name, pid in pids.items()} | {"client": cpu_s(own)}
                found.count({name: after[name] - before_each[name] for name in after})
                found.http.append(seconds)
                first = [answer.first_s for answer in answers]
                between = [gap for answer in answers for gap in answer.between_s]
                found.over_prompts.append(quantile(first, 0.99) / found.prompts_s[-1])
            found.first[side] += first
            found.between[side] += between
    print(json.dumps(found.told(streams, streams * given.new)), flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompt", type=int, default=64, help="tokens of a prompt")
    parser.add_argument("--new", type=int, default=128, help="tokens of an answer")
    given = parser.parse_args()
    alone = Alone(given.model)
    options = ("--max-batch", str(BATCH), "--max-context", str(CONTEXT), "--no-speculate")
    with served(given.model, *options) as server:
        place, pids = Place.of(server.url), {"edge": server.edge, "engine": server.engine()}
        for streams in given.streams:
            measure(alone, place, pids, streams, given)


if __name__ == "__main__":
    main()
