"""The numbers of a conversation that can be changed while it goes on, in words. Knows their ranges, and no model."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from undiced.core.errors import InvalidRequestError
from undiced.core.sampling import WIRE_RANGES
from undiced.core.usual import Numbers, settled
from undiced.params import USUAL_LIMIT, SamplingParams

_USUAL = "default"  # the value that takes a change back
_SETTINGS: dict[str, tuple[str, Callable[[str], float]]] = {  # as typed: the parameter and its kind
    "temperature": ("temperature", float),
    "top_p": ("top_p", float),
    "top_k": ("top_k", int),
    "min_p": ("min_p", float),
    "repeat_penalty": ("repetition_penalty", float),
    "seed": ("seed", int),
    "max_tokens": ("max_tokens", int),
}
_LEAST = {"top_k": 0, "seed": 0, "max_tokens": 1}


def changed(params: SamplingParams, words: str) -> SamplingParams:
    """The parameters after `temperature 0.5`, or `temperature default`.

    Raises:
        InvalidRequestError: no such setting, or no such value of it.
    """
    name, _, text = words.strip().partition(" ")
    name, text = name.replace("-", "_"), text.strip()
    if name not in _SETTINGS:
        raise InvalidRequestError(f"There is no setting {name[:40]!r}.", remedy=f"Set one of {', '.join(_SETTINGS)}.")
    parameter, kind = _SETTINGS[name]
    if text == _USUAL:
        return _with(params, parameter, USUAL_LIMIT if name == "max_tokens" else None)
    try:
        value = kind(text)
    except ValueError:
        value = float("nan")
    if not _allowed(name, parameter, value):
        raise InvalidRequestError(
            f"{name} can't be {text[:40]!r}.", remedy=f"Give {_range(name, parameter)}, or {_USUAL}."
        )
    return _with(params, parameter, value)


def _with(params: SamplingParams, parameter: str, value: object) -> SamplingParams:
    """A copy with another value, which its table of names and kinds has made right."""
    return replace(params, **{parameter: value})


def settings(params: SamplingParams, usual: Numbers) -> list[tuple[str, str]]:
    """Every setting as it is typed, and its value in words; `usual` are the numbers where nothing was set."""
    return [(name, _in_words(params, parameter, usual)) for name, (parameter, _) in _SETTINGS.items()]


def _in_words(params: SamplingParams, parameter: str, usual: Numbers) -> str:
    value = getattr(params, parameter)
    if value is not None and value is not USUAL_LIMIT:
        return f"{value:g}"
    if parameter in WIRE_RANGES:
        return f"{settled(params, usual)(parameter):g}, the {_USUAL}"
    return f"{usual[parameter]:g}, the {_USUAL}" if parameter in usual else "drawn"


def _allowed(name: str, parameter: str, value: float) -> bool:
    return value >= _LEAST[name] if name in _LEAST else value in WIRE_RANGES[parameter]


def _range(name: str, parameter: str) -> str:
    if name in _LEAST:
        return f"a whole number, at least {_LEAST[name]}"
    return f"{WIRE_RANGES[parameter].low:g} to {WIRE_RANGES[parameter].high:g}"
