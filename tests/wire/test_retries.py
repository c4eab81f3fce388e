"""The official clients with the retries that they come with, while the engine or the whole server is killed in the
middle of an answer: what they get is charged once, and what they don't get is not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import cerebras.cloud.sdk as cerebras
import httpx
import openai
import pytest
from houses import House, house, see_that_the_bucket_is_right
from support.databases import PEPPER
from support.forked import forks
from support.ledgers import RATES
from support.relay import Relay, relay

pytestmark = pytest.mark.wire
CONTEXT, LONG, LONGER = 8192, 1200, 8000  # tokens
ASK: dict[str, Any] = {
    "model": "tiny",
    "messages": [{"role": "user", "content": "hi"}],
    "max_tokens": LONG,
    "temperature": 0.0,
    "extra_body": {"min_tokens": LONG},
}
TOLD = {"include_usage": True, "continuous_usage_stats": True}
BROKEN = (openai.APIError, cerebras.APIError, httpx.HTTPError)
Client = openai.OpenAI | cerebras.Cerebras
Row = dict[str, object]


@dataclass
class Place:
    """A house behind an address that stays."""

    home: House
    door: Relay
    seen: set[str] = field(default_factory=set)

    def lose_engine(self) -> None:
        if not self.home.kill_engine():
            raise AssertionError("there is no engine to kill")

    def lose_server(self) -> None:
        self.door.lead_to(None)
        self.home.kill()
        self.door.lead_to(self.home.serve())

    def new(self) -> dict[str, Row]:
        """Requests since the last call of `ended`."""
        return {name: row for name, row in self.home.books.rows().items() if name not in self.seen}

    def ended(self) -> list[Row]:
        """Requests since the last call, the oldest first, when all have ended."""
        until(lambda: all(row["state"] != "open" for row in self.new().values()))
        rows = self.new()
        self.seen |= rows.keys()
        self.home.books.see_that_it_adds_up()
        see_that_the_bucket_is_right(self.home.books)
        return sorted(rows.values(), key=lambda row: str(row["created_ms"]))


def until(happens: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not happens():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.005)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("house")
    with pytest.MonkeyPatch.context() as patch, forks() as forked, relay() as door:
        patch.setenv("UNDICED_PEPPER", PEPPER)
        with house(str(folder / "accounts.db"), folder, forked, CONTEXT) as home:
            door.lead_to(home.serve())
            yield Place(home, door)
            home.stop()


@pytest.fixture(params=["openai", "cerebras"])
def client(place: Place, request: pytest.FixtureRequest) -> Iterator[Client]:
    if request.param == "openai":
        made: Client = openai.OpenAI(base_url=f"{place.door.url}/v1", api_key=place.home.key)
    else:
        made = cerebras.Cerebras(base_url=place.door.url, api_key=place.home.key, warm_tcp_connection=False)
    assert made.max_retries == 2
    with made:
        yield made


def insist(client: Client) -> Any:
    """Ask for an answer, and once more if the engine was not back for the last of the client's own retries."""
    try:
        return client.chat.completions.create(**ASK)
    except (openai.InternalServerError, cerebras.InternalServerError):
        return client.chat.completions.create(**ASK)


LOSSES = pytest.mark.parametrize("lose", [Place.lose_engine, Place.lose_server], ids=["engine", "server"])


@LOSSES
def test_an_answer_that_a_client_asks_for_again_is_charged_once(
    place: Place, client: Client, lose: Callable[[Place], None]
) -> None:
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(insist, client)
        until(lambda: any(row["state"] == "open" for row in place.new().values()))
        time.sleep(0.05)
        lose(place)
        usage = asked.result(60).usage
    *before, last = place.ended()
    assert before, "it was asked for once"
    assert {(row["state"], row["charge"]) for row in before} == {("released", 0)}, "what nobody got costs nothing"
    assert last["state"] == "settled"
    counts = (last["prompt_tokens"], last["cached_tokens"], last["completion_tokens"])
    assert counts == (usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens, LONG)
    assert usage.completion_tokens == LONG
    assert last["charge"] == RATES.charge(*counts)


@LOSSES
def test_a_stream_that_breaks_is_charged_as_far_as_it_came(
    place: Place, client: Client, lose: Callable[[Place], None]
) -> None:
    """Clients don't ask for the rest by themselves: who asks again has asked for two answers."""
    got, step, lost = 0, 0, False
    with pytest.raises(BROKEN):
        for chunk in client.chat.completions.create(**ASK, stream=True, stream_options=TOLD):
            told = chunk.usage.completion_tokens if chunk.usage else got
            step, got = max(step, told - got), told
            if got > 20 and not lost:
                lose(place)
                lost = True
    *before, row = place.ended()
    assert all((each["state"], each["charge"]) == ("released", 0) for each in before), "it waited for an engine"
    settled = lose is Place.lose_engine  # by the server itself; else by the next one, which charges no prompt in full
    assert (row["state"], row["finish_reason"]) == ("settled" if settled else "recovered", "error")
    assert settled or row["cached_tokens"] == row["prompt_tokens"]
    assert 20 < got < LONG and abs(int(str(row["completion_tokens"])) - got) <= step


def test_who_does_not_wait_for_an_answer_pays_for_no_more_than_was_computed(place: Place) -> None:
    """The client asks again by itself; nothing goes on that nobody waits for."""
    hasty = openai.OpenAI(base_url=f"{place.door.url}/v1", api_key=place.home.key, timeout=0.15)
    with hasty, pytest.raises(openai.APITimeoutError):
        least = {"min_tokens": LONGER}
        hasty.chat.completions.create(**ASK | {"max_tokens": LONGER, "extra_body": least, "temperature": 1.0})
    rows = place.ended()
    assert 1 <= len(rows) <= 1 + hasty.max_retries
    assert {row["finish_reason"] for row in rows} == {"cancelled"}
    assert all(int(str(row["completion_tokens"])) < LONGER for row in rows)
