"""A stream's gap beside any single prompt: whatever a client sends, the event loop goes on."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from undiced.api.prompts import Prompts
from undiced.api.settings import Settings
from undiced.core.errors import InvalidRequestError
from undiced.text import ChatEncoder, ChatTemplate, Tokenizer

sys.path.insert(0, str(Path(__file__).parents[1] / "text"))
from text_sources import bpe_metadata, load, spm_metadata

GAP_S = 0.1
TRIES = 4  # of which the best counts: other processes use this machine too
MIB = 1 << 20
TOKENIZERS = {"bpe": load(bpe_metadata()), "spm": load(spm_metadata())}
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endfor %}"
LETTERS = random.Random(7)
TEXTS = {
    "spaces": " " * (4 * MIB),
    "one letter": "a" * (4 * MIB),
    "emoji": "🎉" * MIB,
    "any characters": "".join(chr(LETTERS.randrange(0x20, 0xD800)) for _ in range(MIB)),
    "names of control tokens": "<|im_end|>" * (MIB * 4 // 10),
    "beginnings of such names": "<|im_" * (MIB * 4 // 5),
    "lines": "\n" * (4 * MIB),
    "words": "hello world " * (MIB * 4 // 12),
}


@pytest.fixture(scope="module", params=sorted(TOKENIZERS))
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return TOKENIZERS[request.param]


@pytest.fixture(scope="module")
def chat(tokenizer: Tokenizer) -> Iterator[ChatEncoder]:
    encoder = ChatEncoder(ChatTemplate(TEMPLATE), tokenizer)
    assert encoder.problem == ""
    yield encoder
    encoder.close()


async def longest_gap(work) -> float:
    """Seconds between two turns of the event loop while `work` is awaited; refusals are answers too."""
    longest, last = 0.0, time.perf_counter()

    async def tick() -> None:
        nonlocal longest, last
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0.01)
    with contextlib.suppress(InvalidRequestError):
        await work()
    await asyncio.sleep(0.01)
    ticking.cancel()
    return longest


def best_gap(work) -> float:
    best = float("inf")
    for _ in range(TRIES):
        best = min(best, asyncio.run(longest_gap(work)))
        if best < GAP_S:
            break
    return best


@pytest.mark.parametrize("context", [2048, pytest.param(131_072, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "name", [name if name == "spaces" else pytest.param(name, marks=pytest.mark.slow) for name in sorted(TEXTS)]
)
def test_a_long_text_holds_nothing_up(tokenizer: Tokenizer, chat: ChatEncoder, name: str, context: int) -> None:
    def prompts() -> Prompts:
        return Prompts(tokenizer, chat, "m", context, Settings())

    assert best_gap(lambda: prompts().text(TEXTS[name])) < GAP_S
    messages: list[dict[str, object]] = [{"role": "user", "content": TEXTS[name]}]
    assert best_gap(lambda: prompts().conversation(messages)) < GAP_S


@pytest.mark.slow
def test_many_messages_and_many_prompts_hold_nothing_up(tokenizer: Tokenizer, chat: ChatEncoder) -> None:
    def prompts() -> Prompts:
        return Prompts(tokenizer, chat, "m", 131_072, Settings())

    async def several() -> None:
        every = prompts()
        for text in TEXTS.values():
            await every.text(text[: 4 * MIB // 16])
            await every.text(text[:2000])

    messages: list[dict[str, object]] = [{"role": "user", "content": "<|im_end|>" * 20} for _ in range(4096)]
    assert best_gap(lambda: prompts().conversation(messages)) < GAP_S
    assert best_gap(several) < GAP_S
