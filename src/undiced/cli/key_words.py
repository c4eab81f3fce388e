"""Finds the key that somebody means, and says what it is: whose, until when, in what state. Changes nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from undiced.cli.accounts import operator, org_of
from undiced.cli.rows import show_rows
from undiced.cli.times import readable
from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undiced.account.accounts import Accounts
    from undiced.account.records import Key

_MANY = 5  # keys of one name that an error lists


def found_key(accounts: Accounts, ref: str, org: str | None, *, operators: bool = False, replaced: bool = False) -> Key:
    """The key that is meant by its id, its name, or its whole text; `replaced`: one that was rotated may be, too.

    Raises:
        UnknownNameError: there is none. InvalidRequestError: several are called that, or it is a mistyped key.
    """
    from undiced.account.errors import UnknownNameError
    from undiced.account.paging import LIST_MOST
    from undiced.account.secret_text import SecretText

    text = SecretText.parse(ref.strip(), "uk")
    if text is None and ref.startswith("uk-"):  # it may be a secret: it is not repeated
        raise InvalidRequestError("This is no whole key.", remedy="Give its id: the 12 characters after uk-.")
    try:
        return accounts.keys.show(operator(), ref if text is None else text.id)
    except UnknownNameError:
        if text is not None:
            raise
        place = None if operators else org_of(accounts, org)
        works = accounts.keys.list(operator(), place, name=ref, limit=LIST_MOST)
        named = [key for key in works if replaced or key.replaced_by is None]
        if len(named) == 1:
            return named[0]
        if not named:
            raise
    listed = ", ".join(called(key) for key in named[:_MANY])
    raise InvalidRequestError(f"Several keys are called {ref[:40]!r}: {listed}.", remedy="Give the id of one.")


def called(key: Key) -> str:
    """A key as people tell it from others."""
    return f"{key.id} ({', '.join(filter(None, (key.name, f'...{key.last_four}')))})"


def whose(accounts: Accounts, key: Key) -> str:
    """Whose key it is, in words."""
    if key.org_id is None:
        return "the operator"
    actor = operator()
    words = accounts.organizations.show(actor, key.org_id).name
    if key.project_id is not None:
        words += f"/{accounts.projects.show(actor, key.org_id, key.project_id).name}"
    if key.member_id is not None:
        words += f" ({accounts.members.show(actor, key.org_id, key.member_id).email})"
    return words


def end_of(key: Key) -> int | None:
    """When a key ends, as far as it is known."""
    ends = [at for at in (key.expires, key.overlap_until, key.revoked) if at is not None]
    return min(ends, default=None)


def state_of(key: Key, now_s: float) -> str:
    """What became of a key."""
    end = end_of(key)
    if key.revoked is not None and key.revoked == end:
        return "revoked"
    if key.replaced_by is not None:
        return "rotated"
    return "works" if end is None or end > now_s else "expired"


def show_keys(accounts: Accounts, org: str | None, keys: Sequence[Key], *, state: bool) -> None:
    """A table. `state`: there may be keys that have ended."""
    projects = (
        {} if org is None else {each.id: each.name for each in accounts.projects.list(operator(), org, archived=True)}
    )
    now_s, rows = time.time(), []
    for key in keys:
        place = projects.get(key.project_id, key.project_id) if key.project_id else "-"
        cells = [key.id, key.name, key.kind, place, f"...{key.last_four}", readable(end_of(key))]
        cells += [readable(key.last_used)] if not state else [state_of(key, now_s)]
        rows.append(cells)
    show_rows(
        ("ID", "NAME", "KIND", "PROJECT", "SECRET", "EXPIRES", "STATE" if state else "LAST USED"),
        rows,
        "No key: undiced key create makes one.",
    )


def key_lines(accounts: Accounts, key: Key) -> list[tuple[str, str]]:
    """What a key is, in words."""
    return [
        ("id", key.id),
        ("name", key.name or "-"),
        ("kind", key.kind),
        ("belongs to", whose(accounts, key)),
        ("secret", f"...{key.last_four}"),
        ("may", ", ".join(key.scopes)),
        ("models", "all" if key.models is None else ", ".join(key.models)),
        ("created", readable(key.created)),
        ("ends", readable(end_of(key))),
        ("state", _state_at_length(key)),
        ("last used", readable(key.last_used)),
    ]


def _state_at_length(key: Key) -> str:
    state = state_of(key, time.time())
    if state == "rotated":
        return f"rotated to {key.replaced_by}"
    return state
