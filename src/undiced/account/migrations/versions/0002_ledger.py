"""Limits, prices, balances, the ledger of requests, sums per day, and budgets."""

import sqlalchemy as sa
from alembic import op

from undiced.account.kept import keep_forever

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SUBJECT = "subject IN ('organization', 'project', 'key')"


def upgrade() -> None:
    op.create_table(
        "limits",
        _text("id"),
        _text("org_id"),
        _text("subject"),
        _text("subject_id"),
        _text("model"),
        _text("metric"),
        _number("window_s"),
        _number("capacity"),
        _number("level"),
        _number("updated_ms"),
        sa.PrimaryKeyConstraint("id", name="pk_limits"),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name="fk_limits_org_id"),
        sa.UniqueConstraint(
            "subject_id", "model", "metric", "window_s", name="uq_limits_subject_id_model_metric_window_s"
        ),
        sa.CheckConstraint(_SUBJECT, name="ck_limits_subject"),
        sa.CheckConstraint(
            "metric IN ('requests', 'tokens', 'uncached_tokens', 'concurrency')", name="ck_limits_metric"
        ),
        sa.CheckConstraint("(metric = 'concurrency') = (window_s = 0)", name="ck_limits_window"),
        sa.CheckConstraint("capacity > 0", name="ck_limits_capacity"),
    )
    op.create_table(
        "prices",
        _text("id"),
        _text("model"),
        _text("currency"),
        _number("valid_from"),
        _number("valid_until", nullable=True),
        _number("input"),
        _number("cached_input"),
        *map(_number, ("output", "batch_permille", "flex_permille", "priority_permille")),
        sa.PrimaryKeyConstraint("id", name="pk_prices"),
        sa.UniqueConstraint("model", "valid_from", name="uq_prices_model_valid_from"),
        sa.CheckConstraint("input >= 0 AND cached_input >= 0 AND output >= 0", name="ck_prices_rates"),
        sa.CheckConstraint(
            "batch_permille >= 0 AND flex_permille >= 0 AND priority_permille >= 0", name="ck_prices_permille"
        ),
        sa.CheckConstraint("valid_until IS NULL OR valid_until > valid_from", name="ck_prices_time"),
    )
    op.create_table(
        "wallets",
        _text("org_id"),
        _text("currency"),
        sa.Column("prepaid", sa.Integer, nullable=False),
        _number("balance"),
        _number("reserved"),
        sa.PrimaryKeyConstraint("org_id", name="pk_wallets"),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name="fk_wallets_org_id"),
        sa.CheckConstraint("reserved >= 0 AND (prepaid = 0 OR balance >= 0)", name="ck_wallets_balance"),
    )
    op.create_table(
        "credits",
        _text("id"),
        _text("org_id"),
        _number("amount"),
        _number("remaining"),
        _number("created"),
        _number("expires", nullable=True),
        _text("note"),
        sa.PrimaryKeyConstraint("id", name="pk_credits"),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name="fk_credits_org_id"),
        sa.CheckConstraint("amount > 0 AND remaining >= 0 AND remaining <= amount", name="ck_credits_amount"),
    )
    op.create_index("ix_credits_org_id_created", "credits", ["org_id", "created"])
    op.create_table(
        "requests",
        *map(_text, ("id", "request_id", "org_id", "project_id", "key_id", "model", "instance_id")),
        _number("slot", nullable=True),
        _text("state"),
        _number("permille"),
        sa.Column("price_id", sa.Text),
        _text("held"),
        *map(_number, ("held_tokens", "reserved", "pledged", "created_ms")),
        _number("finished_ms", nullable=True),
        *map(_number, ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens", "charge")),
        _text("finish_reason"),
        sa.PrimaryKeyConstraint("id", name="pk_requests"),
        sa.ForeignKeyConstraint(["price_id"], ["prices.id"], name="fk_requests_price_id"),
        sa.CheckConstraint("state IN ('open', 'settled', 'released', 'recovered')", name="ck_requests_state"),
        sa.CheckConstraint("(state = 'open') = (finished_ms IS NULL)", name="ck_requests_end"),
    )
    op.create_index("ix_requests_org_id_created_ms", "requests", ["org_id", "created_ms"])
    op.create_index("ix_requests_key_id_model_created_ms", "requests", ["key_id", "model", "created_ms"])
    still_open = sa.text("state = 'open'")
    for name in ("instance_id", "org_id"):
        op.create_index(
            f"ix_requests_open_{name}", "requests", [name], sqlite_where=still_open, postgresql_where=still_open
        )
    places = ("project_id", "key_id", "model")
    sums = ("requests", "prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens", "charge")
    op.create_table(
        "charges",
        _text("org_id"),
        _number("day"),
        *map(_text, places),
        *map(_number, sums),
        sa.PrimaryKeyConstraint("org_id", "day", *places, name="pk_charges"),
    )
    op.create_table(
        "entries",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False),
        _text("org_id"),
        _number("at"),
        _text("kind"),
        _number("amount"),
        _text("ref"),
        sa.PrimaryKeyConstraint("seq", name="pk_entries"),
        sa.UniqueConstraint("kind", "ref", name="uq_entries_kind_ref"),
        sa.CheckConstraint("kind IN ('credit', 'expiry', 'charge')", name="ck_entries_kind"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_entries_org_id_seq", "entries", ["org_id", "seq"])
    op.create_index("ix_entries_org_id_at_kind_amount", "entries", ["org_id", "at", "kind", "amount"])
    keep_forever("entries", "kind", "ref")
    op.create_table(
        "budgets",
        _text("subject_id"),
        _text("org_id"),
        _text("subject"),
        _number("amount"),
        sa.Column("stops", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("subject_id", name="pk_budgets"),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name="fk_budgets_org_id"),
        sa.CheckConstraint(_SUBJECT, name="ck_budgets_subject"),
        sa.CheckConstraint("amount > 0", name="ck_budgets_amount"),
    )


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _number(name: str, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)
