"""Looks and fetches that overlap with changes, in any order: whoever is let in was so in the database at most five
seconds ago, and whoever was read after the last change is not forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st

from undiced.account.errors import DatabaseAwayError
from undiced.account.keyring import TRUST_S, Caller, Entry, Fetched, Keyring, Read
from undiced.account.secret_text import SecretText

PEPPER = b"pepper" * 8
TEXTS = [SecretText.new("uk") for _ in range(2)]
CALLER = Caller("", "inference", None, "", None, None, frozenset(), None, None)


class Database:
    """A clock, a counter, and for each key its version and how the versions came about."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.counter = 0
        self.since = [[0.0], [0.0]]  # when each version of each key began

    def change(self, key: int) -> None:
        self.since[key].append(self.now_s)
        self.counter += 1

    def was(self, key: int, version: int, seconds: float) -> bool:
        """Whether that was the version at any moment of the last seconds."""
        began, ended = self.since[key][version], [*self.since[key], inf][version + 1]
        return began <= self.now_s and ended >= self.now_s - seconds


@dataclass
class Asked:
    """A look, or a fetch of a key, on its way."""

    key: int | None
    began_s: float
    read: Read | None = None


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["wait", "wait", "change", "look", "fetch", "fetch", "read", "read", "take", "judge"]),
        st.integers(0, 7),
    ),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_who_is_let_in_was_so_within_the_time_of_trust(steps: list[tuple[str, int]]) -> None:
    database, asked = Database(), list[Asked]()
    ring = Keyring(None, PEPPER, clock=lambda: database.now_s)  # type: ignore[arg-type]
    for verb, number in steps:
        if verb == "wait":
            database.now_s += (0.0, 0.001, 0.5, 1.0, 2.0, 4.0, 5.0, 6.0)[number]
        elif verb == "change":
            database.change(number % 2)
        elif verb in ("look", "fetch"):
            asked.append(Asked(number % 2 if verb == "fetch" else None, database.now_s))
        elif verb == "read" and (waiting := [each for each in asked if each.read is None]):
            each = waiting[number % len(waiting)]
            each.read = seen(database, each)
        elif verb == "take" and (ready := [each for each in asked if each.read is not None]):
            each = ready[number % len(ready)]
            asked.remove(each)
            deliver(ring, database, each)
        elif verb == "judge":
            judge(ring, database, number % 2)
    for key in range(2):
        judge(ring, database, key)


def seen(database: Database, asked: Asked) -> Read:
    read = Read(database.counter, database.now_s, asked.began_s)
    if asked.key is None:
        return read
    version = str(len(database.since[asked.key]) - 1)
    entry = Entry(TEXTS[asked.key].digest(PEPPER), replace(CALLER, org_name=version), inf, "")
    return Fetched(read.counter, read.now_s, read.began_s, entry)


def deliver(ring: Keyring, database: Database, asked: Asked) -> None:
    assert asked.read is not None
    if asked.key is None:
        ring.take(asked.read)
        return
    assert isinstance(asked.read, Fetched)
    ring.keep(TEXTS[asked.key].id, asked.read)
    if asked.read.counter == database.counter and database.now_s - asked.began_s <= TRUST_S:
        assert ring.remembers(TEXTS[asked.key].id), "what was read after the last change is kept"


def judge(ring: Keyring, database: Database, key: int) -> None:
    remembered = ring.remembers(TEXTS[key].id)
    try:
        caller = ring.judge(TEXTS[key], "inference")
    except DatabaseAwayError:
        assert not remembered
        return
    assert remembered
    assert database.was(key, int(caller.org_name), TRUST_S), "an older state is believed"
