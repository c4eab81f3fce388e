"""Tables whose rows are added and never changed: the triggers that see to it, for migrations. Knows alembic, no table.

SQLite's REPLACE deletes the rows that it meets without any trigger of DELETE, so it is refused before.
"""

from __future__ import annotations

from alembic import op


def keep_forever(table: str, *unique: str) -> None:
    """Refuse to change or delete rows of a table. `unique`: columns in which, beside `seq`, no two rows are alike."""
    kept = f"SELECT RAISE(ABORT, 'rows of {table} are kept as they are')"
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} BEGIN {kept}; END")
        there = ["seq = NEW.seq", *([" AND ".join(f"{name} = NEW.{name}" for name in unique)] if unique else ())]
        for at, same in enumerate(there):
            op.execute(
                f"CREATE TRIGGER {table}_no_replace_{at} BEFORE INSERT ON {table} "
                f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {same}) BEGIN {kept}; END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {table}_kept() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION 'rows of {table} are kept as they are'; END $$"
    )
    for name, verbs, each in (("change", "UPDATE OR DELETE", "ROW"), ("truncate", "TRUNCATE", "STATEMENT")):
        op.execute(
            f"CREATE TRIGGER {table}_no_{name} BEFORE {verbs} ON {table} "
            f"FOR EACH {each} EXECUTE FUNCTION {table}_kept()"
        )
