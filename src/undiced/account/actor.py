"""Actor: who acts on accounts, and whether it may. The operator may everything; a key what its scopes say, inside its
organization, and, where a person stands behind it, what that person's roles include.

What lies in another organization does not exist for an actor: it is told that there is no such name.
"""

from __future__ import annotations

from dataclasses import dataclass

from undiced.account.errors import PermissionDeniedError
from undiced.account.records import Grant
from undiced.account.scopes import OF_PROJECTS, ROLES


@dataclass(frozen=True, slots=True)
class Actor:
    """See the file's head.

    Attributes:
        name: as the audit shows it: `operator:NAME` or `key:ID`.
        org_id: the only organization that exists for it; None: all.
        project_id: the only project that exists for it; None: all of its organization.
        scopes: of its key; None for the operator, who needs none.
        member_id, grants: the person behind the key, and that person's roles; None where there is none.
        request_id: of the request in which it acts; goes into the audit.
    """

    name: str
    org_id: str | None = None
    project_id: str | None = None
    scopes: frozenset[str] | None = None
    member_id: str | None = None
    grants: tuple[Grant, ...] | None = None
    request_id: str = ""

    @classmethod
    def operator(cls, name: str, request_id: str = "") -> Actor:
        """Whoever has the database in hand."""
        return cls(f"operator:{name}", request_id=request_id)

    def need(self, scope: str, project_id: str | None = None) -> None:
        """See that it may do what `scope` names: in a project, or in its whole organization.

        Raises:
            PermissionDeniedError: it may not; names the scope.
        """
        if not self.may(scope, project_id):
            raise _denied(scope)

    def need_somewhere(self, scope: str) -> None:
        """See that it may do what `scope` names anywhere; before anything is looked for that it might not know of.

        Raises:
            PermissionDeniedError: it may not; names the scope.
        """
        if not self.somewhere(scope):
            raise _denied(scope)

    def may(self, scope: str, project_id: str | None = None) -> bool:
        """Whether it may do what `scope` names: in a project, or in its whole organization."""
        if self.scopes is not None and scope not in self.scopes:
            return False
        if self.project_id is not None and project_id != self.project_id:
            return False
        return self.grants is None or any(
            scope in ROLES[grant.role]
            for grant in self.grants
            if grant.role not in OF_PROJECTS or grant.project_id == project_id
        )

    def somewhere(self, scope: str) -> bool:
        """Whether it may do so anywhere; what lists show is then chosen one by one."""
        if self.project_id is not None or self.grants is None:
            return self.may(scope, self.project_id)
        return any(self.may(scope, grant.project_id) for grant in self.grants)

    def places(self, scope: str) -> frozenset[str] | None:
        """The projects in which it may do what `scope` names; None: all of its organization."""
        if self.scopes is not None and scope not in self.scopes:
            return frozenset()
        roles = [grant for grant in self.grants or () if scope in ROLES[grant.role]]
        everywhere = self.grants is None or any(grant.project_id is None for grant in roles)
        if self.project_id is None and everywhere:
            return None
        found = frozenset(grant.project_id for grant in roles if grant.project_id is not None)
        own = found if self.project_id is None else frozenset({self.project_id})
        return own if everywhere else own & found

    def reaches(self, project_id: str | None) -> bool:
        """Whether a project exists for it, or all of its organization, whatever its key's scopes are."""
        if self.project_id is not None and project_id != self.project_id:
            return False
        return self.grants is None or any(
            grant.role not in OF_PROJECTS or grant.project_id == project_id for grant in self.grants
        )

    def only_own(self, project_id: str | None) -> bool:
        """Whether the keys of a project that it may see and make are its own alone."""
        return self.grants is not None and not any(
            "keys:write" in ROLES[grant.role]
            for grant in self.grants
            if grant.role == "org_admin" or (grant.role == "project_admin" and grant.project_id == project_id)
        )


def may_have_keys(grants: tuple[Grant, ...], project_id: str) -> bool:
    """Whether somebody with these roles may have keys of a project."""
    return Actor("", grants=grants).may("keys:write", project_id)


def _denied(scope: str) -> PermissionDeniedError:
    return PermissionDeniedError(
        f"This needs '{scope}', which the key does not have here.",
        remedy="Use a key with that scope, of somebody whose role includes it.",
    )
