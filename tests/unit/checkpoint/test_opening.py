"""What may stand where a model's file should be: only regular files of a bounded size are read, none is waited for."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from undiced.core.documents import MAX_DEPTH, parse_object, read_object, read_object_if_there
from undiced.core.errors import CheckpointError
from undiced.core.opening import read_file, read_if_there


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as holder:
        here = Path.cwd()
        os.chdir(path.parent)  # socket paths are short
        try:
            holder.bind(path.name)
        finally:
            os.chdir(here)


def a_sparse_giant(path: Path) -> None:
    with path.open("wb") as out:
        out.truncate(1 << 40)


IMPOSTORS: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (os.mkfifo, "not a regular file"),
    "endless device": (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
    "terminal": (lambda path: path.symlink_to("/dev/null"), "not a regular file"),
    "folder": (lambda path: path.mkdir(), "not a regular file"),
    "socket": (a_socket, "Cannot open|not a regular file"),
    "sparse giant": (a_sparse_giant, "1099511627776 bytes"),
    "empty": (lambda path: path.touch(), "empty"),
    "link to nowhere": (lambda path: path.symlink_to("nowhere"), "No such file"),
    "circle of links": (lambda path: path.symlink_to(path.name), "Too many levels"),
}


@pytest.mark.timeout(5)
@pytest.mark.parametrize("impostor", IMPOSTORS)
def test_impostors_are_refused_at_once(tmp_path: Path, impostor: str) -> None:
    make, message = IMPOSTORS[impostor]
    make(tmp_path / "config.json")
    for read in (read_object, read_object_if_there):
        with pytest.raises(CheckpointError, match=message) as caught:
            read(tmp_path / "config.json")
        assert "config.json" in caught.value.message and str(tmp_path) not in str(caught.value)


def test_only_what_is_not_there_may_be_missing(tmp_path: Path) -> None:
    assert read_object_if_there(tmp_path / "config.json") == {}
    assert read_if_there(tmp_path / "no" / "such", 10) is None
    (tmp_path / "file").write_bytes(b"0123456789")
    assert read_file(tmp_path / "file", 10) == b"0123456789"
    with pytest.raises(CheckpointError, match="10 bytes; 9 are allowed"):
        read_file(tmp_path / "file", 9)


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(CheckpointError, match=r"config\.json cannot be read: permission denied") as caught:
        read_object(tmp_path / "config.json")
    assert "damaged" not in str(caught.value)


def test_a_byte_order_mark_is_skipped() -> None:
    assert parse_object(b'\xef\xbb\xbf{"a": 1}', "x") == {"a": 1}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 500 + b"1" + b"}" * 500, "nested too deeply"),
        (b'{"a":' + b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1) + b"}", "nested too deeply"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"\\udfff": 1}', "surrogate"),
        (b'{"a": [{"b": ["\\uD83D"]}]}', "surrogate"),
        (b'{"a": ' + b"1" * 5000 + b"}", "not valid JSON"),
        (b'{"a": 1, "a": 2}', "occurs twice"),
        (b"\xff\xfe{\x00}\x00", "not valid JSON"),
        (b"[]", "no JSON object"),
    ],
)
def test_hostile_documents_have_one_clear_error(data: bytes, message: str) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        parse_object(data, "config.json")
    assert "config.json" in caught.value.message and caught.value.remedy


def test_pairs_of_surrogates_and_unused_oddities_are_fine() -> None:
    found = parse_object(b'{"a": "\\ud83d\\ude00", "b": NaN, "c": -Infinity, "d": 1e999}', "config.json")
    assert found["a"] == "\U0001f600" and len(found) == 4
    deep = b'{"a":' + b"[" * (MAX_DEPTH - 2) + b"]" * (MAX_DEPTH - 2) + b"}"
    assert parse_object(deep, "config.json")
