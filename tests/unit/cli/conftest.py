"""Commands of accounts are tested on both databases: see `support.databases`."""

from support.databases import dialect, server, server_emptied, sqlite_template, url  # noqa: F401
