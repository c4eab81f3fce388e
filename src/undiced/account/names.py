"""What may be a name, an e-mail address, a list of scopes, a time: untrusted words made into valid values, or refused
with the field that they came in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TypeVar

from undiced.account.scopes import OF_PROJECTS, OPERATORS_OWN, ROLES, SCOPES, USUAL_SCOPES, Kind, Role
from undiced.core.errors import InvalidRequestError

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?")
_EMAIL = re.compile(r"[^\s@\x00-\x1f\x7f,;<>\"()]{1,64}@[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?", re.IGNORECASE)
_LABEL = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{0,100}")
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
        InvalidRequestError: it is too long, or has control characters.
    """
    if _LABEL.fullmatch(text):
        return text
    remedy = "Use up to 100 characters on one line."
    raise InvalidRequestError("This can't be the name of a key.", remedy=remedy, param=param)


def email_of(text: str, param: str = "email") -> str:
    """An e-mail address, in lower case, so that one person is one member.

    Raises:
        InvalidRequestError: it is none.
    """
    if _EMAIL.fullmatch(text):
        return text.lower()
    raise InvalidRequestError(
        f"'{text[:80]}' is no e-mail address.", remedy="Use one like ada@example.com.", param=param
    )


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


def scopes_of(given: Sequence[str] | None, kind: Kind, *, operator: bool, param: str = "scopes") -> tuple[str, ...]:
    """What a new key may do: all that is usual for its kind where nothing is given.

    Raises:
        InvalidRequestError: a scope that its kind does not have, that only the operator gives, or none at all.
    """
    if given is None:
        return USUAL_SCOPES[kind]
    if not given:
        raise InvalidRequestError(
            "A key without scopes is for nothing.", remedy="Name some, or leave them out.", param=param
        )
    scopes = tuple(dict.fromkeys(_one_of(scope, SCOPES[kind], f"scope of {kind} keys", param) for scope in given))
    if not operator and (own := OPERATORS_OWN.intersection(scopes)):
        raise InvalidRequestError(
            f"The scope '{min(own)}' is given by the operator alone.", remedy="Leave it out.", param=param
        )
    return scopes


def models_of(given: Sequence[str] | None, param: str = "models") -> tuple[str, ...] | None:
    """The models that a key may use; None for all. Whether they are served is not asked: they may be tomorrow.

    Raises:
        InvalidRequestError: too many, none, or no names.
    """
    if given is None:
        return None
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
    remedy = "Give a later one, in Unix seconds."
    raise InvalidRequestError(
        "This time has passed." if time <= now else "This is no time.", remedy=remedy, param=param
    )


def span(seconds: int, most: int, param: str) -> int:
    """A number of seconds from 0 to `most`.

    Raises:
        InvalidRequestError: it is not.
    """
    if 0 <= seconds <= most:
        return seconds
    remedy = f"Give 0 to {most} seconds."
    raise InvalidRequestError("This span is negative or too long.", remedy=remedy, param=param)


def _one_of(text: str, known: Iterable[Word], what: str, param: str) -> Word:
    names = list(known)
    found = next((name for name in names if name == text), None)
    if found is None:
        remedy = f"Use {', '.join(names[:-1])} or {names[-1]}."
        raise InvalidRequestError(f"'{text[:80]}' is no {what}.", remedy=remedy, param=param)
    return found
