"""Accounts are tested on both databases: see `support.databases`."""

from support.databases import (  # noqa: F401
    accounts,
    dialect,
    empty_url,
    pepper,
    server,
    server_emptied,
    sqlite_template,
    url,
)
