"""Names of calls that a model makes, by which their results are told apart."""

from __future__ import annotations

import string

_LETTERS = string.ascii_letters + string.digits


def call_id() -> str:
    """A new name: nine letters and digits, as some chat templates insist."""
    import secrets  # takes 8 ms, which few programs need

    return "".join(secrets.choice(_LETTERS) for _ in range(9))
