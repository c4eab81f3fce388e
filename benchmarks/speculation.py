"""What guessing ahead is worth: answers with and without it in alternation, on texts that repeat themselves and others.

    python benchmarks/speculation.py [--model NAME] [--draft NAME] [--rounds N] [--threads N] [--together N]

Both sides run on one engine with the same weights and KV pages; each pair of answers must have the same tokens. Figures
are medians over the rounds, ratios are taken round by round. One JSON line per kind of work. A side keeps what it has
learned of guesses from answer to answer, as a server does.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import dataclass, field

from undiced.compiled import compile_draft, compile_for_host
from undiced.engine.host import HostBackend
from undiced.serve import GREEDY, EngineStats, Policy, Request, Sampling, Scheduler
from undiced.serve.loop import EngineLoop
from undiced.text import ChatEncoder, load_chat_template, load_tokenizer

TOKENS = 192
CODE = """class Rectangle:
    def __init__(self, width, height):
        self.width = width
        self.height = height

    def area(self):
        return self.width * self.height

    def perimeter(self):
        return 2 * (self.width + self.height)


class Circle:
    def __init__(self, radius):
        self.radius = radius

    def area(self):
        return 3.14159 * self.radius * self.radius

    def perimeter(self):
        return 2 * 3.14159 * self.radius
"""
RAILWAY = (
    "The railway came to the valley in the spring of 1871, and within ten years the mill had doubled its output. Wool "
    "was carried to the coast in a single day, where before it had taken four, and the price of coal fell by half. The "
    "old road over the pass was kept open for the mail, but nobody who could afford a ticket walked it any longer."
)
FREE = (
    "Tell me a story about a lighthouse keeper.",
    "Why do leaves change their color in autumn?",
    "Write a letter to a friend about a journey.",
)


@dataclass(frozen=True)
class Work:
    """Questions of one kind. temperature: 0 is the likeliest token. predicted: the client sends what it expects."""

    name: str
    questions: tuple[str, ...]
    temperature: float = 0.0
    predicted: str = ""


RENAME = f"Rename `perimeter` to `outline` in this program, and write out the whole program:\n```python\n{CODE}```"
WORKS = (
    Work("edit", (RENAME,)),
    Work("edit, predicted", (RENAME,), predicted=f"```python\n{CODE}```"),
    Work("quotation", (f"Repeat this text word for word:\n{RAILWAY}",)),
    Work("free, likeliest tokens", FREE),
    Work("free, temperature 0.8", FREE, 0.8),
)


@dataclass
class Side:
    """One side's seconds a token, round by round, and what was guessed."""

    seconds: list[float] = field(default_factory=list)
    drafted: int = 0
    accepted: int = 0
    modeled: int = 0
    modeled_accepted: int = 0
    draft_s: float = 0.0

    def add(self, after: EngineStats, before: EngineStats) -> None:
        """What was guessed between two readings."""
        self.drafted += after.drafted_tokens - before.drafted_tokens
        self.accepted += after.accepted_tokens - before.accepted_tokens
        self.modeled += after.modeled_tokens - before.modeled_tokens
        self.modeled_accepted += after.modeled_accepted - before.modeled_accepted
        self.draft_s += after.draft_s - before.draft_s


class Bench:
    """An engine, and the questions as token ids."""

    def __init__(self, model: str, threads: int | None, together: int, draft: str = "") -> None:
        self.compiled = compile_for_host(model, threads=threads, max_batch=max(8, together), max_context=2048)
        checkpoint = self.compiled.checkpoint
        self.backend = HostBackend(self.compiled.program, checkpoint)
        self.tokenizer = load_tokenizer(checkpoint)
        template = load_chat_template(checkpoint)
        self.chat = None if template is None else ChatEncoder(template, self.tokenizer)
        self.together = together
        self.draft: HostBackend | None = None
        if draft:
            guessing, pages = compile_draft(draft, self.compiled), self.backend.limits.pages
            self.draft = HostBackend(guessing.program, guessing.checkpoint, pages=pages, team=self.backend)
        self.loops = {speculate: self._loop(speculate) for speculate in (True, False)}

    def _loop(self, speculate: bool) -> EngineLoop:
        limits, draft = self.backend.limits, self.draft if speculate else None
        scheduler = Scheduler(limits, Policy(speculate=speculate), None if draft is None else draft.limits)
        return EngineLoop(self.backend, scheduler, draft=draft)

    def ids(self, question: str) -> tuple[int, ...]:
        """A question as the model is asked it."""
        if self.chat is None:
            return tuple(self.tokenizer.encode(question, special=True))
        return tuple(self.chat.encode([{"role": "user", "content": question}]))

    def run(self, work: Work, question: str, seed: int, speculate: bool) -> tuple[list[list[int]], float, EngineLoop]:
        """The answers to one question, asked as often as sequences run together; and seconds per token of each."""
        loop = self.loops[speculate]
        loop.scheduler.pool.clear()  # both sides read every prompt
        expected = tuple(self.tokenizer.encode(work.predicted)) if work.predicted else ()
        for at in range(self.together):
            sampling = Sampling(temperature=work.temperature, seed=seed + at) if work.temperature else GREEDY
            request = Request(f"r{at}", self.ids(question), TOKENS, sampling, ignore_eos=True, expected=expected)
            loop.add(request)
        found: list[list[int]] = [[] for _ in range(self.together)]
        began = None
        while not loop.idle:
            for delta in loop.step():
                found[int(delta.request_id[1:])] += delta.tokens
            began = time.perf_counter() if began is None and all(found) else began
        assert began is not None
        return found, (time.perf_counter() - began) / (TOKENS - 1), loop


def measure(bench: Bench, work: Work, rounds: int) -> dict[str, object]:
    """One kind of work, both sides in turn."""
    sides, ratios = {True: Side(), False: Side()}, []
    for number in range(rounds):
        for question in work.questions:
            found, took = {}, {}
            for speculate in (True, False) if number % 2 else (False, True):
                before = bench.loops[speculate].stats()
                found[speculate], took[speculate], loop = bench.run(work, question, number, speculate)
                sides[speculate].seconds.append(took[speculate])
                stats = loop.stats()
                sides[speculate].add(stats, before)
            assert found[True] == found[False], "a draft changed an answer"
            ratios.append(took[False] / took[True])
    drafted, accepted = sides[True].drafted, sides[True].accepted
    return {
        "work": work.name,
        "together": bench.together,
        "answers": len(ratios),
        "tokens_per_second": round(bench.together / statistics.median(sides[True].seconds), 1),
        "without": round(bench.together / statistics.median(sides[False].seconds), 1),
        "ratio": round(statistics.median(ratios), 3),
        "least_ratio": round(min(ratios), 3),
        "drafted": drafted,
        "accepted_share": round(accepted / drafted, 3) if drafted else None,
        "by_draft_model": sides[True].modeled,
        "of_those_accepted": sides[True].modeled_accepted,
        "draft_s": round(sides[True].draft_s, 3),
    }


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--draft", default="", help="a draft model that guesses besides the lookup")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--together", type=int, default=1)
    given = parser.parse_args()
    bench = Bench(given.model, given.threads, given.together, given.draft)
    try:
        for work in WORKS:
            print(json.dumps(measure(bench, work, given.rounds)), flush=True)
    finally:
        bench.loops[True].close()


if __name__ == "__main__":
    main()
