"""How often guesses are right, by their place in a run: answers of a model, replayed with guesses of each source.

    python benchmarks/acceptance.py [--model NAME] [--output FILE]

An answer is drawn without guesses. Then it is walked as an engine would that guesses `DRAFT` tokens wherever it can:
the guesses that the answer goes on with are accepted, up to the first other one, and the next run begins behind that.
What a service accepts differs: it guesses only what is likely to pay. The answers end where the model ends them.

The file is what `undiced simulate --acceptance measured` reads. Each of its profiles has `guessed` and `accepted` by
place: how many guesses stood there with all before them accepted, and how many of those were accepted. `steps` are the
runs, those too that had nothing to guess, and `tokens` what they gave.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from speculation import CODE, FREE, RAILWAY, RENAME, Bench

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


def answers(
    bench: Bench, questions: tuple[str, ...], temperature: float, seeds: int
) -> list[tuple[list[int], list[int]]]:
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


def provenance() -> dict[str, str]:
    """What the figures were measured with."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "command": "python benchmarks/acceptance.py",
        "commit": commit.stdout.strip(),
        "machine": platform.machine(),
    }


def measured(bench: Bench, model: str) -> list[dict[str, object]]:
    """The profiles of all kinds of work."""
    entries: list[dict[str, object]] = []
    for name, questions in WORKS.items():
        for temperature in TEMPERATURES:
            profile = Profile()
            pairs = answers(bench, questions, temperature, 4 if temperature else 1)
            for prompt, answer in pairs:
                replay(prompt, answer, looked_up(), profile)
            entries.append(
                {
                    "pair": {"target": model, "draft": ""},
                    "source": "lookup",
                    "work": name,
                    "temperature": temperature,
                    "guessed": profile.guessed,
                    "accepted": profile.accepted,
                    "steps": profile.steps,
                    "tokens": profile.tokens,
                    "answers": len(pairs),
                    "provenance": provenance(),
                }
            )
            print(json.dumps(entries[-1]), flush=True)
    return entries


def main() -> None:
    """Measure, print, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    bench = Bench(given.model, given.threads, 8)
    try:
        entries = measured(bench, given.model)
    finally:
        bench.backend.close()
    given.output.write_text('{"profiles": [\n' + ",\n".join(json.dumps(entry) for entry in entries) + "\n]}\n")


if __name__ == "__main__":
    main()
