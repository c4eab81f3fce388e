"""A server with a key answers nobody without it, but for its health and its chat page."""

from __future__ import annotations

import pytest

from undiced.api.key import Lock
from undiced.api.settings import Settings
from undiced.core.errors import InvalidRequestError

KEY = "sk-right_1"


@pytest.fixture
def locked(make):
    return make(settings=Settings(api_key=KEY))


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer   {KEY} "},
        {"x-api-key": KEY},
        {"x-api-key": KEY, "authorization": f"Bearer {KEY}"},
    ],
)
def test_the_key_opens_in_either_header(locked, headers):
    assert locked("GET", "/v1/models", headers=headers).status == 200
    assert locked("GET", "/metrics", headers=headers).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer"},
        {"authorization": f"Basic {KEY}"},
        {"authorization": "Bearer sk-wrong"},
        {"authorization": f"Bearer {KEY}x"},
        {"x-api-key": KEY[:-1]},
        {"x-api-key": "ö"},
        {"x-api-key": KEY, "authorization": "Bearer sk-wrong"},
    ],
)
@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions", "/metrics", "/nowhere", "/health/"])
def test_without_it_everything_is_refused_as_openai_does(locked, headers, path):
    reply = locked("GET", path, headers=headers)
    error = reply.json["error"]
    assert (reply.status, error["code"], error["type"]) == (401, "wrong_api_key", "invalid_request_error")
    assert reply.headers["www-authenticate"] == "Bearer"
    assert KEY not in reply.body.decode()


@pytest.mark.parametrize("path", ["/health", "/", "/static/style.css"])
def test_health_and_the_page_stay_open(locked, path):
    assert locked("GET", path).status == 200


def test_a_preflight_carries_no_key(make):
    caller = make(settings=Settings(origins=("http://a.example",), api_key=KEY))
    headers = {"host": "localhost", "origin": "http://a.example", "access-control-request-method": "POST"}
    assert caller("OPTIONS", "/v1/models", headers=headers).status == 204


@pytest.mark.parametrize("key", ["", " ", "two words", "ö", "x" * 513, "line\nbreak"])
def test_a_key_that_no_header_can_carry_is_refused_at_the_start(key):
    with pytest.raises(InvalidRequestError, match="visible ASCII"):
        Lock(key)


def test_settings_do_not_show_the_key():
    assert KEY not in repr(Settings(api_key=KEY))
