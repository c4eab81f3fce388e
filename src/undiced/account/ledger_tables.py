"""The tables of limits, prices, balances and the ledger, beside those of `tables`.

Money is in nanos of the currency's unit, times of requests in Unix milliseconds, all others in Unix seconds. A request
has one row from its admission to its settlement; `entries` and `charges` are what balances and reports are sums of.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from undiced.account.tables import METADATA, SEQUENCE

LIMITS = Table(
    "limits",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("org_id", Text, ForeignKey("organizations.id"), nullable=False),
    Column("subject", Text, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("model", Text, nullable=False),  # '' is all
    Column("metric", Text, nullable=False),
    Column("window_s", BigInteger, nullable=False),  # 0 for concurrency
    Column("capacity", BigInteger, nullable=False),
    Column("level", BigInteger, nullable=False),  # as of Bucket; of concurrency: how many run
    Column("updated_ms", BigInteger, nullable=False),
    UniqueConstraint("subject_id", "model", "metric", "window_s"),
    CheckConstraint("subject IN ('organization', 'project', 'key')", name="subject"),
    CheckConstraint("metric IN ('requests', 'tokens', 'uncached_tokens', 'concurrency')", name="metric"),
    CheckConstraint("(metric = 'concurrency') = (window_s = 0)", name="window"),
    CheckConstraint("capacity > 0", name="capacity"),
)

PRICES = Table(
    "prices",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("valid_from", BigInteger, nullable=False),
    Column("valid_until", BigInteger),
    Column("input", BigInteger, nullable=False),  # nanos per million tokens
    Column("cached_input", BigInteger, nullable=False),
    Column("output", BigInteger, nullable=False),
    Column("batch_permille", BigInteger, nullable=False),
    Column("flex_permille", BigInteger, nullable=False),
    Column("priority_permille", BigInteger, nullable=False),
    UniqueConstraint("model", "valid_from"),
    CheckConstraint("input >= 0 AND cached_input >= 0 AND output >= 0", name="rates"),
    CheckConstraint("batch_permille >= 0 AND flex_permille >= 0 AND priority_permille >= 0", name="permille"),
    CheckConstraint("valid_until IS NULL OR valid_until > valid_from", name="time"),
)

WALLETS = Table(
    "wallets",
    METADATA,
    Column("org_id", Text, ForeignKey("organizations.id"), primary_key=True),
    Column("currency", Text, nullable=False),
    Column("prepaid", Integer, nullable=False),
    Column("balance", BigInteger, nullable=False),
    Column("reserved", BigInteger, nullable=False),
    CheckConstraint("reserved >= 0 AND (prepaid = 0 OR balance >= 0)", name="balance"),
)

CREDITS = Table(
    "credits",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("org_id", Text, ForeignKey("organizations.id"), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("remaining", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Column("note", Text, nullable=False),
    CheckConstraint("amount > 0 AND remaining >= 0 AND remaining <= amount", name="amount"),
    Index(None, "org_id", "created"),
)

REQUESTS = Table(
    "requests",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("request_id", Text, nullable=False),  # as the client knows it
    Column("org_id", Text, nullable=False),
    Column("project_id", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("instance_id", Text, nullable=False),
    Column("slot", BigInteger),
    Column("state", Text, nullable=False),
    Column("permille", BigInteger, nullable=False),
    Column("price_id", Text, ForeignKey("prices.id")),
    Column("held", Text, nullable=False),  # JSON: what was taken from which limit
    Column("held_tokens", BigInteger, nullable=False),  # of the answer, among it
    Column("reserved", BigInteger, nullable=False),  # the worst case of its charge
    Column("pledged", BigInteger, nullable=False),  # what of the wallet stands for that
    Column("created_ms", BigInteger, nullable=False),
    Column("finished_ms", BigInteger),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("charge", BigInteger, nullable=False),
    Column("finish_reason", Text, nullable=False),
    CheckConstraint("state IN ('open', 'settled', 'released', 'recovered')", name="state"),
    CheckConstraint("(state = 'open') = (finished_ms IS NULL)", name="end"),
    Index(None, "org_id", "created_ms"),
    Index(None, "key_id", "model", "created_ms"),
)
OPEN = text("state = 'open'")  # in words: an index of some rows is not used for a parameter
for _name in ("instance_id", "org_id"):
    Index(f"ix_requests_open_{_name}", REQUESTS.c[_name], sqlite_where=OPEN, postgresql_where=OPEN)

CHARGES = Table(  # what settled requests come to per day, so that reports need not read them
    "charges",
    METADATA,
    Column("org_id", Text, primary_key=True),
    Column("day", BigInteger, primary_key=True),  # since 1970, in UTC
    Column("project_id", Text, primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("charge", BigInteger, nullable=False),
)

ENTRIES = Table(  # of balances; rows are added and never changed
    "entries",
    METADATA,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    Column("org_id", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("ref", Text, nullable=False),
    CheckConstraint("kind IN ('credit', 'expiry', 'charge')", name="kind"),
    UniqueConstraint("kind", "ref"),  # nothing is counted twice
    Index(None, "org_id", "seq"),
    Index(None, "org_id", "at", "kind", "amount"),  # a month is read from it alone
    sqlite_autoincrement=True,
)

BUDGETS = Table(
    "budgets",
    METADATA,
    Column("subject_id", Text, primary_key=True),
    Column("org_id", Text, ForeignKey("organizations.id"), nullable=False),
    Column("subject", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),  # nanos per calendar month in UTC
    Column("stops", Integer, nullable=False),  # 0: it warns
    CheckConstraint("subject IN ('organization', 'project', 'key')", name="subject"),
    CheckConstraint("amount > 0", name="amount"),
)
