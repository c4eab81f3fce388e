"""What guessing ahead is worth: answers with and without it in alternation, on texts that repeat themselves and others.

    python benchmarks/speculation.py [--model NAME] [--draft NAME] [--rounds N] [--threads N] [--together N] [--each]

Both sides run on one engine with the same weights and KV pages; each pair of answers must have the same tokens, and
ends where the model ends it. A question's ratio is the median of its rounds, a kind's the median of its questions. One
JSON line per kind of work, with the same of processor time, which other processes disturb less; and of a replay in
which each step takes the least that one of so many rows took on this machine, or what `--costs` says (`replayed.py`):
what the policy is worth, beside the most that is possible at such costs. `repeated` is the share of an answer's tokens
in runs of 8 and more that stand in its prompt; the figures of answers that mostly repeat it come by themselves. A side
keeps what it has learned of guesses from answer to answer, as a server does.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import dataclass, field

from replayed import Replay, Told, costs_of
from works import WORKS, Work

from undiced.compiled import compile_draft, compile_for_host
from undiced.engine.host import HostBackend
from undiced.serve import GREEDY, EngineStats, Policy, Request, Sampling, Scheduler
from undiced.serve.loop import EngineLoop
from undiced.text import ChatEncoder, load_chat_template, load_tokenizer

TOKENS = 256  # of an answer, at most
RUN, REPEATED = 8, 0.8  # tokens that make a repetition, and the share of them in an answer that repeats its prompt
SHORT = 32  # tokens: shorter answers are not counted


@dataclass
class Side:
    """One side's seconds a token, round by round, and what was guessed."""

    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
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


@dataclass(frozen=True)
class Answer:
    """The answers of one side to a question; seconds and processor seconds for a token of each."""

    found: list[list[int]]
    seconds: float
    processor: float


class Bench:
    """An engine, and the questions as token ids."""

    def __init__(self, model: str, threads: int | None, together: int, draft: str = "") -> None:
        self.compiled = compile_for_host(model, threads=threads, max_batch=max(8, together), max_context=2048)
        checkpoint = self.compiled.checkpoint
        self.backend = HostBackend(self.compiled.program, checkpoint)
        self.tokenizer = load_tokenizer(checkpoint)
        self.eos = tuple(self.tokenizer.eos_ids)
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

    def run(self, work: Work, number: int, seed: int, speculate: bool) -> Answer:
        """The answers to one question, asked as often as sequences run together."""
        loop = self.loops[speculate]
        loop.scheduler.pool.clear()  # both sides read every prompt
        prompt, expected = self.ids(work.questions[number]), self.expected(work, number)
        for at in range(self.together):
            sampling = Sampling(temperature=work.temperature, seed=seed + at) if work.temperature else GREEDY
            loop.add(Request(f"r{at}", prompt, TOKENS, sampling, eos_ids=self.eos, expected=expected))
        found: list[list[int]] = [[] for _ in range(self.together)]
        began = None
        while not loop.idle:
            for delta in loop.step():
                found[int(delta.request_id[1:])] += delta.tokens
            began = (time.perf_counter(), time.process_time()) if began is None and all(found) else began
        assert began is not None
        most = max(max(map(len, found)) - 1, 1)
        return Answer(found, (time.perf_counter() - began[0]) / most, (time.process_time() - began[1]) / most)

    def expected(self, work: Work, number: int) -> tuple[int, ...]:
        """What the client of a question sends as the answer that it expects."""
        return tuple(self.tokenizer.encode(work.predicted[number])) if work.predicted else ()


def repeated(prompt: tuple[int, ...], answer: list[int]) -> float:
    """The share of an answer's tokens in runs that stand in its prompt."""
    known = {prompt[at : at + RUN] for at in range(len(prompt) - RUN + 1)}
    inside = {
        at + more for at in range(len(answer) - RUN + 1) if tuple(answer[at : at + RUN]) in known for more in range(RUN)
    }
    return len(inside) / len(answer)


@dataclass
class Question:
    """What was measured of one question."""

    repeated: float
    ratios: list[float]
    processor: list[float]
    told: Told


def ask(bench: Bench, work: Work, number: int, rounds: int, sides: dict[bool, Side], replay: Replay) -> Question | None:
    """One question, both sides in turn; None if its answer is too short to say anything."""
    ratios, processor = [], []
    for seed in range(rounds):
        answers = {}
        for speculate in (True, False) if seed % 2 else (False, True):
            before = bench.loops[speculate].stats()
            answer = answers[speculate] = bench.run(work, number, seed, speculate)
            sides[speculate].seconds.append(answer.seconds)
            sides[speculate].processor.append(answer.processor)
            sides[speculate].add(bench.loops[speculate].stats(), before)
        assert answers[True].found == answers[False].found, "a draft changed an answer"
        if max(map(len, answers[True].found)) < SHORT:
            return None
        ratios.append(answers[False].seconds / answers[True].seconds)
        processor.append(answers[False].processor / answers[True].processor)
    prompt, found = bench.ids(work.questions[number]), answers[True].found[0]
    told = replay.run(prompt, found, bench.expected(work, number))
    return Question(repeated(prompt, found), ratios, processor, told)


def measure(bench: Bench, work: Work, rounds: int, costs: list[float], each: bool) -> dict[str, object]:
    """One kind of work."""
    sides, replay = {True: Side(), False: Side()}, Replay(bench.backend, costs)
    asked: dict[str, Question] = {}
    for number, question in enumerate(work.questions):
        found = ask(bench, work, number, rounds, sides, replay)
        if found is not None:
            asked[question] = found
    guessing, drafted = sides[True], sides[True].drafted
    result: dict[str, object] = {
        "work": work.name,
        "together": bench.together,
        "tokens_per_second": round(bench.together / statistics.median(guessing.seconds), 1),
        "without": round(bench.together / statistics.median(sides[False].seconds), 1),
        "all": summary(list(asked.values())),
        "repeating": summary([one for one in asked.values() if one.repeated >= REPEATED]),
        "least_ratio": round(min(min(one.ratios) for one in asked.values()), 3),
        "drafted": drafted,
        "accepted_share": round(guessing.accepted / drafted, 3) if drafted else None,
        "by_draft_model": guessing.modeled,
        "of_those_accepted": guessing.modeled_accepted,
        "draft_s": round(guessing.draft_s, 3),
    }
    if each:
        result["each"] = {question: summary([one]) for question, one in asked.items()}
    return result


def summary(asked: list[Question]) -> dict[str, object]:
    """Medians over questions."""
    if not asked:
        return {"questions": 0}
    medians = [(statistics.median(one.ratios), statistics.median(one.processor)) for one in asked]
    told = [one.told for one in asked]
    return {
        "questions": len(asked),
        "repeated": round(statistics.median(one.repeated for one in asked), 2),
        "ratio": round(statistics.median(ratio for ratio, _ in medians), 3),
        "of_processor_time": round(statistics.median(ratio for _, ratio in medians), 3),
        "by_costs": round(statistics.median(one.ratio for one in told), 3),
        "most_by_costs": round(statistics.median(one.most for one in told), 3),
        "rows_a_step": round(sum(one.rows for one in told) / sum(one.steps for one in told), 2),
        "accepted_share": round(
            sum(one.accepted for one in told) / max(sum(one.rows - one.steps for one in told), 1), 3
        ),
    }


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--draft", default="", help="a draft model that guesses besides the lookup")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--together", type=int, default=1)
    parser.add_argument("--costs", type=float, nargs="+", help="of steps of 1, 2, ... rows, for the replay")
    parser.add_argument("--each", action="store_true", help="the figures of each question, too")
    given = parser.parse_args()
    bench = Bench(given.model, given.threads, given.together, given.draft)
    try:
        if given.costs and len(given.costs) <= bench.backend.limits.draft:
            parser.error(f"--costs needs those of 1 to {bench.backend.limits.draft + 1} rows")
        costs = [0.0, *given.costs] if given.costs else costs_of(bench.backend)
        print(json.dumps({"step_costs": [round(cost / costs[1], 2) for cost in costs], "one_s": costs[1]}), flush=True)
        for work in WORKS:
            print(json.dumps(measure(bench, work, given.rounds, costs, given.each)), flush=True)
    finally:
        bench.loops[True].close()


if __name__ == "__main__":
    main()
