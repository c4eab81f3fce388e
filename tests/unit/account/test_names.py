"""Words from outside: made into valid values, or refused with the field that they came in."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.databases import OPERATOR

from undiced.account.accounts import Accounts
from undiced.account.errors import UnknownNameError
from undiced.account.names import (
    FOREVER,
    email_of,
    folded,
    kind_of,
    label_of,
    later,
    models_of,
    name_of,
    role_of,
    scopes_of,
    span,
)
from undiced.account.periods import Choice
from undiced.core.errors import InvalidRequestError

ODD = ["\x00", "a\nb", "\ud800", "a\u2028b", "\u202eabc", "\x7f", "\x9b"]


def refused(call: Callable[[], object], param: str) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as error:
        call()
    assert (error.value.status, error.value.param) == (400, param)
    assert error.value.remedy.endswith(".")
    str(error.value).encode()
    return error.value


@pytest.mark.parametrize("name", ["a", "9", "acme", "a-b.c", "x" * 63])
def test_names_that_are_some(name: str) -> None:
    assert name_of(name, "org") == name


@pytest.mark.parametrize("name", ["", "-a", "a-", ".", "A", "a_b", "a b", "x" * 64, "ä", "a\n", "../x", *ODD])
def test_names_that_are_none(name: str) -> None:
    refused(lambda: name_of(name, "org"), "org")


@pytest.mark.parametrize("email", ["Ada@Example.com", "a+b@x", "o'hara@a.b.c", "ü@example.com", "u\u0308@example.com"])
def test_an_address_is_stored_in_one_way(email: str) -> None:
    assert email_of(email) == folded(email) == email_of(email_of(email))
    assert folded("Ü@EXAMPLE.com") == folded("u\u0308@example.com")


@pytest.mark.parametrize(
    "email",
    [
        "",
        "a",
        "@b",
        "a@",
        "a@b@c",
        "a b@c",
        "a@-b",
        "a@b-",
        "a@b c",
        "a" * 65 + "@b",
        "a@" + "b" * 300,
        "a,b@c",
        "a@\u212aelvin",
    ]
    + [f"{odd}@example.com" for odd in ODD],
)
def test_addresses_that_are_none(email: str) -> None:
    refused(lambda: email_of(email), "email")


@given(st.text("aAİıßſKÅé\u0308\u0307ΣςǅͅᾼΐÏ", max_size=6))
def test_folding_twice_changes_nothing(text: str) -> None:
    assert folded(folded(text)) == folded(text)


def test_labels() -> None:
    for label in ("", "ci", "Ada's laptop (2)", "鍵", "x" * 100):
        assert label_of(label) == label
    for label in ("x" * 101, *ODD):
        refused(lambda label=label: label_of(label), "name")


def test_roles_and_kinds_name_what_there_is() -> None:
    assert role_of("org_admin", None) == "org_admin"
    assert role_of("member", "web") == "member"
    assert "belongs to a project" in str(refused(lambda: role_of("member", None), "project"))
    assert "whole organization" in str(refused(lambda: role_of("billing", "web"), "project"))
    assert "Use org_admin, billing, project_admin or member." in str(refused(lambda: role_of("root", None), "role"))
    assert "Use inference, management or console." in str(refused(lambda: kind_of("\x00"), "kind"))


def test_scopes_are_of_the_kind_and_the_place() -> None:
    assert scopes_of(None, "inference") == ("inference", "embeddings", "tokens", "models")
    assert scopes_of(["models", "models"], "inference") == ("models",)
    assert "audit:read" in scopes_of(None, "management")
    assert "audit:read" not in scopes_of(None, "management", bound=True)
    refused(lambda: scopes_of([], "inference"), "scopes")
    refused(lambda: scopes_of(["keys:write"], "inference"), "scopes")
    refused(lambda: scopes_of(["inference"], "console"), "scopes")
    assert "'audit:read' is for nothing" in str(
        refused(lambda: scopes_of(["audit:read"], "management", bound=True), "scopes")
    )


def test_models_times_and_spans() -> None:
    assert models_of(None, "inference") is None
    assert models_of(["m", "org/m", "m"], "inference") == ("m", "org/m")
    for models in ([], ["a b"], [""], ["x" * 201], ["\x00"], ["m"] * 65):
        refused(lambda models=models: models_of(models, "inference"), "models")
    assert "uses no models" in str(refused(lambda: models_of(["m"], "management"), "models"))
    assert later(None, 10, "expires") is None
    assert later(11, 10, "expires") == 11
    for time in (-1, 0, 10, FOREVER, 1 << 80):
        way = "a later" if time <= 10 else "an earlier"
        assert f"Give {way} one" in str(refused(lambda time=time: later(time, 10, "expires"), "expires"))
    assert span(0, 0, 5, "overlap_s") == 0
    assert span(5, 1, 5, "overlap_s") == 5
    for seconds in (-1, 0, 6, 1 << 80):
        refused(lambda seconds=seconds: span(seconds, 1, 5, "overlap_s"), "overlap_s")


@pytest.mark.parametrize("name", ODD)
def test_what_can_not_be_stored_names_nothing_of_limits_budgets_prices_and_usage(accounts: Accounts, name: str) -> None:
    org = accounts.organizations.create(OPERATOR, "acme").name
    unknown: list[Callable[[], object]] = [
        lambda: accounts.limits.list(OPERATOR, org, key=name),
        lambda: accounts.limits.set(OPERATOR, org, {"rpm": 1}, key=name),
        lambda: accounts.limits.remove(OPERATOR, org, name),
        lambda: accounts.budgets.set(OPERATOR, org, 1, key=name),
        lambda: accounts.budgets.remove(OPERATOR, org, key=name),
    ]
    for call in unknown:
        with pytest.raises(UnknownNameError):
            call()
    refused(lambda: accounts.prices.cancel(OPERATOR, name), "model")
    assert accounts.periods.sums(OPERATOR, Choice(models=(name,)), "1h", 0, 3600) == []
