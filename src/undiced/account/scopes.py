"""What a key can be allowed (scopes), what a person is in an organization (roles), and what a role includes.

Knows no tables and no requests. A route or an action that names no scope is for nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

Kind = Literal["inference", "management", "console"]
Role = Literal["org_admin", "project_admin", "member", "billing"]

INFERENCE_SCOPES: Mapping[str, str] = MappingProxyType(
    {
        "inference": "generate text: chat, completions, responses, messages",
        "embeddings": "embed text",
        "tokens": "tokenize and count",
        "models": "list models and their properties",
        "priority": "ask to be served before others (`service_tier`); given by the operator alone",
        "metrics": "read the server's metrics, which tell of all organizations; given by the operator alone",
    }
)
MANAGEMENT_SCOPES: Mapping[str, str] = MappingProxyType(
    {
        "orgs:read": "see organizations",
        "orgs:write": "archive organizations; with the operator's keys, make them",
        "projects:read": "see projects",
        "projects:write": "make and archive projects, set budgets of keys; of a whole organization: of projects, too",
        "members:read": "see members and invitations",
        "members:write": "invite, make and archive members, give and take roles",
        "keys:read": "see keys, without their secrets",
        "keys:write": "make, rotate and revoke keys",
        "audit:read": "read the audit",
        "billing:read": "see limits, usage, balances and invoices",
    }
)
OPERATORS_OWN = frozenset(("priority", "metrics"))  # an organization can't give itself these
WIDE = frozenset(
    ("orgs:write", "members:write", "audit:read")
)  # of a whole organization; in a project they are nothing
SCOPES: Mapping[Kind, Mapping[str, str]] = MappingProxyType(
    {"inference": INFERENCE_SCOPES, "management": MANAGEMENT_SCOPES, "console": MANAGEMENT_SCOPES}
)
USUAL_SCOPES: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {kind: tuple(scope for scope in scopes if scope not in OPERATORS_OWN) for kind, scopes in SCOPES.items()}
)

# What a role may do in its organization, or, for the two that belong to a project, in that project.
ROLES: Mapping[Role, frozenset[str]] = MappingProxyType(
    {
        "org_admin": frozenset(MANAGEMENT_SCOPES),
        "billing": frozenset(("orgs:read", "projects:read", "audit:read", "billing:read")),
        "project_admin": frozenset(
            ("orgs:read", "projects:read", "projects:write", "members:read", "keys:read", "keys:write", "billing:read")
        ),
        "member": frozenset(("orgs:read", "projects:read", "keys:read", "keys:write")),  # keys: its own alone
    }
)
OF_PROJECTS = frozenset[Role](("project_admin", "member"))
