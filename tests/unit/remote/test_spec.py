"""What an engine process is told, and what clients are told about it."""

from __future__ import annotations

import pytest

from undiced.core.errors import CheckpointError, EngineError, QueueFullError
from undiced.engine.load import BackendOptions
from undiced.remote.spec import EngineSpec, decode_spec, encode_spec, without_paths
from undiced.serve import Policy

SPEC = EngineSpec(
    BackendOptions(checkpoint="/home/me/my models/secret.gguf"),
    model="secret",
    draft=BackendOptions(checkpoint="/home/me/my drafts/own.gguf"),
)


@pytest.mark.parametrize("path", ["/models/a.gguf", "/models/ö \n\x1b[2J", "/models/\udcff\udc80"])
def test_a_spec_comes_back_from_json_as_it_was(path: str) -> None:
    options = BackendOptions(bytes(range(256)), "digest", path, "other", "third", 3, 17, 64, "avx2")
    draft = BackendOptions(b"own", checkpoint=path)
    spec = EngineSpec(options, Policy(max_waiting=3, stall_s=0.25), "module:function", "name", draft=draft)
    assert decode_spec(encode_spec(spec)) == spec
    assert encode_spec(spec).isascii()


@pytest.mark.parametrize("text", [b"", b"[]", b'{"options": {"threads": "many"}}'])
def test_what_is_no_spec_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):
        decode_spec(text)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Cannot open /home/me/my models/secret.gguf: gone.", "Cannot open secret: gone."),
        ("Cannot open /home/me/my drafts/own.gguf", "Cannot open the draft model"),
        ("No such file: '/home/me/my models/other.json'", "No such file: 'other.json'"),
        ("FileNotFoundError: /usr/lib/python3/x.py, line 3", "FileNotFoundError: x.py, line 3"),
        ("ratio 3/4 and/or http://host/path stay", "ratio 3/4 and/or http://host/path stay"),
    ],
)
def test_clients_see_no_paths(said: str, shown: str) -> None:
    error = without_paths(CheckpointError(said, remedy=said, param="p"), SPEC)
    assert (type(error), error.message, error.remedy, error.param) == (CheckpointError, shown, shown, "p")


def test_an_error_keeps_its_class_and_its_numbers() -> None:
    full = without_paths(QueueFullError("full", retry_after_s=2.5), SPEC)
    assert isinstance(full, QueueFullError)
    assert full.retry_after_s == 2.5
    assert without_paths(EngineError("x"), EngineSpec()).message == "x"
