"""Organizations are apart, and nobody gains a right: whatever holders of keys try, in any order, is held against the
obvious twin of `support.account_twin`. What they are told of others is what they are told of what does not exist.
"""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from support import account_twin as twin
from support.databases import OPERATOR, PEPPER, server, server_emptied, sqlite_template  # noqa: F401

from undiced.account.accounts import Accounts
from undiced.account.actor import Actor
from undiced.account.errors import ArchivedError, UnknownNameError
from undiced.account.keys import KeyOrder
from undiced.account.secret_text import SecretText
from undiced.account.tables import METADATA
from undiced.core.errors import KeyRefusedError, UndicedError

ROLES = ["org_admin", "billing", "project_admin", "member"]
INFERENCE = ["inference", "models", "priority", "metrics"]
SCOPES = [*twin.MANAGE, *INFERENCE]
KINDS = ["inference", "management", "console"]
FAKES = {"org": "org_000000000000", "project": "prj_000000000000", "member": "mem_000000000000", "key": "0" * 12}


@dataclass(frozen=True)
class Step:
    """One try: numbers choose among what there is."""

    verb: str
    who: int
    org: int
    a: int
    b: int
    role: str
    kind: str
    scopes: frozenset[str] | None


class World:
    """Two organizations with everything in them, and the secrets of all keys."""

    def __init__(self, accounts: Accounts) -> None:
        self.accounts = accounts
        self.texts: dict[str, SecretText] = {}
        self.invited: list[str] = []
        self.names = itertools.count()

    def found(self) -> None:
        """Make them."""
        for org in ("acme", "globex"):
            self.accounts.organizations.create(OPERATOR, org)
            self.accounts.projects.create(OPERATOR, org, "web")
            for role, project in zip(ROLES, (None, None, "web", "web"), strict=True):
                self.accounts.members.create(OPERATOR, org, f"{role}@{org}.com", role, project)
                scopes = (
                    None
                    if role == "org_admin"
                    else sorted(twin.ROLES[role] - {"all keys"} - set(twin.WIDE) | {"keys:read"})
                )
                for place in {None, project}:
                    self.key(KeyOrder("management", org, place, f"{role}@{org}.com", scopes=scopes))
            self.key(KeyOrder("management", org))
            self.key(KeyOrder("management", org, scopes=("keys:read", "keys:write", "projects:read")))
            self.key(
                KeyOrder("management", org, scopes=("keys:write", "members:read", "members:write", "projects:read"))
            )
            self.key(KeyOrder("console", org, "web"))
            self.key(KeyOrder("inference", org, "web", "member@" + org + ".com"))
            self.key(KeyOrder("inference", org, "default", scopes=("inference", "metrics")))
        self.key(KeyOrder("management", None))
        self.key(KeyOrder("management", None, scopes=("orgs:read", "keys:read", "keys:write")))

    def key(self, order: KeyOrder, actor: Actor = OPERATOR) -> None:
        key, text = self.accounts.keys.create(actor, order)
        self.texts[key.id] = text

    def state(self) -> twin.State:
        """All rows of all tables."""
        with self.accounts.database.read() as transaction:
            read = {
                table.name: list(transaction.connection.execute(select(table)).mappings())
                for table in METADATA.tables.values()
            }
        found: twin.State = {}
        for name, rows in read.items():
            named = [dict(row) for row in rows]
            if name == "keys":
                named = [{**row, "scopes": tuple(json.loads(row["scopes"])), "last_used": None} for row in named]
            found[name] = {str(row.get("id", row.get("seq", sorted(map(str, row.items()))))): row for row in named}
        return found

    def actor(self, state: twin.State, number: int) -> tuple[Actor, twin.Row] | None:
        """One of those who hold a key, as a server lets them in; the operator is one of them."""
        holders = [
            None,
            *(key for key in state["keys"].values() if key["id"] in self.texts and key["kind"] != "inference"),
        ]
        key = holders[number % len(holders)]
        if key is None:
            return OPERATOR, twin.OPERATOR
        caller = self.judged(key)
        assert (caller is not None) == twin.alive(state, key, self.now()), key
        return None if caller is None else (caller, key)

    def judged(self, key: twin.Row) -> Actor | None:
        """Who is let in with a key."""
        ring = self.accounts.keyring
        ring.keep(key["id"], ring.fetch(key["id"]))
        try:
            return ring.judge(self.texts[key["id"]], key["kind"]).actor("request")
        except (KeyRefusedError, ArchivedError):
            return None

    def now(self) -> int:
        with self.accounts.database.read() as transaction:
            return transaction.now

    def take(self, step: Step) -> None:
        """One try, and what has to be true after it."""
        before = self.state()
        any_key = _one({name: key for name, key in before["keys"].items() if name in self.texts}, step.b)
        assert (self.judged(any_key) is not None) == twin.alive(before, any_key, self.now()), any_key
        if (chosen := self.actor(before, step.who)) is None:
            return
        actor, holder = chosen
        see_lists(self.accounts, before, actor, holder)
        see_others(self.accounts, before, actor, holder, step)
        try:
            self.act(before, actor, step)
        except UndicedError as error:
            assert self.state() == before, "a refused try left something"
            error.message.encode()
            return
        after = self.state()
        wrong = twin.excess(before, after, holder) if step.verb != "accept" else []
        assert not wrong, (wrong, step, holder)
        see_audit(before, after, actor, step)

    def act(self, state: twin.State, actor: Actor, step: Step) -> None:
        accounts, fresh = self.accounts, next(self.names)
        near = actor.org_id if step.org % 4 else None  # mostly its own organization, where more is allowed
        org = state["organizations"][near]["name"] if near else _one(state["organizations"], step.org)["name"]
        project = _one(state["projects"], step.a, near)["id"]
        there = project if step.role in twin.IN_A_PROJECT else None
        person = _one(state["members"], step.b, near)["id"]
        key = _one(state["keys"], step.b, near)["id"]
        if step.verb == "create key":
            place = (None, project)[step.kind == "inference" or step.a % 2]
            owner = (None, None, actor.member_id, person)[step.b % 4]
            scopes = None if step.scopes is None else sorted(step.scopes)
            self.key(KeyOrder(step.kind, (org, None)[step.org % 7 == 6], place, owner, scopes=scopes), actor)
        elif step.verb == "rotate":
            new, text = accounts.keys.rotate(actor, key, overlap_s=step.a % 2 * 60)
            self.texts[new.id] = text
        elif step.verb == "revoke":
            accounts.keys.revoke(actor, key)
        elif step.verb == "project":
            accounts.projects.create(actor, org, f"p{fresh}")
        elif step.verb == "archive project":
            accounts.projects.archive(actor, org, project)
        elif step.verb == "org":
            accounts.organizations.create(actor, f"o{fresh}")
        elif step.verb == "archive org":
            accounts.organizations.archive(actor, org)
        elif step.verb == "member":
            accounts.members.create(actor, org, f"m{fresh}@x.com", step.role, there)
        elif step.verb == "archive member":
            accounts.members.archive(actor, org, person)
        elif step.verb == "grant":
            accounts.members.grant(actor, org, person, step.role, there)
        elif step.verb == "withdraw":
            grant = _one(state["grants"], step.a, near)
            accounts.members.withdraw(actor, org, grant["member_id"], grant["role"], grant["project_id"])
        elif step.verb == "invite":
            self.invited.append(
                accounts.invitations.create(actor, org, f"i{fresh}@x.com", step.role, there)[1].reveal()
            )
        elif step.verb == "accept":
            accounts.invitations.accept(self.invited[step.a % len(self.invited)] if self.invited else "")
        elif step.verb == "revoke invitation":
            chosen = _one(state["invitations"], step.a, near)["id"] if state["invitations"] else ""
            accounts.invitations.revoke(actor, org, chosen)


def see_lists(accounts: Accounts, state: twin.State, actor: Actor, holder: twin.Row) -> None:
    """Lists hold exactly what the twin says, in one's own organization."""
    tokens = twin.rights(state, holder)
    scopes = twin.scopes_of(tokens)
    mine = [org for org in state["organizations"] if holder["org_id"] in (None, org)]
    shown = _ids(lambda: accounts.organizations.list(actor, archived=True))
    assert shown == (set(mine) if "orgs:read" in scopes else None)
    for org in mine:
        listed = {
            "projects": _ids(lambda org=org: accounts.projects.list(actor, org, archived=True)),
            "members": _ids(lambda org=org: accounts.members.list(actor, org, archived=True)),
            "keys": _ids(lambda org=org: accounts.keys.list(actor, org, ended=True)),
            "invitations": _ids(lambda org=org: accounts.invitations.list(actor, org, ended=True)),
        }
        inside = {table: [row for row in state[table].values() if row["org_id"] == org] for table in listed}
        assert listed == {
            "projects": _if(
                "projects:read" in scopes, inside["projects"], lambda row: twin.sees_project(state, holder, row)
            ),
            "members": _if(
                "members:read" in scopes, inside["members"], lambda row: twin.sees_member(state, holder, row)
            ),
            "keys": _if("keys:read" in scopes, inside["keys"], lambda row: twin.sees_key(state, holder, row)),
            "invitations": _if(("members:read", org, None) in tokens, inside["invitations"], lambda _: True),
        }
        if listed["members"]:
            for person in accounts.members.list(actor, org, archived=True):
                far = {grant.project_id for grant in person.grants if grant.project_id is not None}
                assert all(twin.reaches_project(state, holder, state["projects"][project]) for project in far)
        entries = _audit(accounts, actor, org)
        assert entries == (
            {row["seq"] for row in state["audit"].values() if row["org_id"] == org}
            if ("audit:read", org, None) in tokens
            else None
        )


def see_others(accounts: Accounts, state: twin.State, actor: Actor, holder: twin.Row, step: Step) -> None:
    """Of what lies outside one's reach one is told what one is told of what does not exist."""
    orgs = [row for row in state["organizations"].values() if holder["org_id"] in (None, row["id"])]
    own = orgs[step.org % len(orgs)]["id"]
    far = {
        "org": [r["id"] for r in state["organizations"].values() if holder["org_id"] not in (None, r["id"])],
        "project": [
            r["id"]
            for r in state["projects"].values()
            if r["org_id"] != own or not twin.reaches_project(state, holder, r)
        ],
        "member": [
            r["id"]
            for r in state["members"].values()
            if r["org_id"] != own or not twin.reaches_member(state, holder, r)
        ],
        "key": [r["id"] for r in state["keys"].values() if not twin.sees_key(state, holder, r)],
    }
    keys, members, projects = accounts.keys, accounts.members, accounts.projects
    tries: dict[str, list[Callable[[str], object]]] = {
        "org": [
            lambda ref: accounts.organizations.show(actor, ref),
            lambda ref: accounts.organizations.archive(actor, ref),
            lambda ref: projects.list(actor, ref),
            lambda ref: accounts.audit.list(actor, ref),
            lambda ref: keys.list(actor, ref),
            lambda ref: keys.create(actor, KeyOrder(step.kind, ref, "default")),
            lambda ref: members.create(actor, ref, "a@b.c", "billing"),
            lambda ref: accounts.invitations.list(actor, ref),
        ],
        "project": [
            lambda ref: projects.show(actor, own, ref),
            lambda ref: projects.archive(actor, own, ref),
            lambda ref: projects.list(actor, own, after=ref),
            lambda ref: keys.list(actor, own, project=ref),
            lambda ref: keys.create(actor, KeyOrder(step.kind, own, ref)),
            lambda ref: members.create(actor, own, "a@b.c", "member", ref),
        ],
        "member": [
            lambda ref: members.show(actor, own, ref),
            lambda ref: members.archive(actor, own, ref),
            lambda ref: members.list(actor, own, after=ref),
            lambda ref: members.grant(actor, own, ref, "billing"),
            lambda ref: members.withdraw(actor, own, ref, "billing"),
            lambda ref: keys.create(actor, KeyOrder("management", own, member=ref)),
        ],
        "key": [
            lambda ref: keys.show(actor, ref),
            lambda ref: keys.rotate(actor, ref),
            lambda ref: keys.revoke(actor, ref),
            lambda ref: keys.list(actor, own, after=ref),
        ],
    }
    for kind, refs in far.items():
        if refs:
            ref = refs[step.a % len(refs)]
            attempt = tries[kind][step.b % len(tries[kind])]
            told, of_nothing = _told(attempt, ref), _told(attempt, FAKES[kind])
            assert told == of_nothing, (kind, told, of_nothing)


def see_audit(before: twin.State, after: twin.State, actor: Actor, step: Step) -> None:
    """Whatever changed is written down under its author's name, and what callers may do is told to all processes."""
    news = [row for seq, row in after["audit"].items() if seq not in before["audit"]]
    tables = ("organizations", "projects", "members", "grants", "keys", "invitations")
    changed = any(before[table] != after[table] for table in tables)
    assert bool(news) == changed
    if step.verb != "accept":
        assert {row["actor"] for row in news} <= {actor.name}
    lasting = any(
        before[table].get(name) not in (None, row) for table in tables[:5] for name, row in after[table].items()
    )
    lost = before["grants"].keys() - after["grants"].keys()
    if lasting or lost:
        assert before["facts"] != after["facts"]


def _told(attempt: Callable[[str], object], ref: str) -> tuple[str, str]:
    """How an attempt ends, without the name that it was about."""
    try:
        attempt(ref)
    except UndicedError as error:
        return type(error).__name__, str(error).replace(ref, "REF")
    raise AssertionError(f"{ref} was let in")


def _ids(lists: Callable[[], list[object]]) -> set[str] | None:
    """The ids that a list holds; None where it is refused."""
    try:
        return {row.id for row in lists()}
    except UnknownNameError:
        raise
    except UndicedError:
        return None


def _audit(accounts: Accounts, actor: Actor, org: str) -> set[int] | None:
    try:
        return {entry.seq for entry in accounts.audit.list(actor, org, limit=1000)}
    except UnknownNameError:
        raise
    except UndicedError:
        return None


def _if(may: bool, rows: list[twin.Row], seen: Callable[[twin.Row], bool]) -> set[str] | None:
    return {row["id"] for row in rows if seen(row)} if may else None


def _one(rows: dict[str, twin.Row], number: int, org: str | None = None) -> twin.Row:
    """One of some rows; of an organization, if it is named and has any."""
    names = sorted(name for name, row in rows.items() if org in (None, row.get("org_id"))) or sorted(rows)
    return rows[names[number % len(names)]]


VERBS = [
    "create key", "create key", "rotate", "revoke", "project", "archive project", "org", "archive org", "member",
    "archive member", "grant", "withdraw", "invite", "accept", "revoke invitation",
]  # fmt: skip


def drawn(random: Random) -> Step:
    """A step; scopes are mostly those of the kind."""
    numbers = [random.randrange(1000) for _ in range(4)]
    verb, role, kind = random.choice(VERBS), random.choice(ROLES), random.choice(KINDS)
    fitting = SCOPES if random.random() < 0.1 else INFERENCE if kind == "inference" else twin.MANAGE
    scopes = frozenset(random.sample(fitting, random.randint(1, 3)))
    return Step(verb, *numbers, role, kind, None if random.random() < 0.2 else scopes)


QUIET = settings(deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture
def pepper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDICED_PEPPER", PEPPER)


@pytest.mark.parametrize(
    ("examples", "steps"),
    [pytest.param(2, 15), pytest.param(300, 30, marks=[pytest.mark.slow, pytest.mark.timeout(7200)])],
)
def test_nobody_reads_changes_or_gains_what_is_not_theirs_on_sqlite(
    sqlite_template: Path,  # noqa: F811
    tmp_path: Path,
    pepper: None,
    examples: int,
    steps: int,
) -> None:
    numbers = itertools.count()

    first = Accounts(str(shutil.copy(sqlite_template, tmp_path / "first.db")))
    founded = World(first)
    founded.found()
    first.close()

    @settings(QUIET, max_examples=examples)
    @given(st.integers(0, 1 << 64))
    def tried(seed: int) -> None:
        place = shutil.copy(tmp_path / "first.db", tmp_path / f"{next(numbers)}.db")
        world = World(Accounts(str(place)))
        world.texts.update(founded.texts)
        run(world, Random(seed), steps)

    tried()


@pytest.mark.parametrize(
    ("examples", "steps"),
    [pytest.param(1, 6), pytest.param(60, 30, marks=[pytest.mark.slow, pytest.mark.timeout(7200)])],
)
def test_nobody_reads_changes_or_gains_what_is_not_theirs_on_postgresql(
    server_emptied: Callable[[], str],  # noqa: F811
    pepper: None,
    examples: int,
    steps: int,
) -> None:
    @settings(QUIET, max_examples=examples)
    @given(st.integers(0, 1 << 64))
    def tried(seed: int) -> None:
        world = World(Accounts(server_emptied()))
        world.found()
        run(world, Random(seed), steps)

    tried()


def run(world: World, random: Random, steps: int) -> None:
    try:
        for _ in range(steps):
            world.take(drawn(random))
    finally:
        world.accounts.close()
