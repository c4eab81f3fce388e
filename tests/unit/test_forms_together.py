"""Calls, documents and free texts of the packaged model on one engine: each says what it says alone, whether it is
preempted, finds its prompt in the cache, is one of several answers to it, or is cut by a stop string.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator

import pytest
from msgspec.structs import replace
from support.schemas import assert_valid
from support.transcripts import TOOLS, Marked

from undiced import LLM, SamplingParams
from undiced.api.guides import held_form
from undiced.api.tools import Toolbox
from undiced.grammar import regex_form, schema_form
from undiced.grammars import grammars_of
from undiced.params import StructuredOutputsParams
from undiced.serve import Request, Sampling
from undiced.serve.guide import Guide
from undiced.serve.loop import EngineLoop
from undiced.serve.scheduler import Scheduler
from undiced.text.formats import TapeOptions, dialect_of

pytestmark = [pytest.mark.model, pytest.mark.slow]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}, "born": {"type": "string", "format": "date"}},
    "required": ["city", "born"],
    "additionalProperties": False,
}
ALL = tuple(TOOLS.values())
DIALECT = dialect_of("", Marked(), tools="hermes")
QUESTION = "What is the weather in Paris? " * 6
MOST = 60


@pytest.fixture(scope="module")
def llm() -> Iterator[LLM]:
    with LLM(max_batch=12, max_context=512) as made:
        yield made


@pytest.fixture(scope="module")
def requests(llm: LLM) -> list[Request]:
    """Two answers each to a question that must be answered by calls, by one call or text, by a document, by an
    expression, and freely.
    """
    strict = tuple(dataclasses.replace(tool, strict=True) for tool in ALL)
    forced, free = (
        held_form(Toolbox(tools, tools, must), DIALECT, None) for tools, must in ((ALL, True), (strict, False))
    )
    assert forced is not None and free is not None
    document = schema_form(SCHEMA, strict=True, place="x")
    kinds = {"calls": forced, "call": free, "document": document, "expression": regex_form("[A-Z][a-z ]{20,80}", "x")}
    ids = tuple(llm.tokenizer.encode(QUESTION))
    ends = tuple(llm.tokenizer.eos_ids)
    guides = {name: Guide(form.grammar) for name, form in kinds.items()}
    asked = [
        Request(name, ids, MOST, Sampling(temperature=1.0, seed=at), eos_ids=ends, guide=guides.get(name))
        for at, name in enumerate((*kinds, "free"))
    ]
    return [copy for one in asked for copy in one.copies(2)]


def run(llm: LLM, batches: Iterable[list[Request]], pages: int = 0) -> tuple[dict[str, tuple[int, ...]], EngineLoop]:
    """The tokens of each request, and the loop, on which batches run one after another. pages: that it has."""
    backend = llm._engine.backend
    limits = replace(backend.limits, pages=pages or backend.limits.pages)
    loop = EngineLoop(backend, Scheduler(limits), grammars=grammars_of(llm.tokenizer, limits.vocab))
    found: dict[str, list[int]] = {}
    for batch in batches:
        for deltas in loop.run(batch):
            for delta in deltas:
                assert not delta.error
                found.setdefault(delta.request_id, []).extend(delta.tokens)
    loop.check()
    return {name: tuple(tokens) for name, tokens in found.items()}, loop


@pytest.fixture(scope="module")
def alone(llm: LLM, requests: list[Request]) -> dict[str, tuple[int, ...]]:
    return {one.id: run(llm, [[one]])[0][one.id] for one in requests}


def test_alone_each_answer_is_of_its_form(llm: LLM, alone: dict[str, tuple[int, ...]]) -> None:
    said = {name: llm.tokenizer.decode(tokens, continuation=True) for name, tokens in alone.items()}
    make = DIALECT.channels(TOOLS, TapeOptions())
    assert make is not None
    for name in ("calls.0", "calls.1"):
        reader = make()
        runs = [*reader.push(0, said[name]), *reader.flush("")]
        calls = [one for one in runs if one.name]
        assert calls and all(one.name in TOOLS for one in calls), said[name]
        assert not any(one.text.strip() for one in runs if one.channel == "content")
    for name in ("document.0", "document.1"):
        assert_valid(said[name].removesuffix("<|im_end|>"), SCHEMA)
    assert len(set(said.values())) == len(said), "every one is another"


def test_side_by_side_each_says_what_it_says_alone(
    llm: LLM, requests: list[Request], alone: dict[str, tuple[int, ...]]
) -> None:
    together, loop = run(llm, [requests])
    assert together == alone
    assert loop.stats().preemptions == 0 and loop.scheduler._figures.cached_tokens > 0, "n answers share their prompt"


def test_preempted_each_says_what_it_says_alone(
    llm: LLM, requests: list[Request], alone: dict[str, tuple[int, ...]]
) -> None:
    together, loop = run(llm, [requests], pages=5)
    assert loop.stats().preemptions > 0
    assert together == alone


def test_with_its_prompt_in_the_cache_each_says_what_it_says_alone(
    llm: LLM, requests: list[Request], alone: dict[str, tuple[int, ...]]
) -> None:
    first, later = requests[:1], [replace(one, id=f"later {one.id}") for one in requests]
    found, loop = run(llm, [first, later])
    assert loop.scheduler._figures.cached_tokens >= len(later) * loop.limits.page_tokens
    assert {name.removeprefix("later "): tokens for name, tokens in found.items()} == alone


def test_a_stop_string_cuts_every_one_of_several_documents_where_it_stands(llm: LLM) -> None:
    form = StructuredOutputsParams(json=SCHEMA)
    params = SamplingParams(temperature=1.0, seed=5, n=3, max_tokens=MOST, structured_outputs=form)
    whole, cut = (
        [one.text for one in llm.chat([[{"role": "user", "content": QUESTION}]], given)[0].outputs]
        for given in (params, replace(params, stop='", "born'))
    )
    for document, begun in zip(whole, cut, strict=True):
        assert begun == document[: document.index('", "born')] and json.loads(begun + '"}')["city"] is not None
