"""What callers see of limits and money: GET /v1/limits, headers of every answer, and refusals in each API's words."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from scripted import Caller, build_caller
from sqlalchemy import func, select
from support.installation import OPERATOR, Installation, bearer, installed
from support.metered import behind_keys, metered

from undiced.account.accounts import Accounts
from undiced.account.errors import DatabaseAwayError, RequestsExceededError
from undiced.account.keyring import Caller as Holder
from undiced.account.ledger_records import Standing
from undiced.account.ledger_tables import REQUESTS
from undiced.account.money import Rates
from undiced.api.countings import Countings
from undiced.api.openapi import document
from undiced.api.organization_metrics import MOST, OTHERS, OrganizationMetrics
from undiced.api.settings import Settings
from undiced.api.standing import HEADER_NAMES
from undiced.core.errors import EngineError

CHAT, MESSAGES, EMBEDDINGS = "/v1/chat/completions", "/v1/messages", "/v1/embeddings"
MINUTE = ("x-ratelimit-limit-requests-minute", "x-ratelimit-remaining-requests-minute")
SAY = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A folder with accounts: making their tables takes longer than a test."""
    folder = tmp_path_factory.mktemp("template")
    with installed(folder):
        return folder


@pytest.fixture
def house(template, tmp_path):
    shutil.copytree(template, tmp_path / "accounts")
    url = str(tmp_path / "accounts" / "accounts.db")
    with closing(Accounts(url)) as accounts:
        yield Installation(url, accounts, [])


@pytest.fixture
def server(house: Installation):
    made = build_caller()
    with metered(house, [made.deployment]) as service:
        made.app, made.service = behind_keys(house, service), service
        yield made


def limit(house: Installation, org: str = "acme", model: str = "", **capacities: int) -> None:
    place = {name: capacities.pop(name) for name in ("project", "key") if name in capacities}
    house.accounts.limits.set(OPERATOR, org, capacities, model=model, **place)


def own(server: Caller, key: str) -> dict:
    reply = server("GET", "/v1/limits", headers=bearer(key))
    assert reply.status == 200 and reply.headers["cache-control"] == "no-store"
    whole = document("1", key=True)
    schema = whole["paths"]["/v1/limits"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.validate(reply.json, {**schema, "components": whole["components"]})
    return reply.json


def settled(house: Installation, server: Caller, key: str) -> dict:
    """The same once nothing runs any more."""
    running = select(func.count()).where(REQUESTS.c.state == "open")
    for _ in range(200):
        with house.accounts.database.read() as transaction:
            if not transaction.connection.execute(running).scalar_one():
                return own(server, key)
        time.sleep(0.01)
    raise AssertionError("nothing is settled")


def test_a_server_without_keys_binds_nobody():
    reply = build_caller()("GET", "/v1/limits")
    assert reply.json == {"object": "list", "data": [], "balance": None, "budgets": []}


def test_a_key_sees_all_that_binds_it_and_nothing_of_others(house, server):
    made, key = house.fresh()
    other, _ = house.fresh()
    limit(house, rph=60, concurrency=4)
    limit(house, model="m", tph=1000)
    limit(house, key=made.id, tpd=5000)
    limit(house, key=other.id, tpd=77)
    limit(house, "globex", rpd=88)
    server.post(CHAT, SAY, headers=bearer(key))
    told = settled(house, server, key)
    rows = {(row["scope"], row["model"], row["metric"], row["window_s"]): row for row in told["data"]}
    assert {name: (row["capacity"], row["left"]) for name, row in rows.items()} == {
        ("organization", None, "requests", 3600): (60, 59),
        ("organization", None, "concurrency", 0): (4, 4),
        ("organization", "m", "tokens", 3600): (1000, rows["organization", "m", "tokens", 3600]["left"]),
        ("key", None, "tokens", 86_400): (5000, rows["key", None, "tokens", 86_400]["left"]),
    }
    assert 0 < 1000 - rows["organization", "m", "tokens", 3600]["left"] < 40
    assert 0 < rows["organization", None, "requests", 3600]["reset_s"] <= 60
    text = str(told)
    assert not any(word in text for word in ("lim_", "org_", "prj_", made.id, other.id))


def test_the_page_shows_what_is_told(house, server):
    page = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
    block = page.partition("/v1/limits -H")[2].partition("```")[0]
    shown = json.loads(block.partition("\n")[2].replace("\n", ""))
    limit(house, rpm=2)
    limit(house, model="smollm2-135m", tpm=5000)
    told = own(server, house.key())
    for row in (*shown["data"], *told["data"]):
        assert row.pop("left") <= row["capacity"] and row.pop("reset_s") >= 0
    assert told == shown


def test_a_key_for_some_models_does_not_learn_of_others(house, server):
    limit(house, model="m", tpm=10)
    limit(house, model="hidden", tpm=11)
    key = house.key(models=("m",))
    assert [row["model"] for row in own(server, key)["data"]] == ["m"]
    assert {row["model"] for row in own(server, house.key())["data"]} == {"m", "hidden"}


def test_a_key_sees_the_balance_and_the_budgets_that_bind_it(house, server):
    house.accounts.prices.set(OPERATOR, "m", Rates(1_000_000_000, 0, 2_000_000_000))
    house.accounts.credits.add(OPERATOR, "acme", 10**9)
    house.accounts.budgets.set(OPERATOR, "acme", 5 * 10**8, stops=False)
    key = house.key()
    reply = server.post(CHAT, SAY, headers=bearer(key))
    usage = reply.json["usage"]
    cost = (usage["prompt_tokens"] - usage["prompt_tokens_details"]["cached_tokens"]) * 1000
    cost += usage["completion_tokens"] * 2000
    told = settled(house, server, key)
    assert told["balance"] == {
        "object": "balance", "currency": "USD", "prepaid": True, "balance": 10**9 - cost, "reserved": 0
    }  # fmt: skip
    assert told["budgets"] == [
        {"object": "budget", "scope": "organization", "amount": 5 * 10**8, "spent": cost, "stops": False}
    ]


@pytest.mark.parametrize(
    ("path", "asked", "permille"),
    [
        (CHAT, None, 1000),
        (CHAT, "flex", 500),
        (CHAT, "priority", 1500),
        ("/v1/completions", "flex", 500),
        ("/v1/responses", "priority", 1500),
        (MESSAGES, "auto", 1000),
    ],
)
def test_a_class_of_service_costs_what_its_price_says_and_is_told(house, server, path, asked, permille):
    house.accounts.prices.set(OPERATOR, "m", Rates(10**9, 10**9, 10**9))
    house.accounts.credits.add(OPERATOR, "acme", 10**9)
    key = house.key(scopes=["inference", "priority"])
    prompt = {"/v1/completions": {"prompt": "hi"}, "/v1/responses": {"input": "hi"}}.get(path, SAY)
    reply = server.post(path, prompt | ({"service_tier": asked} if asked else {}), headers=bearer(key))
    usage = reply.json["usage"]
    tokens = usage.get("total_tokens") or sum(
        usage[name] for name in ("input_tokens", "cache_read_input_tokens", "output_tokens")
    )
    assert settled(house, server, key)["balance"]["balance"] == 10**9 - tokens * permille
    assert (usage if path == MESSAGES else reply.json).get("service_tier") == (
        "standard" if path == MESSAGES else asked
    )


@pytest.mark.parametrize("path", [CHAT, "/v1/completions", "/v1/responses"])
def test_going_before_others_needs_a_scope_of_its_own(house, server, path):
    prompt = {"/v1/completions": {"prompt": "hi"}, "/v1/responses": {"input": "hi"}}.get(path, SAY)
    reply = server.post(path, prompt | {"service_tier": "priority"}, headers=bearer(house.key()))
    error = reply.json["error"]
    assert (reply.status, error["code"], error["param"]) == (403, "permission_denied", "service_tier")


def test_whatever_a_key_is_for_it_may_ask_for_its_own_limits(house, server):
    for scope in ("embeddings", "tokens", "models"):
        assert own(server, house.key(scopes=[scope]))["data"] == []
    assert server("GET", "/v1/limits").status == 401


def test_every_answer_that_was_counted_says_how_limits_stand(house, server):
    limit(house, rpm=8, tpm=100_000, tpd=1_000_000, utph=50_000)
    key = bearer(house.key())
    replies = [
        server.post(CHAT, SAY, headers=key),
        server.post(CHAT, SAY | {"stream": True}, headers=key),
        server.post("/v1/completions", {"model": "m", "prompt": "hi"}, headers=key),
        server.post("/v1/responses", {"model": "m", "input": "hi"}, headers=key),
        server.post(EMBEDDINGS, {"model": "m", "input": "hi"}, headers=key),
        server.post(MESSAGES, SAY, headers=key),
    ]
    assert [reply.status for reply in replies] == [200] * 6
    left = [int(reply.headers[MINUTE[1]]) for reply in replies]
    assert all(told - expected in (0, 1) for told, expected in zip(left, range(7, 1, -1), strict=True))  # it refills
    for reply in replies:
        told = reply.headers
        assert told[MINUTE[0]] == told["x-ratelimit-limit-requests"] == "8"
        assert told["x-ratelimit-limit-tokens-minute"] == told["x-ratelimit-limit-tokens"] == "100000"
        assert told["x-ratelimit-limit-tokens-day"] == "1000000"
        assert told["x-ratelimit-limit-uncached-tokens-hour"] == "50000"
        float(told["x-ratelimit-reset-tokens-day"])
        assert told["x-ratelimit-reset-requests"].endswith("s")
    anthropic = [{name for name in reply.headers if name.startswith("anthropic-")} for reply in replies]
    assert anthropic[:5] == [set()] * 5 and len(anthropic[5]) == 6


def test_an_answer_that_fails_after_it_was_counted_says_so_too(house, server):
    limit(house, rpm=60)
    server.engine.error = EngineError("The engine failed.")
    for path, body in ((CHAT, SAY), (EMBEDDINGS, {"model": "m", "input": "hi"}), (MESSAGES, SAY)):
        reply = server.post(path, body, headers=bearer(house.key()))
        assert reply.status == 500
        assert reply.headers[MINUTE[0]] == "60"


def test_a_stream_that_no_limit_has_room_for_is_refused_before_it_begins(house, server):
    limit(house, rpm=1)
    key = bearer(house.key())
    replies = [server.post(CHAT, SAY | {"stream": True}, headers=key) for _ in range(2)]
    assert [reply.status for reply in replies] == [200, 429]
    assert replies[1].headers["content-type"] == "application/json"
    assert replies[1].json["status_code"] == 429


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_a_limit_that_is_used_up_is_told_with_the_time_to_come_back(house, server, path):
    limit(house, rpm=1)
    key = bearer(house.key())
    assert server.post(path, SAY, headers=key).status == 200
    reply = server.post(path, SAY, headers=key)
    assert reply.status == 429
    error = reply.json["error"]
    reset_s = error["limit"].pop("reset_s")
    assert error["limit"] == {
        "scope": "organization", "metric": "requests", "model": None, "window_s": 60, "capacity": 1, "used": 1
    }  # fmt: skip
    assert 30 < reset_s <= 60
    assert 1000 * reset_s == pytest.approx(int(reply.headers["retry-after-ms"]), abs=2)
    assert reply.headers["retry-after"] == str(-int(-reset_s // 1))
    assert "x-should-retry" not in reply.headers
    assert reply.headers[MINUTE[1]] == reply.headers["x-ratelimit-remaining-requests"] == "0"
    if path == MESSAGES:
        assert reply.json.keys() == {"type", "error", "request_id"} and error["type"] == "rate_limit_error"
        assert reply.headers["anthropic-ratelimit-requests-remaining"] == "0"
    else:
        assert (error["type"], error["code"]) == ("too_many_requests_error", "request_quota_exceeded")


def test_a_limit_of_the_day_is_not_worth_waiting_for(house, server):
    limit(house, rpd=1)
    key = bearer(house.key())
    server.post(CHAT, SAY, headers=key)
    reply = server.post(CHAT, SAY, headers=key)
    assert (reply.status, reply.headers["x-should-retry"]) == (429, "false")
    assert 86_000 < int(reply.headers["retry-after"]) <= 86_400


@pytest.mark.parametrize(("path", "kind"), [(CHAT, "insufficient_credit_error"), (MESSAGES, "billing_error")])
def test_without_credit_nothing_runs_and_limits_are_told_all_the_same(house, server, path, kind):
    house.accounts.prices.set(OPERATOR, "m", Rates(10**9, 0, 10**9))
    house.accounts.credits.add(OPERATOR, "acme", 1)
    limit(house, rpm=60)
    reply = server.post(path, SAY, headers=bearer(house.key()))
    assert (reply.status, reply.json["error"]["type"]) == (402, kind)
    assert reply.headers["x-should-retry"] == "false"
    assert reply.headers[MINUTE[1]] == "60"
    assert not server.engine.submitted


def test_more_than_a_limit_can_ever_hold_is_refused_at_once(house, server):
    limit(house, tpm=5)
    reply = server.post(CHAT, SAY, headers=bearer(house.key()))
    assert (reply.status, reply.json["error"]["param"]) == (400, "max_tokens")


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_what_is_refused_before_it_is_held_against_limits_tells_them_too(house, server, path):
    """Also where this server has never seen a request of the key that was."""
    limit(house, rpm=60, tpm=1000)
    limit(house, model="m", rpm=7)
    narrow = bearer(house.key(scopes=["models"]))
    for key, body, status, left in (
        (bearer(house.key()), SAY | {"model": "other"}, 404, "60"),
        (bearer(house.key()), SAY | {"max_tokens": "x"}, 400, "60"),  # not even its model is known
        (narrow, SAY, 403, "60"),
    ):
        reply = server.post(path, body, headers=key)
        assert (reply.status, reply.headers[MINUTE[1]]) == (status, left), body
        assert reply.headers["x-ratelimit-limit-tokens"] == "1000"
        assert ("anthropic-ratelimit-requests-limit" in reply.headers) == (path == MESSAGES)
    used = bearer(house.key())
    assert server.post(path, SAY, headers=used).headers[MINUTE[1]] == "6"
    assert server.post(path, SAY | {"temperature": 9}, headers=used).headers[MINUTE[1]] == "59"
    assert not any(name.startswith("x-ratelimit") for name in server.post(path, SAY).headers), "of a stranger"


def test_more_than_a_limit_ever_holds_is_refused_with_all_limits(house, server):
    limit(house, tpm=5, rpm=60)
    reply = server.post(CHAT, SAY, headers=bearer(house.key()))
    assert (reply.status, reply.headers[MINUTE[1]]) == (400, "60")
    assert reply.headers["x-ratelimit-remaining-tokens"] == "5"
    assert "x-should-retry" not in reply.headers and "retry-after" not in reply.headers


@contextmanager
def away(house: Installation) -> Iterator[None]:
    """Nothing can be read or written."""

    def gone(*_: object, **__: object) -> None:
        raise DatabaseAwayError("It is away.", remedy="Try again.", retry_after_s=1.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(house.accounts.database, "read", gone)
        patch.setattr(house.accounts.database, "write", gone)
        yield


@pytest.mark.parametrize("allow", [False, True])
def test_while_the_database_is_away_limits_are_told_as_they_were_seen_last(house, allow):
    made = build_caller()
    with metered(house, [made.deployment], allow=allow) as service:
        made.app = behind_keys(house, service)
        limit(house, rpm=60)
        seen, new = bearer(house.key()), bearer(house.key())
        assert made.post(CHAT, SAY, headers=seen).headers[MINUTE[1]] == "59"
        made("GET", "/v1/models", headers=new)  # it is known, its limits are not
        with away(house):
            replies = [made.post(CHAT, SAY, headers=key) for key in (seen, new)]
        assert [reply.status for reply in replies] == [200 if allow else 503] * 2
        assert [reply.headers.get(MINUTE[1]) for reply in replies] == ["59", None]


COUNTING = (
    ("/v1/tokenize", {"prompt": "hi"}),
    ("/v1/detokenize", {"tokens": [104]}),
    ("/v1/chat/completions/input_tokens", {"messages": SAY["messages"]}),
    ("/v1/responses/input_tokens", {"input": "hi"}),
    ("/v1/messages/count_tokens", {"messages": SAY["messages"]}),
)


@pytest.mark.parametrize(("path", "body"), COUNTING)
def test_counting_has_limits_of_its_own_as_large_as_those_on_requests(house, server, path, body):
    limit(house, rpm=2, tpm=1)
    key = bearer(house.key())
    replies = [server.post(path, body, headers=key) for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 429]
    assert [reply.headers[MINUTE[1]] for reply in replies] == ["1", "0", "0"]
    assert not any("tokens" in name for name in replies[0].headers), "tokens are not counted"
    error = replies[2].json["error"]
    assert "This organization may count tokens 2 times per minute." in error["message"]
    assert 20 < error["limit"].pop("reset_s") <= 30
    assert error["limit"] == {
        "scope": "organization", "metric": "requests", "model": None, "window_s": 60, "capacity": 2, "used": 2
    }  # fmt: skip
    assert 20_000 < int(replies[2].headers["retry-after-ms"]) <= 30_000
    assert own(server, key["authorization"].split()[1])["data"][0]["left"] == 2, "requests are counted apart"
    other = [server.post(*COUNTING[0], headers=bearer(house.key())).status, server.post(*COUNTING[0]).status]
    assert other == [429, 401], "the limit is the organization's"


def test_counting_is_held_against_limits_of_the_key_and_of_its_model(house, server):
    made, text = house.fresh()
    limit(house, rpm=60, key=made.id, project="default")
    limit(house, model="m", rpm=1)
    limit(house, model="other", rpm=2)
    replies = [server.post("/v1/tokenize", {"prompt": "hi"}, headers=bearer(text)) for _ in range(2)]
    assert [reply.status for reply in replies] == [200, 429]
    assert "count tokens once for m per minute" in replies[1].json["error"]["message"]
    assert server.post("/v1/tokenize", {"prompt": "hi"}, headers=bearer(house.key("globex"))).status == 200


async def test_a_limit_that_changes_changes_counting_and_what_was_counted_stays():
    now, capacity = [0.0], [3]

    async def known(caller: Holder, model: str) -> list[Standing]:
        return [Standing("key", "requests", 60, capacity[0], 0, 60.0)]

    countings = Countings(SimpleNamespace(of=known), lambda: now[0])
    caller = Holder("key", "inference", "org", "acme", "project", None, frozenset(), None, None)
    lefts = [(await countings.take(caller, "m"))[0].left for _ in range(3)]
    assert lefts == [2, 1, 0]
    capacity[0] = 5
    assert (await countings.take(caller, "m"))[0].left == 1
    now[0] = 12.0  # gains one
    assert (await countings.take(caller, "m"))[0].left == 1
    capacity[0] = 1
    with pytest.raises(RequestsExceededError, match="once per minute"):
        await countings.take(caller, "m")


def test_counting_goes_on_without_the_database(house, server):
    limit(house, rpm=1)
    seen, new = bearer(house.key()), bearer(house.key("globex"))
    assert server.post(*COUNTING[0], headers=seen).status == 200
    server("GET", "/v1/models", headers=new)
    with away(house):
        assert [server.post(*COUNTING[0], headers=key).status for key in (seen, new, new)] == [429, 200, 200]


def figures(house: Installation, server: Caller) -> dict[str, float]:
    """What /metrics says of organizations."""
    text = server("GET", "/metrics", headers=bearer(house.key(scopes=["metrics"]))).body.decode()
    rows = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("undiced_organization_")]
    return {name.removeprefix("undiced_organization_"): float(value) for name, value in rows}


def test_operators_see_what_each_organization_used_and_how_long_it_waited(house, server):
    limit(house, "globex", rpm=1)
    usages, keys = [], [bearer(house.key()), bearer(house.key("globex"))]
    for key in (*keys, keys[1]):
        reply = server.post(CHAT, SAY | {"n": 2}, headers=key)
        usages.append(reply.json.get("usage"))
    assert "may use 1 request per minute." in reply.json["error"]["message"]
    server.post(CHAT, SAY | {"model": "another"}, headers=keys[0])
    server.post(EMBEDDINGS, {"model": "m", "input": "hi"}, headers=keys[0])
    refused = server.post(EMBEDDINGS, {"model": "m", "input": "refused", "dimensions": 1}, headers=bearer(house.key()))
    assert refused.status == 400, "and costs nothing"
    found, acme, globex = figures(house, server), house.org_id("acme"), house.org_id("globex")
    one = f'{{model="m",organization="{acme}"}}'
    assert found[f"prompt_tokens_total{one}"] == usages[0]["prompt_tokens"] + len("hi")
    assert found[f"completion_tokens_total{one}"] == usages[0]["completion_tokens"]
    assert found[f"cached_prompt_tokens_total{one}"] == 3
    for org, model, code in (
        (acme, "m", 200),
        (acme, "m", 400),
        (acme, "", 404),
        (globex, "m", 200),
        (globex, "m", 429),
    ):
        name = f'requests_total{{code="{code}",model="{model}",organization="{org}"}}'
        assert found[name] == (2 if (org, code) == (acme, 200) else 1), name
    for name, count in (("queue_seconds", 2), ("time_to_first_token_seconds", 1), ("request_seconds", 1)):
        assert found[f'{name}_count{{organization="{acme}"}}'] == count


def test_series_stay_few_however_many_organizations_there_are():
    registry = CollectorRegistry()
    every = OrganizationMetrics(registry, (1.0,))
    for at in range(MOST + 50):
        every.of(f"org_{at}").answered("m", 200)
    text = generate_latest(registry).decode()
    rows = [line for line in text.splitlines() if line.startswith("undiced_organization_requests_total{")]
    assert len(rows) == MOST + 1
    assert f'undiced_organization_requests_total{{code="200",model="m",organization="{OTHERS}"}} 50.0' in rows
    assert every.of("org_0") is every.of("org_0") is not every.of("org_9999")


def test_pages_of_other_sites_may_read_all_these_headers(make):
    reply = make(settings=Settings(origins=("*",)))("GET", "/v1/models", headers={"origin": "https://a.example"})
    exposed = reply.headers["access-control-expose-headers"].split(", ")
    assert {*HEADER_NAMES, "retry-after", "retry-after-ms", "x-should-retry", "x-undiced-max-tokens"} <= set(exposed)
    assert len(set(exposed)) == len(exposed)
