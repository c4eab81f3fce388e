"""What it costs to hold answers to a form: a row, a neighbor, an answer, a first token. One JSON line per measurement.

    python benchmarks/structured.py [--model NAME] [--rounds N]

All sides of a ratio run in alternation in one process; ratios are medians over the rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import numpy as np

from undiced import LLM, SamplingParams
from undiced.grammar import schema_form
from undiced.grammars import grammars_of
from undiced.params import StructuredOutputsParams

ADDRESS = {
    "type": "object",
    "properties": {
        "first_name": {"type": "string", "maxLength": 20},
        "last_name": {"type": "string", "maxLength": 20},
        "street_address": {"type": "string", "maxLength": 30},
        "postal_code": {"type": "string", "pattern": "^[0-9]{5}$"},
        "city": {"type": "string", "maxLength": 20},
        "is_business": {"type": "boolean"},
        "residents": {"type": "integer", "minimum": 1, "maximum": 20},
    },
    "required": ["first_name", "last_name", "street_address", "postal_code", "city", "is_business", "residents"],
    "additionalProperties": False,
}
QUESTION = "Give the address of a person in Berlin as a JSON object."
LONG = SamplingParams(temperature=0.0, max_tokens=96, ignore_eos=True)


def large(salt: int) -> dict[str, object]:
    """A schema of about 4 KB that nobody has seen."""
    field = {"type": "object", "properties": {"note": {"type": "string"}, "rank": {"enum": ["low", "high"]}}}
    properties = {f"field_{salt}_{at}": field for at in range(36)}
    return {"type": "object", "properties": properties, "required": list(properties)[:4]}


def rows(llm: LLM) -> dict[str, float]:
    """Microseconds of mask, advance and forced tokens for each token that is drawn, over a document of the model's."""
    text = llm.chat(QUESTION, SamplingParams(temperature=0.0, max_tokens=200), schema=ADDRESS)[0].outputs[0].text
    grammars = grammars_of(llm.tokenizer, llm.config.vocab)
    grammar = schema_form(ADDRESS, strict=True, place="schema").grammar
    mask = np.zeros(-(-llm.config.vocab // 32), np.int32)
    spent: list[float] = []
    drawn = forced = 0
    for _ in range(20):
        matcher, said = grammars.matcher(grammar), ""
        while True:
            more = matcher.forced()
            matcher.accept(more)
            forced += len(more)
            said += llm.tokenizer.decode(more, continuation=True)
            if matcher.finished:
                break
            [token, *_] = llm.tokenizer.encode(text[len(said) :], continuation=True)
            said += llm.tokenizer.decode([token], continuation=True)
            started = time.perf_counter()
            matcher.fill(mask)
            matcher.accept([token])
            matcher.forced()
            spent.append((time.perf_counter() - started) * 1e6)
            drawn += 1
    spent.sort()
    return {"median_us": spent[len(spent) // 2], "p99_us": spent[int(len(spent) * 0.99)], "max_us": spent[-1],
            "forced_share": forced / (forced + drawn)}  # fmt: skip


def answer(llm: LLM) -> tuple[float, int]:
    """Seconds of an answer of the form, over those of as many tokens without; and their number."""
    started = time.perf_counter()
    held = llm.chat(QUESTION, SamplingParams(temperature=0.0, max_tokens=200), schema=ADDRESS)[0].outputs[0]
    middle = time.perf_counter()
    free = SamplingParams(temperature=0.0, max_tokens=len(held.token_ids), ignore_eos=True)
    llm.chat(QUESTION, free)
    return (middle - started) / (time.perf_counter() - middle), len(held.token_ids)


LIST = StructuredOutputsParams(json={"type": "array", "items": ADDRESS, "minItems": 9})
DEAR = StructuredOutputsParams(regex="([a-z]{1,40}[, ]){1,200}")  # a mask of it takes tens of times as long


def neighbor(llm: LLM, form: StructuredOutputsParams | None) -> float:
    """Tokens per second of a free stream beside seven longer ones that are held to a form, or not."""
    other = SamplingParams(temperature=0.0, max_tokens=300, ignore_eos=form is None, structured_outputs=form)
    outputs = llm.chat([QUESTION] * 8, [LONG, *[other] * 7])
    usage = outputs[0].outputs[0].usage
    assert usage is not None
    return (usage.completion_tokens - 1) / usage.completion_s


def first_token(llm: LLM, schema: dict[str, object] | None) -> float:
    """Milliseconds to the first token."""
    params = SamplingParams(
        temperature=0.0, max_tokens=2, structured_outputs=schema and StructuredOutputsParams(json=schema)
    )
    started = time.perf_counter()
    next(iter(llm.stream([{"role": "user", "content": QUESTION}], params)))
    return (time.perf_counter() - started) * 1e3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    with LLM(given.model, speculate=False) as llm:
        tell("row", **rows(llm))
        ratios = [answer(llm) for _ in range(given.rounds)]
        tell("answer", time_over_free=statistics.median(ratio for ratio, _ in ratios), tokens=ratios[0][1])
        sides = [tuple(neighbor(llm, form) for form in (None, LIST, DEAR)) for _ in range(given.rounds)]
        tell("neighbor", speed_over_free=statistics.median(held / free for free, held, _ in sides),
             beside_dear_forms=statistics.median(dear / free for free, _, dear in sides),
             tokens_per_second=statistics.median(free for free, _, _ in sides))  # fmt: skip
        firsts = [(first_token(llm, None), first_token(llm, ADDRESS), first_token(llm, large(at)))
                  for at in range(given.rounds)]  # fmt: skip
        tell("first token", schema_chars=len(json.dumps(large(0))),
             known_ms_more=statistics.median(known - free for free, known, _ in firsts),
             new_ms_more=statistics.median(new - free for free, _, new in firsts))  # fmt: skip


def tell(what: str, **figures: float) -> None:
    """One line."""
    print(json.dumps({"measured": what} | {name: round(value, 4) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
