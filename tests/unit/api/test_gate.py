"""Which hosts and which pages may use the server: what a browser can be made to send is refused, programs are not."""

from __future__ import annotations

import asyncio
import socket

import pytest
from test_connection import wired

from undiced.api.gate import Gate
from undiced.api.settings import Settings
from undiced.core.errors import InvalidRequestError

PATHS = ("/", "/v1/models", "/metrics", "/health", "/v1/chat/completions", "/static/app.js", "/nothing")
PAGE = "http://page.example:3000"
OPEN = Settings(origins=(PAGE,))


def verdict(settings=None, here="127.0.0.1", method="GET", path="/v1/models", **headers):
    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"method": method, "path": path, "headers": fields, "server": (here, 8000)}
    return Gate(settings or Settings()).judge(scope)


def told(found):
    return {name.decode(): value.decode() for name, value in found.fields}


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST:8000", "localhost.", "chat.localhost:1", "127.0.0.1", "127.0.0.1:8000", "127.9.9.9"),
        *("[::1]", "[::1]:8000", "[0:0:0:0:0:0:0:1]:80", "[::ffff:127.0.0.1]:8000", socket.gethostname()),
    ],
)
def test_this_machine_s_own_names_are_known(host):
    assert verdict(host=host).error is None


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8000", "localhost.evil.example", "notlocalhost", "127.0.0.1.evil.example"),
        *("10.0.0.1", "169.254.169.254", "[2001:db8::1]:8000", "0x7f.1", "2130706433", "127.1", "[::1", "a b", "*"),
    ],
)
def test_other_names_are_refused_and_the_remedy_is_said(host):
    error = verdict(host=host).error
    assert (error.status, error.code) == (403, "host_not_allowed")
    assert "--allow-host" in str(error)


@pytest.mark.parametrize(("allowed", "host"), [
    ("api.example", "api.example:8000"), ("API.example.", "api.example"), ("*.example", "a.b.example"),
    ("*", "anything.at.all"), ("10.0.0.1", "10.0.0.1:8000"), ("2001:db8::1", "[2001:db8:0::1]:8000"),
    ("my_box", "my_box"),
])  # fmt: skip
def test_names_that_are_allowed_are_known(allowed, host):
    assert verdict(Settings(hosts=(allowed,)), host=host).error is None
    assert verdict(Settings(hosts=(allowed,)), host="other.invalid").error is None or allowed != "*"


def test_a_pattern_is_for_what_is_below_it_alone():
    gate = Settings(hosts=("*.example",))
    assert verdict(gate, host="example").error and verdict(gate, host="badexample").error


def test_bound_to_all_addresses_any_address_is_known_and_no_further_name():
    for host in ("10.0.0.1:8000", "203.0.113.9", "[2001:db8::1]:8000", "localhost", "127.0.0.1"):
        assert verdict(here="192.168.1.5", host=host).error is None
    assert verdict(here="192.168.1.5", host="evil.example").error


@pytest.mark.parametrize("origin", [
    PAGE, "null", "https://localhost:8000.evil.example", "http://localhost:3000", "http://localhost", "file://",
    "chrome-extension://abcdef", "", "http://localhost:8000@evil.example", "ftp://localhost:8000",
])  # fmt: skip
def test_pages_of_other_origins_are_refused(origin):
    found = verdict(host="localhost:8000", origin=origin, method="POST")
    assert (found.error.status, found.error.code) == (403, "origin_not_allowed")
    assert "--allow-origin" in str(found.error) and "access-control-allow-origin" not in told(found)


@pytest.mark.parametrize(("origin", "host"), [
    ("http://localhost:8000", "localhost:8000"), ("http://127.0.0.1", "127.0.0.1:80"),
    ("https://LOCALHOST", "localhost"), ("http://[::1]:8000", "[::1]:8000"),
])  # fmt: skip
def test_our_own_page_is_served(origin, host):
    assert verdict(host=host, origin=origin, method="POST").error is None


@pytest.mark.parametrize("site", ["cross-site", "same-site", "rubbish"])
def test_what_a_browser_says_is_from_elsewhere_is_refused_without_an_origin_too(site):
    for path in PATHS:
        assert verdict(host="localhost", sec_fetch_site=site, path=path).error.status == 403
    assert verdict(Settings(origins=("*",)), host="localhost", sec_fetch_site=site).error is None


def test_a_link_leads_to_the_chat_page_and_to_nothing_else():
    link = {"host": "localhost", "sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
    assert verdict(path="/", sec_fetch_dest="document", **link).error is None
    assert verdict(path="/", sec_fetch_dest="iframe", **link).error
    assert verdict(path="/metrics", sec_fetch_dest="document", **link).error
    assert verdict(path="/", method="POST", sec_fetch_dest="document", **link).error


@pytest.mark.parametrize("site", ["none", "same-origin"])
def test_what_users_open_and_what_our_page_loads_is_served(site):
    assert all(verdict(host="localhost", sec_fetch_site=site, path=path).error is None for path in PATHS)


@pytest.mark.parametrize("origin", [PAGE, "HTTP://PAGE.example:3000"])
def test_an_allowed_page_may_read_answers(origin):
    found = verdict(OPEN, host="localhost", origin=origin, method="POST")
    assert found.error is None and not found.preflight
    assert told(found)["access-control-allow-origin"] == origin
    assert told(found)["vary"] == "Origin" and "x-request-id" in told(found)["access-control-expose-headers"]


def test_answers_to_others_vary_too():
    assert told(verdict(OPEN, host="localhost"))["vary"] == "Origin"
    assert told(verdict(OPEN, host="localhost", origin="http://other.example"))["vary"] == "Origin"
    assert "vary" not in told(verdict(host="localhost"))


def test_a_preflight_is_answered_for_allowed_pages_alone():
    asked = {"method": "OPTIONS", "host": "localhost", "access_control_request_method": "POST"}
    asked |= {"access_control_request_headers": "authorization,content-type,x-stainless-lang"}
    found = verdict(OPEN, origin=PAGE, access_control_request_private_network="true", **asked)
    assert found.preflight
    assert told(found)["access-control-allow-headers"] == "authorization,content-type,x-stainless-lang"
    assert "POST" in told(found)["access-control-allow-methods"]
    assert told(found)["access-control-allow-private-network"] == "true"
    assert "access-control-allow-private-network" not in told(verdict(OPEN, origin=PAGE, **asked))
    assert verdict(OPEN, origin="http://other.example", **asked).error.status == 403
    every = verdict(Settings(origins=("*",)), origin="http://other.example", **asked)
    assert every.preflight and told(every)["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    "text", ["http://a.example:3000/", "https://a.example:443", "null", "*", "app://x", "http://[::1]:3"]
)
def test_origins_that_may_be_allowed(text):
    sent = text.rstrip("/").removesuffix(":443") if text != "*" else "http://any.example"
    assert verdict(Settings(origins=(text,)), host="localhost", origin=sent).error is None


@pytest.mark.parametrize("text", ["", "localhost:3000", "http://", "http://a/b", "http://a b", "a"])
def test_what_is_no_origin_is_refused(text):
    with pytest.raises(InvalidRequestError, match="no origin"):
        Gate(Settings(origins=(text,)))


@pytest.mark.parametrize("text", ["", "http://a", "a:80", "a/b", "a*", "*a", "**"])
def test_what_is_no_host_is_refused(text):
    with pytest.raises(InvalidRequestError, match="no host"):
        Gate(Settings(hosts=(text,)))


def chat(**fields):
    return {"model": "m", "messages": [{"role": "user", "content": "x"}], **fields}


@pytest.mark.parametrize("path", PATHS)
def test_every_path_is_guarded_and_never_framed(caller, path):
    for headers in ({"host": "evil.example"}, {"origin": "http://evil.example", "host": "localhost"}):
        reply = caller("GET", path, headers=headers)
        assert reply.status == 403 and reply.json["status_code"] == 403
        assert reply.headers["x-request-id"] == reply.json["error"]["id"]
    reply = caller("GET", path, headers={"host": "localhost"})
    assert reply.status in (200, 404, 405)
    assert (reply.headers["x-frame-options"], reply.headers["x-content-type-options"]) == ("DENY", "nosniff")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_forms_of_other_sites_run_nothing(caller, kind):
    headers = {"origin": "http://evil.example", "host": "localhost", "content-type": kind}
    assert caller.post("/v1/chat/completions", chat(), headers=headers).status == 403
    assert not caller.engine.submitted


def test_an_allowed_page_can_read_streams_answers_and_errors(make):
    caller, headers = make(settings=OPEN), {"host": "localhost", "origin": PAGE}
    replies = [
        caller.post("/v1/chat/completions", chat(stream=True), headers=headers),
        caller.post("/v1/chat/completions", chat(), headers=headers),
        caller.post("/v1/chat/completions", b"{", headers=headers),
        caller.post("/v1/chat/completions", b"x" * (5 << 20), headers=headers),
        caller("GET", "/nothing", headers=headers),
        caller("DELETE", "/v1/models", headers=headers),
    ]
    assert [reply.status for reply in replies] == [200, 200, 400, 413, 404, 405]
    assert all(reply.headers["access-control-allow-origin"] == PAGE for reply in replies)


def test_a_bug_is_readable_for_an_allowed_page_too(make):
    caller = make(settings=OPEN)
    caller.service.state = "ready"
    caller.service.bodies.load = None
    reply = caller.post("/v1/chat/completions", chat(), headers={"host": "localhost", "origin": PAGE})
    assert reply.status == 500 and reply.headers["access-control-allow-origin"] == PAGE


def test_a_preflight_reaches_no_endpoint(make):
    headers = {"host": "localhost", "origin": PAGE, "access-control-request-method": "POST"}
    reply = make(settings=OPEN)("OPTIONS", "/v1/chat/completions", headers=headers)
    assert reply.status == 204 and reply.body == b""


async def test_a_target_that_names_another_host_counts(make):
    async def scenario(client, dial, caller):
        for target, host, status in (
            (b"http://evil.example/health", b"localhost", 403),
            (b"http://localhost/health", b"evil.example", 200),
            (b"/health", b"evil.example", 403),
            (b"/health", b"localhost", 200),
        ):
            wire = await dial()
            await wire.send(b"GET %b HTTP/1.1\r\nhost: %b\r\n\r\n" % (target, host))
            assert (await wire.answer())[0] == status
            await asyncio.sleep(0)

    await wired(make, scenario)
