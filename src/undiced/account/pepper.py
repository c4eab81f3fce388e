"""The pepper: the secret of an installation without which what the database holds of keys is useless.

It lies beside the database in a file that its owner alone may read, or comes in the environment; never in the database,
which knows a fingerprint of it. Knows no tables.
"""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from pathlib import Path

from undiced.account.errors import DatabaseError

VARIABLE = "UNDICED_PEPPER"
_BYTES = 32
_LEAST_CHARS = 32
_MOST_BYTES = 1024
_HOW = f"Restore the file from your backup, name it with --pepper-file, or set {VARIABLE} to what it held"


class Pepper(bytes):
    """A pepper that is not shown where variables are."""

    def __repr__(self) -> str:
        return "Pepper(...)"


def fingerprint(pepper: bytes) -> str:
    """Tells one pepper from another, and nothing about it."""
    return hmac.digest(pepper, b"fingerprint", "sha256").hex()[:16]


def load_pepper(place: Path, given: str | None, *, create: bool) -> Pepper:
    """The pepper from the environment (`given`) or a file; `create` makes the file where neither is.

    Raises:
        DatabaseError: there is none, it is too short, or others may read its file.
    """
    if given is not None:
        return _checked(os.fsencode(given).strip(), VARIABLE)
    try:
        with place.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if os.name == "posix" and mode & 0o077:
                raise DatabaseError(
                    f"Others may read {place} (mode {mode:o}).",
                    remedy=f"Run: chmod 600 {place}, or set {VARIABLE} to what it holds.",
                )
            return _checked(file.read(_MOST_BYTES).strip(), str(place))
    except FileNotFoundError:
        if not create:
            raise DatabaseError(f"The pepper of the keys, {place}, is not there.", remedy=f"{_HOW}.") from None
        return _made(place)
    except OSError as error:
        raise DatabaseError(f"Cannot read {place}: {error.strerror}.", remedy=f"{_HOW}.") from None


def _checked(pepper: bytes, where: str) -> Pepper:
    if len(pepper) < _LEAST_CHARS:
        remedy = f"{_HOW}; a new one, where there are no keys yet, is made by: openssl rand -hex 32."
        raise DatabaseError(f"The pepper in {where} has less than {_LEAST_CHARS} characters.", remedy=remedy)
    return Pepper(pepper)


def _made(place: Path) -> Pepper:
    """A new one, in a file that appears whole and only if no other process made it first."""
    pepper = Pepper(secrets.token_hex(_BYTES).encode())
    scratch = place.with_name(f".{place.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pepper + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(scratch, place)
    except FileExistsError:
        return load_pepper(place, None, create=False)
    except OSError as error:
        remedy = f"Make the folder writable, or set {VARIABLE}."
        raise DatabaseError(f"Cannot write {place}: {error.strerror}.", remedy=remedy) from None
    finally:
        scratch.unlink(missing_ok=True)
    return pepper
