"""SecretText: a key or an invitation as its holder has it: `uk-<id>-<secret>-<checksum>`.

The checksum tells a typo from a leak without a database, as scanners for secrets do. The id finds the row; the secret
is kept nowhere. Base64url has `-` in its alphabet, so the text is cut by lengths.
"""

from __future__ import annotations

import hmac
import re
import secrets
import string
import zlib
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import Literal

Prefix = Literal["uk", "ui"]  # a key, an invitation
ID_CHARS = 12
_SECRET_BYTES = 32
_SECRET_CHARS = 43  # of base64url without padding
_CHECK_CHARS = 6  # 62 ** 6 > 2 ** 32
_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_PAIRS = [first + second for first in _DIGITS for second in _DIGITS]  # numbers below 62 ** 2 in two digits
_FORM = re.compile(
    rf"(u[ki]-([0-9A-Za-z]{{{ID_CHARS}}})-[0-9A-Za-z_-]{{{_SECRET_CHARS}}})-([0-9A-Za-z]{{{_CHECK_CHARS}}})"
)

_WITHIN = re.compile(rf"(u[ki]-[0-9A-Za-z]{{{ID_CHARS}}}-)[0-9A-Za-z_-]{{{_SECRET_CHARS},}}")


def masked(text: str) -> str:
    """A text that may hold keys and invitations, without their secrets: where one was sent at a wrong place."""
    return _WITHIN.sub(r"\1...", text)


def new_id() -> str:
    """Twelve random base62 characters: 71 bits."""
    number, pairs = secrets.randbelow(len(_DIGITS) ** ID_CHARS), list[str]()
    while len(pairs) < ID_CHARS // 2:
        number, pair = divmod(number, len(_PAIRS))
        pairs.append(_PAIRS[pair])
    return "".join(pairs)


@dataclass(frozen=True, slots=True)
class SecretText:
    """See the file's head. Its `repr` holds no secret.

    Attributes:
        id: public; names its row.
    """

    id: str
    _body: str  # all but the checksum

    @classmethod
    def new(cls, prefix: Prefix) -> SecretText:
        """A random one."""
        drawn, name = urlsafe_b64encode(secrets.token_bytes(_SECRET_BYTES)).rstrip(b"="), new_id()
        return cls(name, f"{prefix}-{name}-{drawn.decode()}")

    @classmethod
    def parse(cls, text: str, prefix: Prefix) -> SecretText | None:
        """What a text says; None if it is another thing, or mistyped."""
        if (found := _FORM.fullmatch(text)) is None or not text.startswith(prefix):
            return None
        body, name, checksum = found.groups()
        made = cls(name, body)
        return made if made.checksum == checksum else None

    @property
    def checksum(self) -> str:
        """CRC-32 of what stands before it, in base62."""
        high, low = divmod(zlib.crc32(self._body.encode()), len(_PAIRS))
        return _PAIRS[high // len(_PAIRS)] + _PAIRS[high % len(_PAIRS)] + _PAIRS[low]

    @property
    def last_four(self) -> str:
        """The end of the secret, which lists show."""
        return self._body[-4:]

    def digest(self, pepper: bytes) -> bytes:
        """What is stored of it: 32 bytes, useless without the pepper."""
        return hmac.digest(pepper, self._body.encode(), "sha256")

    def reveal(self) -> str:
        """The whole text, for the only time that it is shown."""
        return f"{self._body}-{self.checksum}"

    def __repr__(self) -> str:
        return f"SecretText({self.id}, ...)"
