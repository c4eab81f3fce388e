"""What may be a name, an e-mail address, a list of scopes, a time: untrusted words made into valid values, or refused
with the field that they came in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TypeVar
from unicodedata import normalize

from undiced.account.scopes import OF_PROJECTS, ROLES, SCOPES, USUAL_SCOPES, WIDE, Kind, Role
from undiced.core.errors import InvalidRequestError

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?")
_EMAIL = re.compile(r"[^\s@,;<>\"()]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_LABEL_CHARS = 100
_MODEL = re.compile(r"[!-~]{1,200}")
_MOST_MODELS = 64
FOREVER = 1 << 40  # seconds; no time is later
Word = TypeVar("Word", bound=str)


def name_of(text: str, param: str) -> str:
    """The name of an organization or a project: what fits into a path and a header.

    Raises:
        InvalidRequestError: it is none.
    """
    if _NAME.fullmatch(text):
        return text
    remedy = "Use up to 63 of a-z, 0-9, '.' and '-', beginning and ending with a letter or digit."
    raise InvalidRequestError(f"'{text[:80]}' can't be a name.", remedy=remedy, param=param)


def label_of(text: str, param: str = "name") -> str:
    """What a key is called by people; may be empty.

    Raises:
        InvalidRequestError: it is too long, or has characters that can't be seen.
    """
    if len(text) <= _LABEL_CHARS and text.isprintable():
        return text
    remedy = f"Use up to {_LABEL_CHARS} visible characters on one line."
    raise InvalidRequestError("This can't be the name of a key.", remedy=remedy, param=param)


def email_of(text: str, param: str = "email") -> str:
    """An e-mail address, in lower case, so that one person is one member.

    Raises:
        InvalidRequestError: it is none.
    """
    if _EMAIL.fullmatch(text) and text.isprintable():
        return folded(text)
    raise InvalidRequestError(
        f"'{text[:80]}' is no e-mail address.", remedy="Use one like ada@example.com.", param=param
    )


def folded(email: str) -> str:
    """How an address is stored and looked for."""
    return normalize("NFC", email.lower())


def role_of(text: str, project: str | None, param: str = "role") -> Role:
    """A role, for a project if it is one of projects, else for the organization.

    Raises:
        InvalidRequestError: it is none, or at the wrong place.
    """
    role = _one_of(text, ROLES, "role", param)
    if (role in OF_PROJECTS) != (project is not None):
        where = "belongs to a project" if role in OF_PROJECTS else "is for the whole organization"
        remedy = "Name one." if role in OF_PROJECTS else "Leave the project out."
        raise InvalidRequestError(f"The role '{role}' {where}.", remedy=remedy, param="project")
    return role


def kind_of(text: str, param: str = "kind") -> Kind:
    """A kind of key.

    Raises:
        InvalidRequestError: it is none.
    """
    return _one_of(text, SCOPES, "kind of key", param)


def scopes_of(
    given: Sequence[str] | None, kind: Kind, *, bound: bool = False, param: str = "scopes"
) -> tuple[str, ...]:
    """What a new key may do: all that is usual for its kind where nothing is given. `bound`: it belongs to a project.

    Raises:
        InvalidRequestError: a scope that its kind does not have, one of organizations for a project, or none at all.
    """
    if given is None:
        return tuple(scope for scope in USUAL_SCOPES[kind] if not (bound and scope in WIDE))
    if not given:
        raise InvalidRequestError(
            "A key without scopes is for nothing.", remedy="Name some, or leave them out.", param=param
        )
    scopes = tuple(dict.fromkeys(_one_of(scope, SCOPES[kind], f"scope of {kind} keys", param) for scope in given))
    if bound and (wide := WIDE.intersection(scopes)):
        remedy = "Leave it out, or make a key of the whole organization."
        raise InvalidRequestError(f"In a project, '{min(wide)}' is for nothing.", remedy=remedy, param=param)
    return scopes


def models_of(given: Sequence[str] | None, kind: Kind, param: str = "models") -> tuple[str, ...] | None:
    """The models that a key may use; None for all. Whether they are served is not asked: they may be tomorrow.

    Raises:
        InvalidRequestError: too many, none, no names, or for a key that uses no models.
    """
    if given is None:
        return None
    if kind != "inference":
        raise InvalidRequestError(f"A {kind} key uses no models.", remedy="Leave them out.", param=param)
    if 0 < len(given) <= _MOST_MODELS and all(map(_MODEL.fullmatch, given)):
        return tuple(dict.fromkeys(given))
    remedy = f"Give 1 to {_MOST_MODELS} names as GET /v1/models lists them, or leave them out for all."
    raise InvalidRequestError("These are no names of models.", remedy=remedy, param=param)


def later(time: int | None, now: int, param: str) -> int | None:
    """A time that lies ahead.

    Raises:
        InvalidRequestError: it has passed, or is no time.
    """
    if time is None or now < time < FOREVER:
        return time
    past = time <= now
    raise InvalidRequestError(
        "This time has passed." if past else "This time is too far away.",
        remedy=f"Give {'a later' if past else 'an earlier'} one, or none.",
        param=param,
    )


def span(seconds: int, least: int, most: int, param: str) -> int:
    """A number of seconds from `least` to `most`.

    Raises:
        InvalidRequestError: it is not.
    """
    if least <= seconds <= most:
        return seconds
    remedy = f"Give {least} to {most} seconds."
    raise InvalidRequestError("This span is too short or too long.", remedy=remedy, param=param)


def _one_of(text: str, known: Iterable[Word], what: str, param: str) -> Word:
    names = list(known)
    found = next((name for name in names if name == text), None)
    if found is None:
        remedy = f"Use {', '.join(names[:-1])} or {names[-1]}."
        raise InvalidRequestError(f"'{text[:80]}' is no {what}.", remedy=remedy, param=param)
    return found
