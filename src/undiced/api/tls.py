"""TLS: what a server needs to speak it, from certificate files. Knows no connection."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from undiced.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from pathlib import Path


def tls_context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """From a certificate with its chain and its key, both PEM files; None without them.

    Raises:
        InvalidRequestError: one of the two is missing, can't be read, or does not fit the other.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        missing = "--tls-cert" if certificate is None else "--tls-key"
        raise InvalidRequestError(f"TLS needs a certificate and its key: {missing} is missing.", remedy="Give both.")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except ssl.SSLError as error:
        raise InvalidRequestError(
            f"{certificate} and {key} are no certificate with its key: {error.reason or error}.",
            remedy="Give PEM files, the key without a password.",
        ) from error
    except OSError as error:
        unread = next((path for path in (certificate, key) if not path.is_file()), certificate)
        raise InvalidRequestError(
            f"{unread} can't be read: {error.strerror or error}.", remedy="Check the path and its permissions."
        ) from error
    return context


def _no_password() -> str:
    raise ssl.SSLError(0, "the key has a password")
