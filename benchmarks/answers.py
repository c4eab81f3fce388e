"""How everyday questions are answered under candidate defaults: which answers never end, how long they are, how many
repeat themselves, and how many of those that can be right are.

    python benchmarks/answers.py [--candidate TEMPERATURE:REPETITION_PENALTY:TOP_P ...] [--model MODEL] [--json]

16 prompts x 4 seeds per candidate, answered together and cut at 1,500 tokens. The usual settings of chats and the limit
in `core.usual` were chosen by it. Ends in one JSON line.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from undiced import LLM, SamplingParams
from undiced.outputs import Completion

CUT, SEEDS, BATCH = 1500, 4, 16
LIMITS = (256, 512, 1024)  # of which limits it is told how many answers they would cut
LOOP_WORDS, LOOP_SHARE = 4, 0.5  # an answer whose runs of four words are mostly said before repeats itself
PROMPTS: tuple[tuple[str, str], ...] = (  # what is asked, and what a right answer has; "" where nobody can tell
    ("Explain gravity to a child.", ""),
    ("Write a haiku about silicon.", ""),
    ("Give me three ideas for a rainy day.", ""),
    ("What is the capital of France?", r"\bParis\b"),
    ("What is 2+2?", r"\b(4|four)\b"),
    ("Who are you?", ""),
    ("What can you do?", ""),
    ("Write a poem.", ""),
    ("Name three primary colors.", r"(?is)(?=.*\bred\b)(?=.*\bblue\b)"),
    ("Tell me a joke.", ""),
    ("How do I boil an egg?", r"(?i)\bminutes?\b"),
    ("Which planet is the largest?", r"\bJupiter\b"),
    ("Write a Python function that reverses a string.", r"\[::-1\]|reversed\("),
    ("Translate 'good morning' to Spanish.", r"(?i)buenos d[ií]as"),
    ("Hi", ""),
    ("a", ""),
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Settings on trial."""

    temperature: float
    repetition_penalty: float
    top_p: float

    @classmethod
    def parse(cls, text: str) -> Candidate:
        """From `0.7:1.1:0.95`; what is left out is 1."""
        return cls(*([float(part) for part in text.split(":")] + [1.0, 1.0])[:3])

    def __str__(self) -> str:
        return f"{self.temperature:g}:{self.repetition_penalty:g}:{self.top_p:g}"


BEFORE = Candidate(0.2, 1.0, 1.0)  # what chats had when they were first counted
CANDIDATES = (
    BEFORE,
    *(Candidate(temperature, penalty, 0.95) for temperature in (0.2, 0.4, 0.7) for penalty in (1.0, 1.1, 1.2)),
)


def asked(llm: LLM, candidate: Candidate, cut: int) -> list[tuple[str, str, Completion]]:
    """Every prompt with every seed: (prompt, pattern of a right answer, answer)."""
    chats = [llm.chat_ids([{"role": "user", "content": text}]) for text, _ in PROMPTS]

    def answered(seed: int) -> list[Completion]:
        settings = SamplingParams(
            max_tokens=cut,
            seed=seed,
            temperature=candidate.temperature,
            repetition_penalty=candidate.repetition_penalty,
            top_p=candidate.top_p,
        )
        return [output.outputs[0] for output in llm.generate(chats, settings)]

    with ThreadPoolExecutor(SEEDS) as pool:
        rounds = list(pool.map(answered, range(SEEDS)))
    return [(*prompt, answer) for answers in rounds for prompt, answer in zip(PROMPTS, answers, strict=True)]


def repeats_itself(text: str) -> bool:
    """Whether most runs of a few words stood in the text before."""
    words = text.split()
    runs = list(zip(*(words[at:] for at in range(LOOP_WORDS)), strict=False))
    return len(runs) > LOOP_WORDS and len(set(runs)) < (1 - LOOP_SHARE) * len(runs)


def measured(llm: LLM, candidate: Candidate, cut: int) -> dict[str, object]:
    """The row of a candidate."""
    began_s = time.perf_counter()
    answers = asked(llm, candidate, cut)
    lengths = [len(answer.token_ids) for _, _, answer in answers]
    endless = [text for text, _, answer in answers if answer.finish_reason == "length"]
    judged = [bool(re.search(right, answer.text)) for _, right, answer in answers if right]
    return {
        "candidate": str(candidate),
        "answers": len(answers),
        "never_ended": len(endless),
        "never_ended_of_prompt": {text: endless.count(text) for text in dict.fromkeys(endless)},
        "repeat_themselves": sum(repeats_itself(answer.text) for _, _, answer in answers),
        "empty": sum(not answer.text.strip() for _, _, answer in answers),
        "longer_than": {str(limit): sum(length > limit for length in lengths) for limit in LIMITS},
        "median_tokens": statistics.median(lengths),
        "right": sum(judged),
        "judged": len(judged),
        "seconds": round(time.perf_counter() - began_s, 1),
    }


def show(row: dict[str, object]) -> None:
    """One line of the table."""
    over = row["longer_than"]
    assert isinstance(over, dict)
    cells = (row["never_ended"], row["repeat_themselves"], row["empty"], *over.values(), row["median_tokens"])
    print(
        f"{row['candidate']:>14}" + "".join(f"{cell:>8}" for cell in cells) + f"{row['right']:>7}/{row['judged']}",
        flush=True,
    )


def main() -> None:
    """Measure every candidate, print a table, end in one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--candidate", action="append", type=Candidate.parse, help="may be repeated")
    parser.add_argument("--cut", type=int, default=CUT, help="tokens after which an answer counts as endless")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", action="store_true", help="print the JSON line alone")
    args = parser.parse_args()
    candidates = args.candidate or CANDIDATES
    rows = []
    if not args.json:
        heads = ("endless", "loops", "empty", *(f">{limit}" for limit in LIMITS), "median")
        print(f"{'T:penalty:p':>14}" + "".join(f"{head:>8}" for head in heads) + f"{'right':>10}")
    with LLM(args.model, threads=args.threads, max_batch=BATCH, max_context=args.cut + 256, speculate=False) as llm:
        for candidate in candidates:
            rows.append(measured(llm, candidate, args.cut))
            if not args.json:
                show(rows[-1])
    command = "python benchmarks/answers.py " + " ".join(sys.argv[1:])
    print(json.dumps({"command": command.rstrip(), "model": args.model, "cut": args.cut, "candidates": rows}))


if __name__ == "__main__":
    main()
