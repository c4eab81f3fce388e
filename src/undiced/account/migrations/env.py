"""Runs migrations on the connection that `schema.upgrade` hands over. Alembic loads this file by its name."""

from alembic import context

config = context.config
context.configure(
    connection=config.attributes["connection"],
    transaction_per_migration=False,
    on_version_apply=lambda step, **_: config.attributes["told"](str(step.up_revision_id)),
)
context.run_migrations()
