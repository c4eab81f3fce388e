"""The official clients, unchanged, on a server with limits: they raise what they have for it, come back when the
headers say, and are let in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import anthropic
import cerebras.cloud.sdk as cerebras
import openai
import pytest
from folders import make_folder
from live import Server, running
from sqlalchemy import update
from support.installation import OPERATOR, Installation, installed

from undiced.account.ledger_tables import LIMITS

pytestmark = pytest.mark.wire
ASK = [{"role": "user", "content": "hi"}]
WAIT_S = 0.5  # until a bucket of 120 a minute that is empty has room for one
Case = tuple[Callable[[int], object], type[Exception]]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("accounts")) as made:
        made.accounts.limits.set(OPERATOR, "acme", {"rpm": 120})
        yield made


@pytest.fixture(scope="module")
def server(house: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = make_folder(tmp_path_factory.mktemp("model") / "tiny")
    options = ("--auth", "--db", house.url, "--admin-port", "0", "--max-batch", "2")
    with running(*options, model=str(folder)) as started:
        yield started


@pytest.fixture(params=["openai", "cerebras", "anthropic"])
def ask(server: Server, house: Installation, request: pytest.FixtureRequest) -> Iterator[Case]:
    """Sends a request with so many retries; and what is raised where a limit has no room."""
    key = house.key()
    fields = {"model": server.model, "messages": ASK, "max_tokens": 2}
    with ExitStack() as held:
        if request.param == "openai":
            first = held.enter_context(openai.OpenAI(base_url=server.v1, api_key=key))
            yield (lambda n: first.with_options(max_retries=n).chat.completions.create(**fields), openai.RateLimitError)
        elif request.param == "cerebras":
            other = cerebras.Cerebras(base_url=server.url, api_key=key, warm_tcp_connection=False, max_retries=0)
            more = cerebras.Cerebras(base_url=server.url, api_key=key, warm_tcp_connection=False, max_retries=1)
            held.enter_context(other), held.enter_context(more)
            yield (lambda n: (more if n else other).chat.completions.create(**fields), cerebras.RateLimitError)
        else:
            last = held.enter_context(anthropic.Anthropic(base_url=server.url, api_key=key))
            yield (lambda n: last.with_options(max_retries=n).messages.create(**fields), anthropic.RateLimitError)


def drain(house: Installation, left: int = 0) -> None:
    """So much is left of the limits, as of now."""
    level = LIMITS.c.window_s * 1000 * left
    with house.accounts.database.write() as transaction:
        transaction.connection.execute(update(LIMITS).values(level=level, updated_ms=transaction.now_ms))


def test_a_client_raises_what_it_has_for_limits_and_comes_back_when_it_is_told(house: Installation, ask: Case) -> None:
    create, kind = ask
    drain(house, left=1)
    create(0)
    with pytest.raises(kind) as raised:
        create(0)
    body, headers = raised.value.body, raised.value.response.headers
    error = body.get("error", body)  # openai and cerebras hand on the object inside
    assert error["limit"]["metric"] == "requests" and error["limit"]["capacity"] == 120
    assert 0 < int(headers["retry-after-ms"]) <= WAIT_S * 1000
    assert headers["x-ratelimit-remaining-requests"] == "0"
    drain(house, left=-1)
    began = time.monotonic()
    assert create(1)  # its own first wait is up to 0.5 s: too short here
    assert time.monotonic() - began > 2 * WAIT_S * 0.9


def test_a_client_does_not_wait_for_a_limit_of_the_day(house: Installation, ask: Case) -> None:
    create, kind = ask
    house.accounts.limits.set(OPERATOR, "acme", {"rpd": 1000})
    drain(house)
    began = time.monotonic()
    with pytest.raises(kind) as raised:
        create(1)
    house.accounts.limits.set(OPERATOR, "acme", {"rpd": None})
    assert raised.value.response.headers["x-should-retry"] == "false"
    assert time.monotonic() - began < WAIT_S
