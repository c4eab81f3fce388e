"""Signatures of thoughts. Ours prove nothing: clients send them back untouched, so one carries the thought where the
request asks not to be shown it.
"""

from __future__ import annotations

import base64
import binascii

_BEGIN = "undiced."
PLAIN = _BEGIN  # of a thought that stands beside it


def signature_of(thought: str) -> str:
    """A signature that carries a thought."""
    return _BEGIN + base64.b64encode(thought.encode("utf-8", "replace")).decode()


def thought_of(signature: str) -> str:
    """The thought that a signature carries; empty for one that carries none, or that another service made."""
    if not signature.startswith(_BEGIN):
        return ""
    try:
        return base64.b64decode(signature[len(_BEGIN) :], validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
