"""The official clients, unchanged, on a server with limits: they raise what they have for it, come back when the
headers say, and are let in.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import anthropic
import cerebras.cloud.sdk as cerebras
import openai
import pytest
from folders import make_folder
from live import Server, running
from openai.types.admin.organization import UsageCompletionsResponse
from openai.types.admin.organization.usage_completions_response import Data as Bucket
from sqlalchemy import select, update
from support.installation import OPERATOR, Installation, installed

from undiced.account.ledger_tables import LIMITS, REQUESTS
from undiced.account.money import Rates

pytestmark = pytest.mark.wire
ASK = [{"role": "user", "content": "hi"}]
RETRIES = "x-stainless-retry-count"
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
        house.accounts.prices.set(OPERATOR, started.model, Rates(10**9, 10**9, 2 * 10**9))
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


def test_a_client_whose_budget_is_used_up_is_told_once(house: Installation, server: Server, ask: Case) -> None:
    create, kind = ask
    house.accounts.budgets.set(OPERATOR, "acme", 1)
    drain(house, left=10)
    with pytest.raises(kind.__bases__) as raised:
        create(1)
    house.accounts.budgets.remove(OPERATOR, "acme")
    answer = raised.value.response  # type: ignore[attr-defined]
    assert (answer.status_code, answer.headers["x-should-retry"]) == (402, "false")
    assert answer.headers["x-ratelimit-limit-requests"] == "120" and answer.request.headers.get(RETRIES, "0") == "0"
    assert answer.json()["error"]["type"] in ("billing_error", "insufficient_credit_error")


def test_openais_client_reads_usage_and_costs(server: Server, house: Installation) -> None:
    house.accounts.limits.set(OPERATOR, "globex", {"rpm": 100})
    began, key, rest = int(time.time()), house.fresh("globex"), house.fresh("globex")[1]
    used = [0, 0]
    for text in (key[1], key[1], rest):
        with openai.OpenAI(base_url=server.v1, api_key=text) as client:
            made = client.chat.completions.create(model=server.model, messages=ASK, max_tokens=3)
        assert made.usage is not None
        used = [used[0] + made.usage.prompt_tokens, used[1] + made.usage.completion_tokens]
    base = server.management.replace("/management", "")
    with openai.OpenAI(base_url=base, api_key="none", admin_api_key=house.key("globex", "management")) as admin:
        read = admin.admin.organization.usage
        for width in ("1m", "1h", "1d"):
            page = until(lambda w=width: read.completions(start_time=began, bucket_width=w), 3)
            assert [row for bucket in page.data for row in counted(bucket)] == [(3, *used)], width
            assert not page.has_more
        split = read.completions(start_time=began, group_by=["api_key_id", "model"], api_key_ids=[key[0].id])
        (row,) = split.data[0].results
        assert (row.api_key_id, row.model, row.num_model_requests) == (key[0].id, server.model, 2)
        first = read.completions(start_time=began - 2 * 86_400, limit=1)
        assert (first.has_more, first.data[0].results) == (True, [])
        seen, page = [first], first
        while page.next_page is not None:
            page = read.completions(start_time=began - 2 * 86_400, limit=1, page=page.next_page)
            seen.append(page)
        assert len(seen) >= 3 and seen[-1].data[0].end_time > time.time()
        costs = read.costs(start_time=began, group_by=["line_item"])
        (cost,) = [row for bucket in costs.data for row in bucket.results]
        assert (cost.line_item, cost.amount.currency) == (server.model, "usd")
        assert cost.amount.value == pytest.approx((used[0] * 1000 + used[1] * 2000) / 1e9)
        with pytest.raises(openai.BadRequestError, match="group_by"):
            read.completions(start_time=began, group_by=["user_id"])


def counted(bucket: Bucket) -> list[tuple[int, int, int]]:
    """Requests and tokens of its results."""
    assert bucket.object == "bucket" and bucket.start_time < bucket.end_time
    rows = [row for row in bucket.results if row.object == "organization.usage.completions.result"]
    assert rows == bucket.results
    return [(row.num_model_requests, row.input_tokens, row.output_tokens) for row in rows]


def until(read: Callable[[], UsageCompletionsResponse], requests: int) -> UsageCompletionsResponse:
    """What is read once so many requests are settled: an answer may be read before it is."""
    for _ in range(200):
        page = read()
        if sum(row[0] for bucket in page.data for row in counted(bucket)) == requests:
            return page
        time.sleep(0.01)
    raise AssertionError("they are not all settled")


def drain(house: Installation, left: int = 0) -> None:
    """So much is left of the limits, as of now."""
    level = LIMITS.c.window_s * 1000 * left
    with house.accounts.database.write() as transaction:
        transaction.connection.execute(update(LIMITS).values(level=level, updated_ms=transaction.now_ms))


def test_a_client_raises_what_it_has_for_limits_and_comes_back_when_it_is_told(house: Installation, ask: Case) -> None:
    create, kind = ask
    drain(house, left=-3)
    with pytest.raises(kind) as raised:
        create(0)
    body, headers = raised.value.body, raised.value.response.headers
    error = body.get("error", body)  # openai and cerebras hand on the object inside
    assert error["limit"]["metric"] == "requests" and error["limit"]["capacity"] == 120
    assert 0 < int(headers["retry-after-ms"]) <= 4 * WAIT_S * 1000
    assert headers["x-ratelimit-remaining-requests"] == "0"
    drain(house, left=-1)
    began = time.monotonic()
    assert create(1)  # its own first wait is up to 0.5 s: too short here
    assert time.monotonic() - began > 2 * WAIT_S * 0.9


def test_a_client_does_not_wait_for_a_limit_of_the_day(
    house: Installation, ask: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    create, kind = ask
    house.accounts.limits.set(OPERATOR, "acme", {"rpd": 1000})
    drain(house)
    slept, sleep, here = list[float](), time.sleep, threading.current_thread()

    def noted(seconds: float) -> None:
        if threading.current_thread() is here:
            slept.append(seconds)
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", noted)
    with pytest.raises(kind) as raised:
        create(1)
    house.accounts.limits.set(OPERATOR, "acme", {"rpd": None})
    assert raised.value.response.headers["x-should-retry"] == "false"
    assert not slept


def test_a_request_that_a_client_sends_again_is_counted_once(house: Installation, ask: Case) -> None:
    """It was refused the first time: that costs nothing."""
    create, _ = ask
    org = house.org_id("acme")
    before = ends_of(house, org)
    drain(house)
    create(1)
    while (after := ends_of(house, org)) == before or "open" in after:
        time.sleep(0.01)
    assert after - before == Counter({"settled": 1})


@pytest.mark.parametrize("stream", [False, True])
def test_who_may_run_one_request_at_once_sends_the_next_as_soon_as_it_has_ended(
    house: Installation, server: Server, stream: bool
) -> None:
    drain(house, left=60)
    house.accounts.limits.set(OPERATOR, "acme", {"concurrency": 1})
    try:
        with openai.OpenAI(base_url=server.v1, api_key=house.key(), max_retries=0) as client:
            for _ in range(10):
                answer = client.chat.completions.create(model=server.model, messages=ASK, max_tokens=2, stream=stream)
                assert not stream or list(answer)
    finally:
        house.accounts.limits.set(OPERATOR, "acme", {"concurrency": None})


def ends_of(house: Installation, org: str) -> Counter[str]:
    """How many requests of an organization ended in which way."""
    with house.accounts.database.read() as transaction:
        query = select(REQUESTS.c.state).where(REQUESTS.c.org_id == org)
        return Counter(transaction.connection.execute(query).scalars())
