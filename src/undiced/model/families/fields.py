"""Typed, bounded reading of untrusted key/value metadata (GGUF keys or config.json). Knows no model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeGuard

from undiced.core.errors import CheckpointError
from undiced.core.quote import quoted

_SIZED = frozenset({"tie_word_embeddings"})  # flags that decide how much there is


class Fields:
    """A mapping whose values are checked as they are read; errors name the file and the key.

    Attributes:
        assumed: sizes that were asked for and are not stated, with the default that was taken instead.
    """

    def __init__(self, data: Mapping[str, object], origin: str, prefix: str = "") -> None:
        self._data, self.origin, self._prefix = data, origin, prefix
        self.assumed: dict[str, object] = {}

    def __contains__(self, key: str) -> bool:
        return self._data.get(self._prefix + key) is not None

    def __len__(self) -> int:
        """How many keys there are, with a prefix or without."""
        return len(self._data)

    def objects(self) -> list[str]:
        """The keys whose values are objects."""
        return [key for key, value in self._data.items() if isinstance(value, Mapping)]

    def stated(self, key: str) -> bool:
        """Whether the key is there, be it with the value null."""
        return self._prefix + key in self._data

    def value(self, key: str) -> object:
        """The raw value, or None when absent."""
        return self._data.get(self._prefix + key)

    def fail(self, key: str, problem: str) -> CheckpointError:
        """An error about this key, for the caller to raise."""
        return CheckpointError(
            f"{self.origin}: {self._prefix}{key} {problem}.",
            remedy="Correct the file, or fetch it again; it may be damaged.",
        )

    def integer(self, key: str, default: int | None = None, *, low: int = 1, high: int = 1 << 40) -> int:
        """An integer from low to high. Lists of equal integers (one per layer) count as that integer."""
        value = self.value(key)
        if isinstance(value, (list, tuple)) and value and all(type(v) is int and v == value[0] for v in value):
            value = value[0]
        if value is None and default is not None:
            if default:
                self.assumed[key] = default
            return default
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self._wrong(key, value, f"an integer from {low} to {high}")
        return value

    def number(self, key: str, default: float | None = None, *, low: float = 0.0, high: float = 1e12) -> float:
        """A finite number from low to high."""
        value = self.value(key)
        if value is None and default is not None:
            return default
        if not _is_number(value, low, high):
            raise self._wrong(key, value, f"a number from {low:g} to {high:g}")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self.value(key)
        if value is None:
            if key in _SIZED:
                self.assumed[key] = default
            return default
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """A string."""
        value = self.value(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise self._wrong(key, value, "a string")
        return value

    def items(self, key: str, kind: type, length: int) -> list[object] | None:
        """A list of exactly `length` values of `kind`, or None when absent."""
        value = self.value(key)
        if value is None:
            return None
        if not isinstance(value, (list, tuple)) or len(value) != length or not all(type(v) is kind for v in value):
            raise self._wrong(key, "something else", f"a list of {length} values of type {kind.__name__}")
        return list(value)

    def numbers(self, key: str, length: int) -> tuple[float, ...]:
        """A list of exactly `length` numbers of at most 1e12 either way."""
        value, most = self.value(key), 1e12
        if (
            not isinstance(value, (list, tuple))
            or len(value) != length
            or not all(_is_number(each, -most, most) for each in value)
        ):
            raise self._wrong(key, value, f"a list of {length} numbers from {-most:g} to {most:g}")
        return tuple(map(float, value))

    def inner(self, key: str) -> Fields | None:
        """A nested mapping, or None when absent."""
        value = self.value(key)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise self._wrong(key, "something else", "an object")
        return Fields(value, f"{self.origin}: {key}")

    def _wrong(self, key: str, value: object, expected: str) -> CheckpointError:
        if value is None:
            return self.fail(key, f"is missing, expected {expected}")
        return self.fail(key, f"is {_shown(value)}, expected {expected}")


def _is_number(value: object, low: float, high: float) -> TypeGuard[int | float]:
    """Whether it lies from low to high, which NaN does not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high


def _shown(value: object) -> str:
    """A value for a message; what is nested or long is named by its kind, for it may be hostile."""
    if isinstance(value, (list, tuple, Mapping)):
        return "something else"
    if isinstance(value, str) and not value.isprintable():
        return quoted(value)
    if isinstance(value, str) and value[:1].isdigit():  # a number in quotes
        return f"the text {quoted(value)}"
    if isinstance(value, int) and not -(1 << 200) < value < 1 << 200:
        return "an integer of absurd size"
    return str(value)[:80]
