"""A mixed load on any OpenAI-compatible server: prompts of many lengths that come as they please, half with a beginning
that others share.

    python benchmarks/mixed_load.py --url http://127.0.0.1:8000 --rate 1.5 [--seconds 120] [--seed 0] [--model NAME]
    python benchmarks/mixed_load.py --url http://127.0.0.1:8000 --together 32 [--requests 96]

With `--rate` requests arrive as a Poisson process of so many per second, whatever becomes of those before; with
`--together` so many are always under way, and what comes out is the rate at which the server is saturated. The seed
decides times, texts and lengths, so that every server is asked the same. Prompts are texts of common words, about
`--prompt` tokens; the first half of every other one is the beginning of one of four texts. Answers have `--new` tokens:
ends of the model are ignored, and the likeliest token is taken.

Times are from when a request was due, not from when this client got around to sending it. `speed` counts the tokens of
answers that came within the time of the load (without what was still under way at its end), as the server accounts for
them. One JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from dataclasses import dataclass

import uvloop
from streams import Answer, Place, ask, request, spread

WORDS = (
    "the of and to in is that for it as was with be by on not he his but at are this have from or had an they which one"
    " you were her all she there would their we him been has when who will more no if out so said what up its about"
    " into than them can only other new some could time these two may then do first any my now such like our over man"
    " me even most made after also did many before must through back years where much your way well down should because"
    " each those people how too little state good very make world still own see men work long get here between both"
    " life being under never day same another know while last might us great old year off come since against go came"
    " right used take three house use place found water light small large river city night morning winter summer"
).split()  # most of them are one token with the space before them, in most vocabularies
SHARED = 4
Lengths = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request and when it is due, in seconds from the beginning."""

    at_s: float
    prompt: str
    new: int


def load(seed: int, prompt: Lengths, new: Lengths, rate: float, seconds: float, most: int) -> list[Asked]:
    """The requests; without a rate `most` of them, all due at once. Ends the program if there is none."""
    chance = random.Random(seed)
    openings = [chance.choices(WORDS, k=prompt[1]) for _ in range(SHARED)]
    found: list[Asked] = []
    at_s = 0.0
    while len(found) < most:
        at_s += chance.expovariate(rate) if rate else 0.0
        if at_s > seconds:
            break
        length = chance.randint(*prompt)
        begin = chance.choice(openings)[: length // 2] if len(found) % 2 else []
        text = begin + chance.choices(WORDS, k=length - len(begin))
        found.append(Asked(at_s, " ".join(text), chance.randint(*new)))
    if not found:
        sys.exit(f"No request comes within {seconds:g} s at {rate:g} a second. Name more --seconds.")
    return found


class Client:
    """Sends a load and keeps what became of it."""

    def __init__(self, given: argparse.Namespace) -> None:
        self._place, self._model, self._extra = Place.of(given.url), given.model, json.loads(given.extra)
        self.began_s = 0.0
        self.late_s: list[float] = []
        self.answers: list[Answer] = []

    def _sent(self, asked: Asked) -> bytes:
        body = {"model": self._model, "prompt": asked.prompt, "max_tokens": asked.new, "temperature": 0}
        return request(self._place, {**body, "ignore_eos": True, **self._extra})

    async def one(self, asked: Asked, sent: bytes, due_s: float) -> None:
        """One request, to its end."""
        try:
            reader, answer = await ask(self._place, sent)
            reader.read(answer)
        except (OSError, TimeoutError) as error:
            answer = Answer(due_s, failure=f"{type(error).__name__}: {error}")
        self.late_s.append(answer.sent_s - due_s)
        answer.sent_s = due_s
        self.answers.append(answer)

    async def arrivals(self, asked: list[Asked]) -> None:
        """Each when it is due."""
        ready = [self._sent(one) for one in asked]
        self.began_s = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for one, sent in zip(asked, ready, strict=True):
                due_s = self.began_s + one.at_s
                await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
                group.create_task(self.one(one, sent, due_s))

    async def together(self, asked: list[Asked], count: int) -> None:
        """So many at a time."""
        ready = [(one, self._sent(one)) for one in reversed(asked)]
        self.began_s = time.perf_counter()

        async def worker() -> None:
            while ready:
                one, sent = ready.pop()
                await self.one(one, sent, time.perf_counter())

        await asyncio.gather(*(worker() for _ in range(count)))


def told(client: Client, seconds: float) -> dict[str, object]:
    """The figures; `seconds`: of the load, 0 for all of it."""
    well = [answer for answer in client.answers if not answer.failure]
    took_s = max((answer.ended_s for answer in client.answers), default=client.began_s) - client.began_s
    window_s = min(took_s, seconds) if seconds else took_s
    end_s = client.began_s + window_s
    tokens = sum(_within(answer, end_s) for answer in well)
    failures = sorted({answer.failure for answer in client.answers if answer.failure})
    return {
        "requests": len(client.answers),
        "failed": len(client.answers) - len(well),
        "failures": failures[:3],
        "took_s": round(took_s, 2),
        "requests_per_second": round(sum(answer.ended_s <= end_s for answer in well) / window_s, 3),
        "speed": round(tokens / window_s, 1),
        "prompt_tokens": sum(answer.prompt_tokens for answer in well),
        "cached_tokens": sum(answer.cached_tokens for answer in well),
        "completion_tokens": sum(answer.completion_tokens for answer in well),
        "ttft_s": spread([answer.first_s for answer in well]),
        "between_s": spread([gap for answer in well for gap in answer.between_s]),
        "late_s": spread(client.late_s),
    }


def _within(answer: Answer, end_s: float) -> float:
    """Tokens that had come by then; a server may say several in one event."""
    each = answer.completion_tokens / len(answer.said_s)
    return each * sum(at <= end_s for at in answer.said_s)


def main() -> None:
    """Send and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="without /v1")
    parser.add_argument("--model", default="smollm2-135m")
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--rate", type=float, default=0.0, help="requests per second")
    kind.add_argument("--together", type=int, default=0, help="requests that are always under way")
    parser.add_argument("--seconds", type=float, default=120.0, help="of arrivals")
    parser.add_argument("--requests", type=int, default=96, help="with --together: how many")
    parser.add_argument("--prompt", type=int, nargs=2, default=(200, 2000), metavar=("LEAST", "MOST"))
    parser.add_argument("--new", type=int, nargs=2, default=(32, 224), metavar=("LEAST", "MOST"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--extra", default="{}", help="further members of a request, as JSON")
    given = parser.parse_args()
    most = given.requests if given.together else 1 << 30
    asked = load(given.seed, tuple(given.prompt), tuple(given.new), given.rate, given.seconds, most)
    client = Client(given)
    uvloop.run(client.together(asked, given.together) if given.together else client.arrivals(asked))
    how = {"rate": given.rate, "seconds": given.seconds} if given.rate else {"together": given.together}
    line = {"url": given.url, "seed": given.seed, **how, **told(client, given.seconds if given.rate else 0.0)}
    print(json.dumps(line))


if __name__ == "__main__":
    main()
