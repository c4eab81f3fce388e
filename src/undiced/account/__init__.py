"""Who may ask for what: organizations, projects, members, keys, the audit. Knows no HTTP and no model.

Importing this loads nothing; `Accounts`, in `accounts`, loads the database's library.
"""
