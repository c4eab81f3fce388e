"""Organizations, projects, members, roles, keys, invitations, the audit and instances."""

import sqlalchemy as sa
from alembic import op

from undiced.account.kept import keep_forever

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ROLE = "role IN ('org_admin', 'project_admin', 'member', 'billing')"
_PLACE = "(role IN ('project_admin', 'member')) = (project_id IS NOT NULL)"


def upgrade() -> None:
    op.create_table(
        "organizations",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("archived", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_organizations"),
        sa.UniqueConstraint("name", name="uq_organizations_name"),
    )
    op.create_table(
        "projects",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("org_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("archived", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name="fk_projects_org_id"),
        sa.UniqueConstraint("org_id", "name", name="uq_projects_org_id_name"),
        sa.UniqueConstraint("id", "org_id", name="uq_projects_id_org_id"),
    )
    op.create_table(
        "members",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("org_id", sa.Text, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("archived", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_members"),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name="fk_members_org_id"),
        sa.UniqueConstraint("id", "org_id", name="uq_members_id_org_id"),
    )
    op.create_index("ix_members_org_id_email", "members", ["org_id", "email"])
    here = sa.text("archived IS NULL")
    columns = ["org_id", "email"]
    op.create_index("ix_members_once", "members", columns, unique=True, sqlite_where=here, postgresql_where=here)
    op.create_table(
        "grants",
        sa.Column("member_id", sa.Text, nullable=False),
        sa.Column("org_id", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("project_id", sa.Text),
        _of("grants", "members", "member_id"),
        _of("grants", "projects", "project_id"),
        sa.CheckConstraint(_ROLE, name="ck_grants_role"),
        sa.CheckConstraint(_PLACE, name="ck_grants_place"),
    )
    op.create_index("ix_grants_once", "grants", ["member_id", "role", sa.text("coalesce(project_id, '')")], unique=True)
    op.create_table(
        "keys",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("org_id", sa.Text),
        sa.Column("project_id", sa.Text),
        sa.Column("member_id", sa.Text),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("last_four", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("models", sa.Text),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger),
        sa.Column("revoked", sa.BigInteger),
        sa.Column("replaced_by", sa.Text),
        sa.Column("overlap_until", sa.BigInteger),
        sa.Column("last_used", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name="fk_keys_org_id"),
        sa.ForeignKeyConstraint(["replaced_by"], ["keys.id"], name="fk_keys_replaced_by"),
        _of("keys", "projects", "project_id"),
        _of("keys", "members", "member_id"),
        sa.CheckConstraint("kind IN ('inference', 'management', 'console')", name="ck_keys_kind"),
        sa.CheckConstraint("kind <> 'inference' OR project_id IS NOT NULL", name="ck_keys_project"),
        sa.CheckConstraint("org_id IS NOT NULL OR (project_id IS NULL AND member_id IS NULL)", name="ck_keys_operator"),
        sa.CheckConstraint("(replaced_by IS NULL) = (overlap_until IS NULL)", name="ck_keys_overlap"),
    )
    op.create_index("ix_keys_org_id_created", "keys", ["org_id", "created", "id"])
    op.create_table(
        "invitations",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("org_id", sa.Text, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("project_id", sa.Text),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.Column("accepted", sa.BigInteger),
        sa.Column("revoked", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_invitations"),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name="fk_invitations_org_id"),
        _of("invitations", "projects", "project_id"),
        sa.CheckConstraint(_ROLE, name="ck_invitations_role"),
        sa.CheckConstraint(_PLACE, name="ck_invitations_place"),
    )
    op.create_index("ix_invitations_org_id_created", "invitations", ["org_id", "created"])
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("org_id", sa.Text),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_org_id_seq", "audit", ["org_id", "seq"])
    keep_forever("audit")
    op.create_table(
        "instances",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.BigInteger, nullable=False),
        sa.Column("started", sa.BigInteger, nullable=False),
        sa.Column("heartbeat", sa.BigInteger, nullable=False),
        sa.Column("stopped", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_instances"),
    )
    facts = op.create_table(
        "facts",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_facts"),
    )
    op.bulk_insert(facts, [{"name": "changes", "value": "0"}])


def _of(table: str, owners: str, column: str) -> sa.ForeignKeyConstraint:
    """A reference that holds only inside one organization."""
    return sa.ForeignKeyConstraint(
        [column, "org_id"], [f"{owners}.id", f"{owners}.org_id"], name=f"fk_{table}_{column}_org_id"
    )
