"""The key/value section of a GGUF file: typed scalars at once, arrays on first use.

Knows GGUF's value types and their bounds, not what any key means. Opening must stay in milliseconds for vocabularies
of 262,000 strings, so arrays are only stepped over here, and strings are decoded when somebody asks, both by native
code; a loop here says what is wrong where that finds something irregular.
Source: the GGUF specification, versions 2 and 3 (little-endian).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from msgspec import Struct

from undiced import _native
from undiced._native import Strings as Strings
from undiced.checkpoint.mapping import DAMAGED, MappedFile
from undiced.core.errors import CheckpointError, UnsupportedError
from undiced.core.quote import file_name, quoted

MAX_KEY_BYTES = 65_535  # GGUF specification
MAX_STRING_BYTES = 16 << 20  # ours: chat templates are the longest strings seen, below 100 KB
MAX_ARRAY_ITEMS = 1 << 22  # ours: the largest arrays seen are merges, about 500,000
MAX_HEADER_BYTES = 64 << 20  # ours: the largest header seen is about 15 MB; bounds the time to open as well

RECONVERT = "Convert the model again with a current converter."

BOOL, STRING, ARRAY = 7, 8, 9
U32, U64 = 4, 10
LETTERS = {0: "B", 1: "b", 2: "H", 3: "h", U32: "I", 5: "i", 6: "f", BOOL: "B", U64: "Q", 11: "q", 12: "d"}
SCALARS: dict[int, struct.Struct] = {kind: struct.Struct("<" + letter) for kind, letter in LETTERS.items()}


class LazyArray(Struct, frozen=True):
    """An array that was stepped over: element type, number of elements and where they start."""

    kind: int
    count: int
    offset: int


class Unreadable(Struct, frozen=True):
    """A scalar without a meaning. It harms nobody until it is asked for: unused metadata need not be valid."""

    problem: str


class Cursor:
    """A read position in a GGUF header; each read is checked against the header's bound."""

    __slots__ = ("_buffer", "end", "name", "pos")

    def __init__(self, file: MappedFile, pos: int = 0) -> None:
        self._buffer = file.buffer
        self.name = file_name(file.path)
        self.end = min(file.size, MAX_HEADER_BYTES)
        self.pos = pos

    def damaged(self, what: str) -> CheckpointError:
        return CheckpointError(f"{self.name}: {what}.", remedy=DAMAGED)

    def need(self, nbytes: int, what: str) -> None:
        """Refuse `what` unless `nbytes` more bytes lie within the header's bound."""
        if nbytes > self.end - self.pos:
            raise self.damaged(f"{what} needs {nbytes} bytes at {self.pos}, beyond the bound of {self.end}")

    def scalar(self, kind: int, what: str) -> int | float:
        packing = SCALARS[kind]
        self.need(packing.size, what)
        (value,) = packing.unpack_from(self._buffer, self.pos)
        self.pos += packing.size
        return value  # type: ignore[no-any-return]

    def u32(self, what: str) -> int:
        return int(self.scalar(U32, what))

    def u64(self, what: str) -> int:
        return int(self.scalar(U64, what))

    def text(self, what: str, limit: int = MAX_STRING_BYTES) -> str:
        """A string that is needed whatever comes: a key or a tensor's name."""
        try:
            return self._raw(what, limit).decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.damaged(f"{what} is not valid UTF-8") from error

    def _raw(self, what: str, limit: int) -> bytes:
        length = self.u64(what)
        if length > limit:
            raise self.damaged(f"{what} claims {length} bytes, more than the {limit} allowed")
        self.need(length, what)
        raw = self._buffer[self.pos : self.pos + length]
        self.pos += length
        return raw

    def value(self, kind: int, what: str) -> object:
        """One value of GGUF type `kind`; an array becomes a LazyArray, nonsense becomes Unreadable."""
        if kind == STRING:
            try:
                return self._raw(what, MAX_STRING_BYTES).decode("utf-8")
            except UnicodeDecodeError:
                return Unreadable(f"{what} is not valid UTF-8")
        if kind == ARRAY:
            return self._array(what)
        if kind not in SCALARS:
            raise self.damaged(f"{what} has the unknown value type {kind}")
        value = self.scalar(kind, what)
        if kind == BOOL:
            return value == 1 if value in (0, 1) else Unreadable(f"{what} is a boolean with the value {value}")
        return value

    def _boolean(self, value: int, what: str) -> bool:
        if value > 1:
            raise self.damaged(f"{what} is a boolean with the value {value}")
        return value == 1

    def _array(self, what: str) -> LazyArray:
        kind = self.u32(what)
        count = self.u64(what)
        if kind == ARRAY:
            raise UnsupportedError(f"{self.name}: {what} is an array of arrays.", remedy=RECONVERT)
        if kind != STRING and kind not in SCALARS:
            raise self.damaged(f"{what} is an array of the unknown value type {kind}")
        if count > MAX_ARRAY_ITEMS:
            raise self.damaged(f"{what} claims {count} elements, more than the {MAX_ARRAY_ITEMS} allowed")
        array = LazyArray(kind, count, self.pos)
        if kind == STRING:
            self.need(8 * count, what)
            self._skip_strings(count, what)
        else:
            self.need(SCALARS[kind].size * count, what)
            self.pos += SCALARS[kind].size * count
        return array

    def _skip_strings(self, count: int, what: str) -> None:
        """Step over `count` strings."""
        behind = _native.skip_strings(self._buffer, self.pos, count, self.end)
        if behind is not None:
            self.pos = behind
            return
        buffer, pos, unpack = self._buffer, self.pos, SCALARS[U64].unpack_from
        try:
            for _ in range(count):
                pos += 8 + unpack(buffer, pos)[0]
        except (struct.error, OverflowError) as error:
            raise self.damaged(f"{what} runs past the end of the file") from error
        self.need(pos - self.pos, what)
        self.pos = pos

    def items(self, array: LazyArray, what: str) -> list[object]:
        """Decode an array that was stepped over."""
        if array.kind == STRING:
            return self._strings(array, what)
        packing = struct.Struct(f"<{array.count}{LETTERS[array.kind]}")
        values = packing.unpack_from(self._buffer, array.offset)
        if array.kind == BOOL:
            return [self._boolean(value, what) for value in values]
        return list(values)

    def _strings(self, array: LazyArray, what: str) -> list[object]:
        """Decode strings whose bounds were checked when they were stepped over."""
        fast = Strings.read(self._buffer, array.offset, array.count, self.end)
        if fast is not None:
            return fast.texts()  # type: ignore[return-value]
        buffer, pos, unpack = self._buffer, array.offset, SCALARS[U64].unpack_from
        found: list[object] = []
        try:
            for _ in range(array.count):
                start = pos + 8
                pos = start + unpack(buffer, pos)[0]
                if pos > self.end:
                    raise OverflowError
                found.append(str(buffer[start:pos], "utf-8"))
        except UnicodeDecodeError as error:
            raise self.damaged(f"{what}[{len(found)}] is not valid UTF-8") from error
        except (struct.error, OverflowError) as error:
            raise self.damaged(f"{what} changed while the file was open") from error
        return found


class Fields(Mapping[str, object]):
    """GGUF metadata as a read-only mapping; arrays become lists when first asked for, then stay."""

    __slots__ = ("_file", "_values")

    def __init__(self, file: MappedFile, values: dict[str, object]) -> None:
        self._file = file
        self._values = values

    def __getitem__(self, key: str) -> object:
        value = self._values[key]
        if isinstance(value, Unreadable):
            raise Cursor(self._file).damaged(value.problem)
        if isinstance(value, LazyArray):
            value = self._values[key] = Cursor(self._file).items(value, f"metadata key {quoted(key)}")
        return value

    def strings(self, key: str) -> Strings | None:
        """A list of strings, copied for who asks; None for anything else, for one that is damaged, and for one that was
        read before."""
        value = self._values.get(key)
        if not isinstance(value, LazyArray) or value.kind != STRING:
            return None
        return Strings.read(self._file.buffer, value.offset, value.count, Cursor(self._file).end)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: object) -> bool:
        return key in self._values
