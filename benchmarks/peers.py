"""Undiced against llama.cpp, OpenVINO GenAI and onnxruntime-genai: the same prompts and weights, in alternating rounds.

    python benchmarks/peers.py [--rounds 5] [--peers llama.cpp,openvino] [--quick] [--json]
    python benchmarks/peers.py --quick --rounds 5 --model FILE        few calls, for a large model
    python benchmarks/peers.py --quality 4       how near each is to the dequantized float model, instead of speed
    python benchmarks/peers.py --report          writes README.md's table and docs/peers.svg from the kept runs

Every peer is installed on first use (see peer.py); one that can't be is reported with the reason. Sides are processes
that stay loaded; in each round every call goes to all of them, one after the other, beginning with another one, each
behind a pause: threads of some go on spinning after an answer, on the cores of whoever is next. The
prompts of a call are the same token ids for all sides, and others in each round, so that nobody's cache of prefixes
helps. Start and memory are of processes of their own, of ours with bytecode beside the sources (see bytecode.py), as
pip installs every package. Greedy; nothing is guessed ahead. A run is appended to
benchmarks/results/peers.jsonl, unless it is --quick.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TypeVar

import peer
import peer_calls as calls
import peer_report as report
from bytecode import ensure_bytecode
from peer_calls import CALLS, SHORT, START_PROMPT, Call
from peer_sides import MAKERS, OURS, Side, Worker, WorkerError
from quality import text

from undiced import _native
from undiced.checkpoint import Checkpoint, open_checkpoint
from undiced.cli.bystanders import Bystanders
from undiced.compiled import compile_for_host
from undiced.engine.level import level
from undiced.text import load_tokenizer

Found = TypeVar("Found")
PAUSE_S = 0.2  # before each call and start: onnxruntime's threads spin for 30 ms of processor time after an answer
Rows = dict[str, dict[str, list[float]]]  # by side and column, a figure a round


class Prompts:
    """Token ids of a text, other ones for every round and call."""

    def __init__(self, ids: Sequence[int]) -> None:
        self._ids, self._at = list(ids), 0

    def take(self, count: int, length: int) -> list[list[int]]:
        """`count` prompts of `length` tokens."""
        found = []
        for _ in range(count):
            self._at = (self._at + 997) % (len(self._ids) - length)
            found.append(self._ids[self._at : self._at + length])
        return found


class Run:
    """Rounds over the sides that could be installed; one that fails is dropped with its reason."""

    def __init__(self, sides: Sequence[Side], ids: Sequence[int], threads: int, plan: Sequence[Call]) -> None:
        self.sides, self._threads, self._plan = list(sides), threads, plan
        self._prompts, self._workers = Prompts(ids), dict[str, Worker]()
        self.rows: Rows = {side.name: {} for side in sides}
        self.missing: dict[str, str] = {}
        self.same: dict[str, list[float]] = {side.name: [] for side in sides}
        self.limits: list[dict[str, float]] = []

    def measure(self, rounds: int) -> None:
        """All rounds; starts before anything is loaded: loaded sides fill the memory that a start would take."""
        for number in range(rounds):
            self._starts(number)
        with self._loaded():
            for number in range(rounds):
                began_s = time.perf_counter()
                memory, peak = _native.probe_bandwidth(self._threads), _native.probe_int8_peak(self._threads, level())
                self.limits.append({"bytes_per_s": memory, "ops_per_s": peak})
                self._calls(number)
                _say(f"Round {number + 1} of {rounds}: {time.perf_counter() - began_s:.0f} s")

    def measure_disturbed(self, rounds: int, disturbed: Callable[[], AbstractContextManager]) -> Rows:
        """All rounds, each call without and within `disturbed`; returns the rows of the latter."""
        alone, found = self.rows, {side.name: dict[str, list[float]]() for side in self.sides}
        with self._loaded():
            for number in range(rounds):
                for rows, around in ((alone, nullcontext), (found, disturbed)):
                    self.rows = rows
                    with around():
                        self._calls(number)
                _say(f"Round {number + 1} of {rounds}")
        self.rows = alone
        return found

    @contextmanager
    def _loaded(self) -> Iterator[None]:
        try:
            for side in list(self.sides):
                self._guarded(side, self._load)
            yield
        finally:
            for worker in self._workers.values():
                worker.close()

    def _load(self, side: Side) -> None:
        _say(f"Loading {side.name}")
        self._workers[side.name] = Worker(side, self._threads, calls.BATCH, calls.CONTEXT)
        self._workers[side.name].ready()
        for sequences in sorted({call.sequences for call in self._plan}):
            self._workers[side.name].generate(self._prompts.take(sequences, 8), 2)

    def _calls(self, number: int) -> None:
        for at, call in enumerate(self._plan):
            prompts = self._prompts.take(call.sequences, call.length)
            tokens: dict[str, list[list[int]] | None] = {}
            for side in _turned(self.sides, number + at):
                time.sleep(PAUSE_S)
                tokens[side.name] = self._guarded(side, self._ask, call, prompts)
            self._compare(tokens)

    def _starts(self, number: int) -> None:
        start = self._prompts.take(1, START_PROMPT)[0]
        for side in _turned(self.sides, number):
            time.sleep(PAUSE_S)
            self._guarded(side, self._start, start, number == 0)

    def _ask(self, side: Side, call: Call, prompts: list[list[int]]) -> list[list[int]]:
        found = self._workers[side.name].generate(prompts, call.count)
        if [len(ids) for ids in found["tokens"]] != [call.count] * call.sequences:
            raise WorkerError(f"{side.name} gave other numbers of tokens than it was asked for.")
        for column, value in call.figures(call, found).items():
            self._add(side, column, value)
        tokens: list[list[int]] = found["tokens"]
        return tokens

    def _start(self, side: Side, prompt: list[int], weighed: bool) -> None:
        worker = Worker(side, self._threads, 1, calls.MEMORY_CONTEXT)
        try:
            self._add(side, calls.START, worker.first_token_s(prompt))
            if weighed:
                worker.generate(self._prompts.take(1, calls.MEMORY_PROMPT), calls.MEMORY_COUNT)
                self._add(side, calls.MEMORY, worker.peak_bytes() / 1e6)
        finally:
            worker.close()

    def _add(self, side: Side, column: str, value: float) -> None:
        self.rows[side.name].setdefault(column, []).append(value)

    def _compare(self, tokens: dict[str, list[list[int]] | None]) -> None:
        """How many answers of a side begin with our token: that all did the same work."""
        ours = tokens.get(OURS)
        for name, answers in tokens.items():
            if not ours or not answers:
                continue
            same = [a[0] == b[0] for a, b in zip(answers, ours, strict=True)]
            self.same[name].append(sum(same) / len(same))

    def _guarded(self, side: Side, action: Callable[..., Found], *given: object) -> Found | None:
        try:
            return action(side, *given)
        except WorkerError as error:
            self.missing[side.name] = str(error)
            self.sides = [each for each in self.sides if each is not side]
            self.rows.pop(side.name)
            _say(f"{side.name} is left out: {error}")
            return None


def _turned(sides: Sequence[Side], number: int) -> list[Side]:
    return [sides[(at + number) % len(sides)] for at in range(len(sides))]


def installed(names: Sequence[str], file: Path) -> tuple[list[Side], dict[str, str]]:
    """The sides that there are, and why others are missing."""
    sides, missing = [], {}
    for name in names:
        try:
            sides.append(MAKERS[name](file))
        except peer.CannotInstallError as error:
            missing[name] = str(error)
            _say(f"{name} can't be installed: {error}")
    return sides, missing


def about(bench: str, file: Path, threads: int) -> dict[str, object]:
    """What a record begins with."""
    return {
        "bench": bench,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": _commit(),
        "cpu": report.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "isa": level(),
        "threads": threads,
        "file": file.name,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, help="5; with --quick 1")
    parser.add_argument("--peers", default=",".join(MAKERS), help=f"of {', '.join(MAKERS)}")
    parser.add_argument(
        "--quick", action="store_true", help="few calls, which are not kept: for large models, and to try"
    )
    parser.add_argument("--quality", type=int, metavar="WINDOWS", help="measure KL and top-1 instead of speed")
    parser.add_argument("--report", action="store_true", help="write README.md's table and docs/peers.svg, and end")
    parser.add_argument("--json", action="store_true", help="print the record alone")
    args = parser.parse_args()
    args.rounds = args.rounds or (1 if args.quick else 5)
    if args.report:
        report.write()
        return
    names = ["undiced", *(name for name in args.peers.split(",") if name != "undiced")]
    if unknown := sorted(set(names) - set(MAKERS)):
        parser.error(f"there is no {unknown[0]}: {', '.join(MAKERS)}")
    ensure_bytecode()
    checkpoint = open_checkpoint(args.model)
    sides, missing = installed(names, checkpoint.path)
    if args.quality:
        from peer_nearness import measured

        record = about("peers quality", checkpoint.path, args.threads) | {"missing": missing}
        record |= measured(checkpoint, sides, args.quality, args.threads)
    else:
        record = speeds(args, checkpoint, sides, missing)
    if not args.quick:
        report.keep(record)
    if not args.json:
        print("\n".join(report.lines_of(record)))
    print(json.dumps(record))


def speeds(
    args: argparse.Namespace, checkpoint: Checkpoint, sides: list[Side], missing: dict[str, str]
) -> dict[str, object]:
    """Measure; the record."""
    ids = load_tokenizer(checkpoint).encode(text())
    run, others = Run(sides, ids, args.threads, SHORT if args.quick else CALLS), Bystanders()
    run.measure(args.rounds)
    busy = others.share()
    return about("peers", checkpoint.path, args.threads) | {
        "rounds": args.rounds,
        "busy_share": None if busy is None else round(busy, 3),
        "bytes_per_token": compile_for_host(args.model, max_batch=1, max_context=64).program.fact(
            "matmul_bytes_per_token"
        ),
        "limits": {key: report.middle(each[key] for each in run.limits) for key in run.limits[0]},
        "missing": missing | run.missing,
        "sides": {
            side.name: {
                "version": side.version,
                "weights": side.weights,
                "kv": side.kv,
                "file_mb": round(side.nbytes / 1e6, 1),
                "first_token_as_ours": round(report.middle(run.same[side.name] or [0.0]), 3),
                "figures": {
                    column: [float(f"{x:.4g}") for x in found] for column, found in run.rows[side.name].items()
                },
            }
            for side in run.sides
        },
    }


def _commit() -> str:
    """The commit, and whether anything but what this script writes differs from it."""
    written = (":!benchmarks/results", ":!README.md", ":!docs/peers.svg")
    dirty = _output("git", "status", "--porcelain", "--", ".", *written)
    return _output("git", "rev-parse", "--short", "HEAD") + ("-dirty" if dirty else "")


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
