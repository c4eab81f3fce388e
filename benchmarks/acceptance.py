"""How often guesses are right, by their place in a run: answers of a model, replayed with guesses of each source.

    python benchmarks/acceptance.py [--model NAME] [--draft NAME] [--output FILE]

An answer is drawn without guesses. Then it is walked as an engine would that guesses `DRAFT` tokens wherever it can:
the guesses that the answer goes on with are accepted, up to the first other one, and the next run begins behind that.
What a service accepts differs: it guesses only what is likely to pay. The answers end where the model ends them.

The file is what `undiced simulate --acceptance measured` reads. Each of its profiles has `guessed` and `accepted` by
place: how many guesses stood there with all before them accepted, and how many of those were accepted. `steps` are the
runs, those too that had nothing to guess, and `tokens` what they gave. Profiles of other pairs and sources are kept.

A draft model draws with the seed and the counter of each place, as in the service. It guesses behind what the answer
has, so one pass over the answer with a draw at each place tells every run.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from speculation import Bench
from works import CODE, FREE, RAILWAY, RENAME

from undiced.compiled import compile_draft
from undiced.engine.backend import SlotState, StepInput
from undiced.engine.host import HostBackend
from undiced.engine.record import greedy
from undiced.serve import GREEDY, Policy, Request, Sampling, Scheduler
from undiced.serve.lookup import Lookup
from undiced.serve.loop import EngineLoop

DRAFT = 7  # tokens of a run's guesses
TOKENS = 256
OUTPUT = Path(__file__).parents[1] / "src" / "undiced" / "study" / "acceptance.json"
TEMPERATURES = (0.0, 0.8)
WORKS = {
    "edit": (
        RENAME,
        f"Add a docstring to each method of this program, and write out the whole program:\n```python\n{CODE}```",
        f"Remove the class Circle from this program, and write out what is left:\n```python\n{CODE}```",
    ),
    "quotation": (
        f"Repeat this text word for word:\n{RAILWAY}",
        f"Correct the spelling of this text, and write it out:\n{RAILWAY.replace('ten', 'tenn')}",
        f"Summarize this text in its own words:\n{RAILWAY}",
    ),
    "free text": (*FREE, "What should I see in Rome in two days?", "Describe a thunderstorm at sea."),
    "code": (
        "Write a Python function that tells whether a number is prime.",
        "Write a Python class for a bank account with deposit and withdraw.",
        "Write a Python program that counts the words of a file.",
    ),
}
SEEDS = 4  # answers to each question at a temperature above 0
MOST = 20  # answers of a kind of work
Pair = tuple[list[int], list[int]]  # prompt and answer
Source = Callable[[Bench, tuple[str, ...], float, "Profile"], int]
Guess = Callable[[list[int], int], list[int]]  # the tokens so far, and how many of them are the prompt


@dataclass
class Profile:
    """Guesses and accepted ones by place; see the file's head."""

    guessed: list[int] = field(default_factory=lambda: [0] * DRAFT)
    accepted: list[int] = field(default_factory=lambda: [0] * DRAFT)
    steps: int = 0
    tokens: int = 0

    def add(self, guesses: list[int], answer: list[int]) -> int:
        """A run whose text goes on as `answer`; returns the tokens that its step gives."""
        right = 0
        for place, (guess, token) in enumerate(zip(guesses, answer, strict=False)):
            self.guessed[place] += 1
            if guess != token:
                break
            self.accepted[place] += 1
            right += 1
        given = min(right + 1, len(answer))
        self.steps += 1
        self.tokens += given
        return given


def looked_up() -> Guess:
    """Guesses by what followed the same tokens before."""
    lookup = Lookup()

    def guess(tokens: list[int], prompt: int) -> list[int]:
        if not len(lookup):
            lookup.read(tokens[:prompt])
        for token in tokens[len(lookup) :]:
            lookup.follow(token)
        return lookup.draft(DRAFT)

    return guess


def replay(prompt: list[int], answer: list[int], guess: Guess, profile: Profile) -> None:
    """Walk an answer behind its first token, which no guess can bring."""
    at = 1
    while at < len(answer):
        tokens = prompt + answer[:at]
        at += profile.add(guess(tokens, len(prompt)), answer[at:])


def answers(bench: Bench, questions: tuple[str, ...], temperature: float, seeds: int) -> list[Pair]:
    """(Prompt, answer) of each question, drawn with each seed."""
    loop = EngineLoop(bench.backend, Scheduler(bench.backend.limits, Policy(speculate=False)))
    prompts = {}
    for number, question in enumerate(questions):
        for seed in range(seeds):
            sampling = Sampling(temperature=temperature, seed=seed) if temperature else GREEDY
            name = f"{number}.{seed}"
            prompts[name] = list(bench.ids(question))
            eos = tuple(bench.tokenizer.eos_ids)
            loop.add(Request(name, tuple(prompts[name]), TOKENS, sampling, eos_ids=eos))
    found: dict[str, list[int]] = {name: [] for name in prompts}
    while not loop.idle:
        for delta in loop.step():
            found[delta.request_id] += delta.tokens
    return [(prompts[name], found[name]) for name in prompts]


def looking_up(bench: Bench, questions: tuple[str, ...], temperature: float, profile: Profile) -> int:
    """The profile of guesses by lookup; returns how many answers it has."""
    pairs = answers(bench, questions, temperature, SEEDS if temperature else 1)
    for prompt, answer in pairs:
        replay(prompt, answer, looked_up(), profile)
    return len(pairs)


def told(found: list[int]) -> Guess:
    """Guesses that are known by place."""
    return lambda tokens, prompt: found[len(tokens) - prompt :][:DRAFT]


def drafting(draft: HostBackend) -> Source:
    """The profile of guesses by a draft model."""

    def measure(bench: Bench, questions: tuple[str, ...], temperature: float, profile: Profile) -> int:
        pairs = answers(bench, questions, temperature, SEEDS if temperature else 1)
        for (prompt, answer), found in zip(pairs, draws(draft, pairs, temperature), strict=True):
            replay(prompt, answer, told(found), profile)
        return len(pairs)

    return measure


def draws(draft: HostBackend, pairs: list[Pair], temperature: float) -> list[list[int]]:
    """What a draft model draws at each place of each answer, behind what the answer has before it."""
    pages = -(-(max(len(prompt) for prompt, _ in pairs) + TOKENS) // draft.limits.page_tokens)
    records = greedy(np.arange(len(pairs), dtype=np.int32))
    records["temperature"], records["seed"] = temperature, [at % SEEDS for at in range(len(pairs))]
    found: list[list[int]] = [[] for _ in pairs]
    for slot, (prompt, _) in enumerate(pairs):
        draft.open_slot(slot, SlotState())
        for begin in range(0, len(prompt) - 1, draft.limits.max_tokens):
            part = prompt[:-1][begin : begin + draft.limits.max_tokens]
            draft.collect(draft.submit(_step([(slot, part, begin)], pages, records[:0])))
    for at in range(TOKENS):
        alive = [slot for slot, (_, answer) in enumerate(pairs) if at < len(answer)]
        if not alive:
            break
        parts = []
        for slot in alive:
            prompt, answer = pairs[slot]
            parts.append((slot, [answer[at - 1] if at else prompt[-1]], len(prompt) + at - 1))
        drawn = records[alive]
        drawn["counter"] = at
        output = draft.collect(draft.submit(_step(parts, pages, drawn)))
        for slot, token in zip(alive, output.tokens.tolist(), strict=True):
            found[slot].append(token)
    return found


def _step(parts: list[tuple[int, list[int], int]], pages: int, records: NDArray[np.void]) -> StepInput:
    """A step of (slot, tokens, first position) each, which draws the last rows if there are records for them."""
    starts = np.cumsum([0, *(len(tokens) for _, tokens, _ in parts)]).astype(np.int32)
    slots = np.array([slot for slot, _, _ in parts], np.int32)
    return StepInput(
        np.concatenate([np.array(tokens, np.int32) for _, tokens, _ in parts]),
        np.concatenate([np.arange(at, at + len(tokens), dtype=np.int32) for _, tokens, at in parts]),
        starts,
        slots,
        (slots[:, None] * pages + np.arange(pages)).astype(np.int32),
        (starts[1:] - 1)[: len(records)],
        records,
    )


def provenance() -> dict[str, str]:
    """What the figures were measured with."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "command": "python benchmarks/acceptance.py",
        "commit": commit.stdout.strip(),
        "machine": platform.machine(),
    }


def measured(bench: Bench, pair: dict[str, str], source: Source) -> list[dict[str, object]]:
    """The profiles of all kinds of work."""
    entries: list[dict[str, object]] = []
    for name, questions in WORKS.items():
        for temperature in TEMPERATURES:
            profile = Profile()
            count = source(bench, questions, temperature, profile)
            entries.append(
                {
                    "pair": pair,
                    "source": "draft" if pair["draft"] else "lookup",
                    "work": name,
                    "temperature": temperature,
                    "guessed": profile.guessed,
                    "accepted": profile.accepted,
                    "steps": profile.steps,
                    "tokens": profile.tokens,
                    "answers": count,
                    "provenance": provenance(),
                }
            )
            print(json.dumps(entries[-1]), flush=True)
    return entries


def main() -> None:
    """Measure, print, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--draft", default="", help="a draft model; without one guesses are looked up")
    parser.add_argument("--name", help="of the model in the file, where it was opened by a path")
    parser.add_argument("--draft-name", help="of the draft model in the file")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    bench = Bench(given.model, given.threads, MOST)
    draft = None
    pair = {"target": given.name or given.model, "draft": given.draft_name or given.draft}
    try:
        if given.draft:
            compiled = compile_draft(given.draft, bench.compiled)
            pages = -(-bench.backend.limits.context // bench.backend.limits.page_tokens) * MOST
            draft = HostBackend(compiled.program, compiled.checkpoint, pages=pages, team=bench.backend)
        entries = measured(bench, pair, looking_up if draft is None else drafting(draft))
    finally:
        bench.backend.close()
        if draft is not None:
            draft.close()
    before = json.loads(given.output.read_text())["profiles"] if given.output.exists() else []
    entries = [entry for entry in before if entry["pair"] != pair] + entries
    given.output.write_text('{"profiles": [\n' + ",\n".join(json.dumps(entry) for entry in entries) + "\n]}\n")


if __name__ == "__main__":
    main()
