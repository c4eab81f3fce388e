"""The management API: organizations, projects, members, invitations, keys and the audit over HTTP, for management keys.

Importing this loads nothing.
"""
