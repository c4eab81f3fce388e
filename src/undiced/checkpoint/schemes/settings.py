"""What config.json says of a quantization, read value by value; each wrong one is refused by its name."""

from __future__ import annotations

from collections.abc import Mapping

from undiced.core.errors import CheckpointError, UnsupportedError
from undiced.core.quote import quoted


class Settings:
    """One object of the configuration.

    Attributes:
        origin: the model, for messages.
    """

    def __init__(self, values: Mapping[str, object], origin: str, path: str = "quantization_config") -> None:
        self._values, self.origin, self._path = values, origin, path

    def __contains__(self, key: str) -> bool:
        return self._values.get(key) is not None

    def word(self, keys: str | tuple[str, ...], default: str = "") -> str:
        """A text; of several names the first that is there."""
        for key in (keys,) if isinstance(keys, str) else keys:
            value = self._values.get(key)
            if value is not None:
                if not isinstance(value, str):
                    raise self._wrong(key, value, "a text")
                return value
        return default

    def flag(self, key: str, default: bool) -> bool:
        """True or false; null is the default."""
        value = self._values.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def count(self, keys: str | tuple[str, ...], default: int | None = None) -> int | None:
        """A whole number from -1 to a million; null is the default."""
        for key in (keys,) if isinstance(keys, str) else keys:
            value = self._values.get(key)
            if value is not None:
                if type(value) is not int or not -1 <= value <= 1_000_000:
                    raise self._wrong(key, value, "a whole number")
                return value
        return default

    def pair(self, key: str) -> tuple[int, int] | None:
        """Two whole numbers above 0, or None for null."""
        value = self._values.get(key)
        if value is None:
            return None
        if isinstance(value, list) and len(value) == 2 and all(type(n) is int and 0 < n < 1 << 31 for n in value):
            return value[0], value[1]
        raise self._wrong(key, value, "two whole numbers")

    def inner(self, key: str) -> Settings:
        """An object inside; null is an empty one."""
        value = self._values.get(key, {})
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise self._wrong(key, value, "an object")
        return Settings(value, self.origin, f"{self._path}.{key}")

    def names(self) -> list[str]:
        """The keys, in order."""
        return list(self._values)

    def refuse(self, what: str, remedy: str) -> UnsupportedError:
        """A way of quantizing that is not read."""
        return UnsupportedError(f"{self.origin} {what}.", remedy=remedy)

    def _wrong(self, key: str, value: object, expected: str) -> CheckpointError:
        return CheckpointError(
            f"{self.origin}: {self._path}.{key} is {quoted(value)}, expected {expected}.",
            remedy="Fetch config.json again; it is not the one that the model was published with.",
        )
