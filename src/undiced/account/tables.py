"""The tables of the accounts' database, the same on SQLite and PostgreSQL. Times are Unix seconds.

What the tables are now; how databases come to be so is written in `migrations/`, and a test holds the two equal.
What belongs to a project refers to it together with its organization: the database itself keeps organizations apart.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)
SEQUENCE = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows of INTEGER alone

ORGANIZATIONS = Table(
    "organizations",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created", BigInteger, nullable=False),
    Column("archived", BigInteger),
)

PROJECTS = Table(
    "projects",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("org_id", Text, ForeignKey("organizations.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("archived", BigInteger),
    UniqueConstraint("org_id", "name"),
    UniqueConstraint("id", "org_id"),
)

MEMBERS = Table(
    "members",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("org_id", Text, ForeignKey("organizations.id"), nullable=False),
    Column("email", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("archived", BigInteger),
    UniqueConstraint("id", "org_id"),
    Index(None, "org_id", "email"),
)
_HERE = MEMBERS.c.archived.is_(None)  # who left may come back, as another member
Index("ix_members_once", MEMBERS.c.org_id, MEMBERS.c.email, unique=True, sqlite_where=_HERE, postgresql_where=_HERE)

GRANTS = Table(
    "grants",
    METADATA,
    Column("member_id", Text, nullable=False),
    Column("org_id", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("project_id", Text),
    ForeignKeyConstraint(("member_id", "org_id"), ("members.id", "members.org_id")),
    ForeignKeyConstraint(("project_id", "org_id"), ("projects.id", "projects.org_id")),
    CheckConstraint("role IN ('org_admin', 'project_admin', 'member', 'billing')", name="role"),
    CheckConstraint("(role IN ('project_admin', 'member')) = (project_id IS NOT NULL)", name="place"),
)
Index("ix_grants_once", GRANTS.c.member_id, GRANTS.c.role, text("coalesce(project_id, '')"), unique=True)

KEYS = Table(
    "keys",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("org_id", Text, ForeignKey("organizations.id")),
    Column("project_id", Text),
    Column("member_id", Text),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("last_four", Text, nullable=False),
    Column("scopes", Text, nullable=False),  # JSON lists
    Column("models", Text),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Column("revoked", BigInteger),
    Column("replaced_by", Text, ForeignKey("keys.id")),
    Column("overlap_until", BigInteger),
    Column("last_used", BigInteger),
    ForeignKeyConstraint(("project_id", "org_id"), ("projects.id", "projects.org_id")),
    ForeignKeyConstraint(("member_id", "org_id"), ("members.id", "members.org_id")),
    CheckConstraint("kind IN ('inference', 'management', 'console')", name="kind"),
    CheckConstraint("kind <> 'inference' OR project_id IS NOT NULL", name="project"),
    CheckConstraint("org_id IS NOT NULL OR (project_id IS NULL AND member_id IS NULL)", name="operator"),
    CheckConstraint("(replaced_by IS NULL) = (overlap_until IS NULL)", name="overlap"),
)
Index("ix_keys_org_id_created", KEYS.c.org_id, KEYS.c.created, KEYS.c.id)

INVITATIONS = Table(
    "invitations",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("org_id", Text, ForeignKey("organizations.id"), nullable=False),
    Column("email", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("project_id", Text),
    Column("digest", LargeBinary, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("accepted", BigInteger),
    Column("revoked", BigInteger),
    ForeignKeyConstraint(("project_id", "org_id"), ("projects.id", "projects.org_id")),
    CheckConstraint("role IN ('org_admin', 'project_admin', 'member', 'billing')", name="role"),
    CheckConstraint("(role IN ('project_admin', 'member')) = (project_id IS NOT NULL)", name="place"),
    Index(None, "org_id", "created"),
)

AUDIT = Table(
    "audit",
    METADATA,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("org_id", Text),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("before", Text),  # JSON
    Column("after", Text),
    Column("request_id", Text, nullable=False),
    Index(None, "org_id", "seq"),
    sqlite_autoincrement=True,  # a number is never given twice
)

INSTANCES = Table(
    "instances",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("started", BigInteger, nullable=False),
    Column("heartbeat", BigInteger, nullable=False),
    Column("stopped", BigInteger),
)

FACTS = Table(  # of the database itself: `pepper`, a fingerprint; `changes`, how often anything about callers changed
    "facts",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
