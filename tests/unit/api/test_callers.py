"""Keys of accounts on the application that serves models: who is let in, to what, and as whom."""

from __future__ import annotations

import asyncio
import json
import logging
import time

import pytest
from scripted import Caller, build_caller
from sqlalchemy import update
from support.installation import OPERATOR, Installation, bearer, installed

from undiced.account.errors import DatabaseAwayError
from undiced.account.scopes import INFERENCE_SCOPES
from undiced.account.secret_text import SecretText
from undiced.account.tables import KEYS
from undiced.api.app import WAYS, build_app
from undiced.api.register import KeyGuard, Register
from undiced.api.service import Service
from undiced.api.ways import ANY_KEY, OPEN, Way
from undiced.core.errors import KeyRefusedError
from undiced.remote.client import Health

CHAT, CONTROL = "/v1/chat/completions", "/v1/chat/completions/control"
ASK = {"messages": [{"role": "user", "content": "hi"}]}
GUARDED = [way for way in WAYS if way.needs != OPEN]
SCOPED = [way for way in GUARDED if way.needs != ANY_KEY]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory):
    with installed(tmp_path_factory.mktemp("accounts")) as made:
        yield made


@pytest.fixture
def server(house: Installation) -> Caller:
    """Two models behind keys."""
    return behind_keys(house)


def behind_keys(house: Installation, **engine: object) -> Caller:
    parts = [build_caller(name=name, aliases=(f"org/{name}",), **engine) for name in ("fast", "slow")]
    service = Service([part.deployment for part in parts])
    first = parts[0]
    first.app, first.service = build_app(service, KeyGuard(Register(house.accounts), "inference")), service
    return first


def method(way: Way) -> str:
    return "POST" if "POST" in (way.methods or ()) else "GET"


def path(way: Way) -> str:
    return way.path.replace("{model_id:path}", "fast")


def test_every_way_of_the_application_names_a_scope_or_is_open_on_purpose(server):
    routes = server.app.routes
    assert routes and all(isinstance(route, Way) for route in routes)
    assert {way.needs for way in GUARDED} == {*INFERENCE_SCOPES, ANY_KEY} - {"priority"}  # of no way: of a member
    free = {way.path for way in WAYS if way.needs == OPEN}
    assert {each for each in free if not each.startswith("/static/")} == {"/health", "/", "/docs"}
    assert {way.path for way in WAYS if way.needs == ANY_KEY} == {"/v1/limits", "/v1/tcp_warming", "/version"}


@pytest.mark.parametrize("way", SCOPED, ids=lambda way: way.path)
def test_a_way_is_for_those_who_have_its_scope_alone(house, server, way):
    others = [scope for scope in INFERENCE_SCOPES if scope != way.needs]
    refused = server(method(way), path(way), {}, headers=bearer(house.key(scopes=others)))
    assert refused.status == 403
    told = refused.json["error"]
    assert f"'{way.needs}'" in told["message"] and told.get("code", "permission_denied") == "permission_denied"
    allowed = server(method(way), path(way), {}, headers=bearer(house.key(scopes=[way.needs])))
    assert allowed.status not in (401, 403)  # what is asked may be nonsense; that it is asked is not


@pytest.mark.parametrize("way", GUARDED, ids=lambda way: way.path)
def test_no_way_but_the_open_ones_is_for_nobody(server, way):
    assert server(method(way), path(way), {}).status == 401


def test_a_way_that_nobody_watched_is_closed(server):
    scope = {"type": "http", "method": "GET", "path": "/v1/models", "root_path": "", "headers": []}
    with pytest.raises(KeyError):
        asyncio.run(WAYS[11].handle(scope, None, None))


def test_strangers_are_told_that_the_server_is_well_and_of_no_model(house, server):
    assert server("GET", "/health").json == {"status": "ok"}
    server.engine.health = Health("restarting", 0.5, "packing weights", 1)
    reply = server("GET", "/health")
    assert (reply.status, reply.json) == (503, {"status": "restarting", "progress": 0.5, "detail": "packing weights"})
    for name in (b"fast", b"nothing"):
        assert server("GET", "/health", query=b"model=" + name).status == 403


def test_whoever_asks_for_what_is_not_there_shows_a_key_first(house, server):
    assert server("GET", "/nowhere").status == 401
    assert server("GET", "/nowhere", headers=bearer(house.key())).status == 404


def keys_that_open_nothing(house: Installation) -> dict[str, dict[str, str]]:
    right, other = house.key(), house.key("globex")
    wrong = SecretText.new("uk")
    revoked, text = house.fresh()
    house.accounts.keys.revoke(OPERATOR, revoked.id)
    rotated, old = house.fresh()
    house.accounts.keys.rotate(OPERATOR, rotated.id)
    expired, late = house.fresh(expires=int(time.time()) + 1000)
    with house.accounts.database.write() as transaction:
        transaction.connection.execute(update(KEYS).where(KEYS.c.id == expired.id).values(expires=1))
    forged = SecretText(SecretText.parse(right, "uk").id, right[:-8] + ("A" if right[-8] != "A" else "B")).reveal()
    return {
        "none": {},
        "no text": bearer(""),
        "no key": bearer("sk-something"),
        "another scheme": {"authorization": f"Basic {right}"},
        "a typo": bearer(right[:-1] + ("0" if right[-1] != "0" else "1")),
        "not ours": bearer(wrong.reveal()),
        "another secret": bearer(forged),
        "revoked": bearer(text),
        "rotated": bearer(old),
        "expired": bearer(late),
        "for management": bearer(house.key(kind="management")),
        "of two callers": {**bearer(right), "x-api-key": other},
        "half right": {**bearer(right), "x-api-key": "sk-something"},
        "no ASCII": bearer(right[:-1] + "\xe9"),
        "a line": {"x-api-key": f"{right}\n"} | bearer("x"),
        "as a query": bearer(f"{right}?x"),
        "without end": bearer("uk-" + "a" * 60_000),
        "SQL": bearer("uk-' OR 1=1 --"),
    }


def test_every_key_that_opens_nothing_gets_the_same_answer(house, server):
    said = {}
    for why, headers in keys_that_open_nothing(house).items():
        reply = server("GET", "/v1/models", headers=headers)
        assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer"), why
        said[why] = {**reply.json["error"], "id": ""}
    assert len({json.dumps(each) for each in said.values()}) == 1, said
    assert said["none"]["code"] == "wrong_api_key"


@pytest.mark.parametrize("form", ["bearer", "Bearer  ", "x-api-key", "both"])
def test_a_key_opens_in_either_header(house, server, form):
    key = house.key()
    own, other = {"x-api-key": key}, bearer(key)
    headers = {"bearer": {"authorization": f"bearer {key} "}, "Bearer  ": other, "x-api-key": own}.get(
        form, own | other
    )
    assert server("GET", "/v1/models", headers=headers).status == 200


def test_a_request_is_its_keys(house, server):
    made, text = house.fresh()
    for path_, body in (
        (CHAT, ASK | {"n": 2}),
        ("/v1/completions", {"prompt": "hi"}),
        ("/v1/embeddings", {"input": "hi"}),
        ("/v1/messages", ASK | {"max_tokens": 9}),
        ("/v1/responses", {"input": "hi"}),
    ):
        assert server.post(path_, {"model": "fast", **body}, headers=bearer(text)).status == 200, path_
    assert {request.tag for request in server.engine.submitted} == {made.id}
    assert {request.cache_salt for request in server.engine.submitted} == {f"{house.org_id('acme')}/"}
    assert {request.account for request in server.engine.submitted} == {house.org_id("acme")}, "what shares go by"
    assert {event.tag for event in server.engine.ended if event.tag} == {made.id}


def salt(house: Installation, server: Caller, org: str, said: str | None, place: str = CHAT) -> str:
    body = ASK if place == CHAT else {"input": "hi"}
    fields = {} if said is None else {"cache_salt": said}
    reply = server.post(place, {"model": "fast", **body, **fields}, headers=bearer(house.key(org)))
    assert reply.status == 200
    return server.engine.submitted[-1].cache_salt


@pytest.mark.parametrize("place", [CHAT, "/v1/embeddings"])
def test_cached_prompts_are_shared_inside_an_organization_alone(house, server, place):
    acme, globex = house.org_id("acme"), house.org_id("globex")
    assert salt(house, server, "acme", None, place) == salt(house, server, "acme", "", place)
    assert salt(house, server, "acme", "s", place) == salt(house, server, "acme", "s", place)
    tried = [None, "s", f"{globex}/", f"{globex}/s", f"/{globex}/", "/", f"{acme}/{globex}/"]
    own = {salt(house, server, "acme", each, place) for each in tried}
    others = {salt(house, server, "globex", each, place) for each in [*tried, f"{acme}/", f"{acme}/s"]}
    assert len(own) == len(tried) and not own & others


def test_a_salt_that_is_too_long_is_refused_at_embeddings_too(caller):
    reply = caller.post("/v1/embeddings", {"model": "m", "input": "hi", "cache_salt": "x" * 257})
    assert (reply.status, reply.json["error"]["param"]) == (400, "cache_salt")


def test_a_key_for_some_models_sees_and_uses_those_alone(house, server):
    headers = bearer(house.key(models=["org/slow"]))
    assert [each["id"] for each in server("GET", "/v1/models", headers=headers).json["data"]] == ["slow"]
    for path_ in ("/v1/models/fast", "/v1/models/nothing"):  # whether it is there or not
        reply = server("GET", path_, headers=headers)
        told = reply.json["error"]
        assert (reply.status, told["code"], told["param"]) == (403, "permission_denied", "model")
        assert f"'{path_.rpartition('/')[2]}'" in told["message"] and "Use 'slow'." in told["message"]
    for path_, body in (
        (CHAT, ASK),
        ("/v1/completions", {"prompt": "hi"}),
        ("/v1/embeddings", {"input": "hi"}),
        ("/v1/tokenize", {"prompt": "hi"}),
        ("/v1/detokenize", {"tokens": [1]}),
        ("/v1/messages/count_tokens", ASK),
        ("/v1/responses/input_tokens", {"input": "hi"}),
    ):
        refused = server.post(path_, {"model": "FAST", **body}, headers=headers)
        assert refused.status == 403 and "'FAST'" in refused.json["error"]["message"], path_
        assert server.post(path_, {"model": "slow", **body}, headers=headers).status == 200, path_
        if "messages" not in path_ and "responses" not in path_:
            assert server.post(path_, body, headers=headers).status == 200, "the only one that it may use"
    assert server("GET", "/props", headers=headers).json["id"] == "slow"
    assert server("GET", "/props", headers=headers, query=b"model=fast").status == 403


def test_a_key_for_models_that_are_not_served_is_told_so(house, server):
    headers = bearer(house.key(models=["gone"]))
    assert server("GET", "/v1/models", headers=headers).json["data"] == []
    reply = server.post(CHAT, {"model": "gone", **ASK}, headers=headers)
    assert reply.status == 404 and "is served now" in reply.json["error"]["message"]


def test_a_key_of_an_archived_project_is_known_and_refused(house, server):
    house.accounts.projects.create(OPERATOR, "acme", "old")
    headers = bearer(house.key(project="old"))
    house.accounts.projects.archive(OPERATOR, "acme", "old")
    reply = server("GET", "/v1/models", headers=headers)
    assert (reply.status, reply.json["error"]["code"]) == (403, "permission_denied")
    assert "project" in reply.json["error"]["message"]


def test_many_requests_with_a_new_key_read_it_once(house, monkeypatch):
    server, key, reads = behind_keys(house), house.key(), []
    fetch = house.accounts.keyring.fetch
    monkeypatch.setattr(house.accounts.keyring, "fetch", lambda key_id: reads.append(key_id) or fetch(key_id))

    async def all_of_them():
        return await asyncio.gather(*(server.call("GET", "/v1/models", headers=bearer(key)) for _ in range(50)))

    assert {reply.status for reply in asyncio.run(all_of_them())} == {200}
    assert len(reads) == 1
    assert server("GET", "/v1/models", headers=bearer(key)).status == 200
    assert len(reads) == 1


@pytest.mark.parametrize("error", [DatabaseAwayError("db.internal does not answer."), RuntimeError("a bug")])
def test_without_the_database_callers_come_again(house, monkeypatch, caplog, error):
    server, key = behind_keys(house), house.key()

    def fails(key_id: str):
        raise error

    monkeypatch.setattr(house.accounts.keyring, "fetch", fails)
    for _ in range(2):
        reply = server("GET", "/v1/models", headers=bearer(key))
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        assert reply.json["error"]["code"] == "accounts_unavailable" and str(error) not in reply.body.decode()
    (line,) = [record for record in caplog.records if record.name == "undiced.accounts"]
    assert str(error) in line.getMessage()
    monkeypatch.undo()
    assert server("GET", "/v1/models", headers=bearer(key)).status == 200


def test_more_keys_at_once_than_can_be_read_come_again(house, monkeypatch):
    monkeypatch.setattr("undiced.api.register._MOST_READ", 2)
    server, keys = behind_keys(house), [house.key() for _ in range(5)]

    async def all_of_them():
        return await asyncio.gather(*(server.call("GET", "/v1/models", headers=bearer(key)) for key in keys))

    assert sorted(reply.status for reply in asyncio.run(all_of_them())) == [200, 200, 503, 503, 503]


def test_an_answer_is_controlled_by_its_own_organization_alone(house):
    server = behind_keys(house, hang_at=5)
    own, same, other = house.key(), house.key(), house.key("globex")

    async def scene() -> list[int]:
        headers = bearer(own) | {"x-request-id": "mine"}
        asked = asyncio.create_task(server.call("POST", CHAT, {"model": "fast", "stream": True, **ASK}, headers))
        while not server.service.answers:
            await asyncio.sleep(0.01)
        (name,) = server.service.answers
        assert "mine" not in name
        found = []
        for key, id_ in ((other, name), (other, "mine"), (own, "mine"), (same, name), (own, name)):
            body = {"id": id_, "action": "reasoning_end"}
            found.append((await server.call("POST", CONTROL, body, bearer(key))).status)
        missing = await server.call("POST", CONTROL, {"id": name, "action": "reasoning_end"}, bearer(other))
        assert missing.json["error"]["message"].startswith(f"No answer '{name}' is running.")
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        return found

    assert asyncio.run(scene()) == [404, 404, 404, 200, 200]


def test_equal_request_ids_of_two_callers_are_two_answers(house, server):
    for org in ("acme", "globex"):
        assert (
            server.post(CHAT, {"model": "fast", **ASK}, headers=bearer(house.key(org)) | {"x-request-id": "x"}).status
            == 200
        )
    assert len({request.id for request in server.engine.submitted}) == 2


def test_logs_name_the_key_and_hold_no_secret(house, server, caplog):
    caplog.set_level(logging.DEBUG)
    made, text = house.fresh()
    server.post(CHAT, {"model": "fast", **ASK}, headers=bearer(text))
    server("GET", "/v1/models", headers=bearer(text + "x"))
    said = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    assert f"'key': '{made.id}'" in said
    assert not [secret for secret in house.secrets if secret.split("-", 2)[2] in said]


def test_the_register_keeps_watch_until_it_is_closed(house, monkeypatch):
    monkeypatch.setattr("undiced.api.register._LOOK_S", 0.01)
    made, text = house.fresh()

    async def scene() -> int:
        register = Register(house.accounts)
        await register.open()
        assert (await register.caller(text.encode(), "inference")).key_id == made.id
        living = house.accounts.instances.living()
        await asyncio.to_thread(house.accounts.keys.revoke, OPERATOR, made.id)
        for _ in range(500):
            await asyncio.sleep(0.01)
            try:
                await register.caller(text.encode(), "inference")
            except KeyRefusedError:
                await register.close()
                return len(living)
        raise AssertionError("the revoked key still opens")

    assert asyncio.run(scene()) == 1
    assert house.accounts.instances.living() == []
    assert house.accounts.keys.show(OPERATOR, made.id).last_used is not None
