"""What can go wrong with accounts: the database, its pepper, what a caller may not do, what nobody is called.

Knows codes and statuses; how they are shown is the business of the edge and of the commands.
"""

from __future__ import annotations

from collections.abc import Mapping

from undiced.account.ledger_records import Standing
from undiced.core.errors import InvalidRequestError, UnavailableError, UndicedError


class DatabaseError(UndicedError):
    """The accounts' database can't be used as it is: another schema, a wrong pepper, a read-only disk, no place."""

    code = "accounts_database"
    status = 503
    unsure = False  # a commit failed: it may have been done


class DatabaseAwayError(UnavailableError):
    """The accounts' database does not answer, or is locked by another process for too long; it may come back."""

    code = "accounts_unavailable"
    unsure = False  # a commit failed: it may have been done


class PermissionDeniedError(UndicedError):
    """A caller who is known asks for what it may not do."""

    code = "permission_denied"
    status = 403
    kind = "permission_error"


class UnknownNameError(InvalidRequestError):
    """A name or id that names nothing the caller may see; `param` says of what kind it is."""

    code = "unknown_name"


class NameTakenError(InvalidRequestError):
    """A second object of one name where names are unique."""

    code = "name_taken"


class ArchivedError(UndicedError):
    """What was asked for belongs to an organization, a project or a member that is archived."""

    code = "permission_denied"
    status = 403
    kind = "permission_error"


class HeldBackError(UndicedError):
    """A request that was held against limits and money, and refused. `standings`: how all limits stand."""

    standings: tuple[Standing, ...] = ()


class LimitExceededError(HeldBackError):
    """A limit of an organization, project or key is used up for now. `limit`: which, and for how long."""

    code = "token_quota_exceeded"
    status = 429
    kind = "too_many_requests_error"

    def __init__(self, message: str, *, remedy: str, limit: Mapping[str, object], retry_after_s: float) -> None:
        super().__init__(message, remedy=remedy)
        self.limit = limit
        self.retry_after_s = retry_after_s


class RequestsExceededError(LimitExceededError):
    """Too many requests in a window."""

    code = "request_quota_exceeded"


class ConcurrencyExceededError(LimitExceededError):
    """Too many requests at once."""

    code = "concurrency_exceeded"


class NeverEnoughError(HeldBackError, InvalidRequestError):
    """A request may need more tokens than a limit can ever hold."""


class InsufficientCreditError(HeldBackError):
    """The balance, or a budget that stops, does not cover one more token."""

    code = "insufficient_credit"
    status = 402
    kind = "insufficient_credit_error"
