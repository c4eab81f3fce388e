"""Requests on the ledger, through the application: whatever they are and however they end, each has one row that says
what its answer says, and nothing of it stays reserved.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from scripted import Caller, Reply, build_caller
from starlette.responses import Response
from support.databases import OPERATOR, PEPPER, pepper, sqlite_template  # noqa: F401
from support.ledgers import RATES, Books

from undiced.account.accounts import Accounts, ledger_folder
from undiced.account.keyring import Caller as Holder
from undiced.account.ledger import Ledger
from undiced.account.ledger_records import Work
from undiced.account.scopes import INFERENCE_SCOPES
from undiced.api.app import WAYS, build_app
from undiced.api.chunks import Chunks
from undiced.api.meter import Bill, Counts, Meter, open_meter
from undiced.core.errors import EngineError, QueueFullError

CHAT, TEXT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"
HI = [{"role": "user", "content": "hi"}]


@dataclass
class Metered:
    """A server behind keys with a ledger, in one event loop."""

    caller: Caller
    books: Books
    meter: Meter

    async def post(self, path: str, **body: object) -> Reply:
        options = {name: body.pop(name) for name in ("leave_after", "turns_per_write") if name in body}
        return await self.caller.call("POST", path, {"model": "m", **body}, **options)  # type: ignore[arg-type]

    def rows(self) -> list[dict[str, object]]:
        return sorted(self.books.rows().values(), key=lambda row: str(row["created_ms"]))

    def row(self) -> dict[str, object]:
        (row,) = self.books.rows().values()
        return row

    async def ended(self) -> None:
        """Wait until every row is closed."""
        for _ in range(1000):
            if all(row["state"] != "open" for row in self.rows()):
                return
            await asyncio.sleep(0.01)
        raise AssertionError(self.rows())

    def see_that_nothing_stays(self) -> None:
        self.books.see_that_it_adds_up()
        progress = self.meter._progress
        assert sorted(progress._free) == list(range(progress._next))
        assert not any(progress._counts)
        balance = self.books.balance()
        assert balance is None or balance[1] == 0
        assert all(self.books.levels()[key][0] == 0 for key in self.books.levels() if key[1] == "concurrency")


@dataclass
class Door:
    """Lets everybody in as one key's holder."""

    books: Books
    asks: bool = True
    parts: bool = True
    entered: list[object] = field(default_factory=list)

    async def admit(self, headers: object) -> Holder:
        one = self.books
        return Holder(one.key, "inference", one.org, "acme", one.project, None, frozenset(INFERENCE_SCOPES), None, None)


@contextmanager
def books_in(template: object, place: object) -> Iterator[Books]:
    accounts = Accounts(str(shutil.copy(template, place / "accounts.db")))  # type: ignore[operator, arg-type]
    try:
        yield Books.open(accounts)
    finally:
        accounts.close()


@pytest.fixture
def books(sqlite_template, tmp_path, pepper) -> Iterator[Books]:  # noqa: F811
    with books_in(sqlite_template, tmp_path) as made:
        made.clock.stop()
        yield made


@pytest.fixture
def serve(books: Books) -> Callable[..., None]:
    """Runs a test's steps against a server whose engine is scripted so."""

    def serving(steps: Callable[[Metered], object], **script: object) -> None:
        async def run() -> None:
            caller = build_caller(**script)  # type: ignore[arg-type]
            meter = await asyncio.to_thread(open_meter, books.accounts, books.accounts.instances.start().id)
            caller.service.meter = meter
            caller.app = build_app(caller.service, Door(books))
            made = Metered(caller, books, meter)
            try:
                await steps(made)  # type: ignore[misc]
                await made.ended()
                made.see_that_nothing_stays()
            finally:
                await asyncio.to_thread(meter.close)
            assert not list(ledger_folder(books.accounts.database).glob("*"))

        asyncio.run(run())

    return serving


def limits(books: Books, **capacities: int | None) -> None:
    books.accounts.limits.set(OPERATOR, books.org, capacities)


KINDS: tuple[tuple[str, dict[str, object]], ...] = (
    (CHAT, {"messages": HI, "max_tokens": 9}),
    (CHAT, {"messages": HI, "max_tokens": 9, "stream": True, "stream_options": {"include_usage": True}}),
    (CHAT, {"messages": HI, "n": 3, "max_tokens": 9}),
    (CHAT, {"messages": HI, "n": 3, "max_tokens": 9, "stream": True, "stream_options": {"include_usage": True}}),
    (CHAT, {"messages": HI, "stop": ["the"]}),
    (TEXT, {"prompt": ["hi", "you there"], "max_tokens": 7}),
    (
        TEXT,
        {"prompt": ["hi", "you"], "n": 2, "max_tokens": 7, "stream": True, "stream_options": {"include_usage": True}},
    ),
    (TEXT, {"prompt": "hi", "max_tokens": 9, "echo": True, "logprobs": 1}),
    (RESPONSES, {"input": "hi", "max_output_tokens": 16}),
    (RESPONSES, {"input": "hi", "max_output_tokens": 16, "stream": True}),
    (MESSAGES, {"messages": HI, "max_tokens": 9}),
    (MESSAGES, {"messages": HI, "max_tokens": 9, "stream": True}),
    ("/v1/embeddings", {"input": ["hi", "there"]}),
)


def usage_of(reply: Reply) -> tuple[int, int]:
    """Tokens of prompt and answer, as the answer says, in whichever format."""
    if reply.headers["content-type"].startswith("application/json"):
        told = reply.json["usage"]
    else:
        events = [json.loads(line[6:]) for line in reply.body.decode().splitlines() if line.startswith("data: {")]
        found = [event.get("response", event.get("message", event)).get("usage") for event in events]
        told = {}
        for usage in found:
            told |= usage or {}
    prompt = told.get("prompt_tokens", told.get("input_tokens", 0)) + told.get("cache_read_input_tokens", 0)
    return prompt, told.get("completion_tokens", told.get("output_tokens", 0))


@pytest.mark.parametrize(("path", "body"), KINDS, ids=[f"{path[4:]}-{at}" for at, (path, _) in enumerate(KINDS)])
def test_a_row_says_what_the_answer_says(books: Books, serve, path: str, body: dict[str, object]) -> None:
    limits(books, tpm=100_000, utpm=100_000, rpm=100, concurrency=5)
    books.accounts.credits.add(OPERATOR, books.org, 10**9)
    books.accounts.prices.set(OPERATOR, "m", RATES)

    async def steps(server: Metered) -> None:
        reply = await server.post(path, **body)
        assert reply.status == 200, reply.body
        await server.ended()
        row = server.row()
        assert (row["prompt_tokens"], row["completion_tokens"]) == usage_of(reply)
        assert row["state"] == "settled"
        counts = (int(str(row[name])) for name in ("prompt_tokens", "cached_tokens", "completion_tokens"))
        assert row["charge"] == RATES.charge(*counts) > 0
        assert reply.headers["x-ratelimit-remaining-requests-minute"] == "99"

    serve(steps)


def test_requests_of_all_kinds_that_end_in_all_ways_leave_nothing_behind(books: Books, serve) -> None:
    limits(books, tpm=10_000_000, concurrency=1000)
    books.accounts.credits.add(OPERATOR, books.org, 10**12)
    books.accounts.prices.set(OPERATOR, "m", RATES)

    async def steps(server: Metered) -> None:
        ways: list[dict[str, object]] = [{}, {"leave_after": 0}, {"leave_after": 1}, {"turns_per_write": 3}]
        await asyncio.gather(*(server.post(path, **body, **way) for path, body in KINDS for way in ways))
        await server.ended()
        rows = server.rows()
        assert len(rows) <= len(KINDS) * len(ways)
        assert {row["state"] for row in rows} <= {"settled", "released"}

    serve(steps)


@pytest.mark.parametrize("stream", [False, True])
def test_an_engine_that_fails_before_a_token_costs_nothing(books: Books, serve, stream: bool) -> None:
    limits(books, rpm=5, tpm=5000)

    async def steps(server: Metered) -> None:
        assert (await server.post(CHAT, messages=HI, stream=stream)).status == 500
        await server.ended()
        assert (server.row()["state"], server.row()["charge"]) == ("released", 0)

    serve(steps, error=EngineError("It broke."), fail_at=0)
    assert all(
        level == 5 * 60_000 * (1 if key[1] == "requests" else 1000) for key, (level, _) in books.levels().items()
    )


def test_a_stream_that_breaks_counts_what_its_client_got_and_a_whole_answer_that_breaks_nothing(
    books: Books, serve
) -> None:
    async def steps(server: Metered) -> None:
        reply = await server.post(CHAT, messages=HI, stream=True)
        assert b'"error"' in reply.body
        await server.post(CHAT, messages=HI)
        await server.ended()
        first, second = server.rows()
        assert (first["state"], first["completion_tokens"], first["finish_reason"]) == ("settled", 5, "error")
        assert (second["state"], second["completion_tokens"]) == ("released", 0)

    serve(steps, error=EngineError("It broke."), fail_at=5)


def test_a_whole_answer_that_can_not_be_written_costs_nothing(
    books: Books, serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bytes:
        raise ZeroDivisionError("a bug")

    async def steps(server: Metered) -> None:
        monkeypatch.setattr(Chunks, "whole", broken)
        assert (await server.post(CHAT, messages=HI)).status == 500
        await server.ended()
        row = server.row()
        assert (row["state"], row["finish_reason"], row["charge"]) == ("released", "error", 0)

    serve(steps)


@pytest.mark.parametrize("kind", [0, 4, 5, 8, 10, 12])
def test_a_whole_answer_is_settled_once_it_was_sent(
    books: Books, serve, monkeypatch: pytest.MonkeyPatch, kind: int
) -> None:
    """Else a server that dies in between has charged for what nobody got, and its client asks again."""
    events: list[str] = []
    send, tell, settle = Response.__call__, Bill.told, Bill.settle

    async def sent(response: Response, *given: object) -> None:
        await send(response, *given)  # type: ignore[arg-type]
        await asyncio.sleep(0.01)  # for whatever is done in the next turns
        events.append("sent")

    def told(bill: Bill, tokens: int) -> None:
        events.append("told")
        tell(bill, tokens)

    def settled(bill: Bill, counts: Counts, reason: str) -> None:
        events.append("settled")
        settle(bill, counts, reason)

    async def steps(server: Metered) -> None:
        path, body = KINDS[kind]
        assert (await server.post(path, **body)).status == 200
        await server.ended()
        assert [*events[:1], *events[-1:]] == ["sent", "settled"], events

    monkeypatch.setattr(Response, "__call__", sent)
    monkeypatch.setattr(Bill, "told", told)
    monkeypatch.setattr(Bill, "settle", settled)
    serve(steps)


def test_who_leaves_a_stream_pays_for_what_was_sent(books: Books, serve) -> None:
    books.accounts.prices.set(OPERATOR, "m", RATES)

    async def steps(server: Metered) -> None:
        await server.post(CHAT, messages=HI, stream=True, max_tokens=500, turns_per_write=3, leave_after=7)
        await server.ended()
        row = server.row()
        assert (row["state"], row["finish_reason"]) == ("settled", "cancelled")
        assert 5 <= row["completion_tokens"] < 50  # type: ignore[operator]
        counts = (int(str(row[name])) for name in ("prompt_tokens", "cached_tokens", "completion_tokens"))
        assert row["charge"] == RATES.charge(*counts) > 0

    serve(steps, text="word " * 100)


def test_of_many_streams_at_once_only_those_begin_that_a_limit_has_room_for(books: Books, serve) -> None:
    """Their tokens are taken before they begin, and not only known when they have ended."""
    ask = {"messages": HI, "max_tokens": 9, "stream": True}

    async def steps(server: Metered) -> None:
        await server.post(CHAT, **ask)
        await server.ended()
        used = int(str(server.row()["prompt_tokens"])) + 9
        limits(books, tpd=5 * used)
        replies = await asyncio.gather(*(server.post(CHAT, **ask) for _ in range(30)))
        assert sorted(reply.status for reply in replies) == [200] * 5 + [429] * 25

    serve(steps)


def test_no_way_that_computes_is_free() -> None:
    computing = {path for path, _ in KINDS}
    free = {way.path for way in WAYS if "POST" in (way.methods or ())} - computing
    counting = ("/input_tokens", "/count_tokens", "/tokenize", "/detokenize")
    assert all(path.endswith((*counting, "/control")) for path in free), free
    assert {way.path for way in WAYS if way.needs in ("inference", "embeddings")} == computing | {f"{CHAT}/control"}


def test_a_request_that_the_engines_queue_refuses_costs_nothing(books: Books, serve) -> None:
    limits(books, rpm=1)

    async def steps(server: Metered) -> None:
        reply = await server.post(CHAT, messages=HI)
        assert (reply.status, reply.json["error"]["code"]) == (429, "queue_exceeded")
        await server.ended()
        assert (await server.post(CHAT, messages=HI)).json["error"]["code"] == "queue_exceeded"

    serve(steps, error=QueueFullError("Full.", retry_after_s=1))


def test_a_limit_is_told_in_the_body_and_in_headers(books: Books, serve) -> None:
    limits(books, rpm=1)

    async def steps(server: Metered) -> None:
        assert (await server.post(CHAT, messages=HI, max_tokens=2)).status == 200
        reply = await server.post(CHAT, messages=HI, max_tokens=2)
        assert (reply.status, reply.json["error"]["code"]) == (429, "request_quota_exceeded")
        told = reply.json["error"]["limit"]
        assert (told["scope"], told["metric"], told["window_s"], told["capacity"]) == (
            "organization",
            "requests",
            60,
            1,
        )
        assert 0 < int(reply.headers["retry-after-ms"]) <= 60_000
        assert reply.headers["x-ratelimit-remaining-requests"] == "0"

    serve(steps)


def test_nothing_is_counted_where_nothing_is_generated(books: Books, serve) -> None:
    limits(books, rpm=6)

    async def steps(server: Metered) -> None:
        for _ in range(3):
            assert (await server.post("/v1/tokenize", prompt="hi")).status == 200
            assert (await server.post("/v1/messages/count_tokens", messages=HI)).status == 200
        assert (await server.post(CHAT, messages=HI, temperature=9)).status == 400
        assert server.rows() == []

    serve(steps)


def test_a_client_that_leaves_while_it_waits_for_admission_leaves_no_row_open_and_no_slot_twice(
    books: Books, serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, run = threading.Event(), Ledger.run
    slots: list[int | None] = []

    def slow(ledger: Ledger, works: list[Work]) -> object:
        answers = run(ledger, works)
        held.wait(10)  # the row is there, and nobody knows it yet
        return answers

    async def steps(server: Metered) -> None:
        monkeypatch.setattr(Ledger, "run", slow)
        asking = asyncio.create_task(server.post(CHAT, messages=HI))
        while not server.rows():
            await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.wait([asking])
        slots.extend((server.row()["slot"], server.meter._progress.take()))  # type: ignore[arg-type]
        assert server.row()["state"] == "open"
        held.set()
        await server.ended()
        assert server.row()["state"] == "released"
        assert slots[1] is not None
        server.meter._progress.give(slots[1])
        for _ in range(200):
            if len(server.meter._progress._free) == server.meter._progress._next:
                break
            await asyncio.sleep(0.01)

    serve(steps)
    assert slots[0] != slots[1]
