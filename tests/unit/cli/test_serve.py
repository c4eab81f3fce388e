"""What `serve` makes of its options."""

import os
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from undiced.cli.serve import served_names, server_settings


def test_no_request_is_larger_than_the_queue():
    narrow = server_settings(max_queue=4, max_connections=100, drain_s=1.5)
    assert (narrow.max_choices, narrow.max_sequences) == (4, 4)
    assert (narrow.max_connections, narrow.drain_s) == (100, 1.5)
    usual = server_settings(max_queue=256, max_connections=2048, drain_s=30)
    assert (usual.max_choices, usual.max_sequences) == (16, 256)


@pytest.mark.parametrize("name", [b"m\x9d", b"m\x1b[31m", b"m\xff\n"])
def test_a_model_whose_file_has_a_strange_name_gets_one_that_can_be_written(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name + b".json")
    path.write_text('{"dim": 64, "heads": 4, "layers": 2, "vocab": 200, "ffn": 96}')
    compiled = SimpleNamespace(checkpoint=SimpleNamespace(path=path, name=path.name))
    shown = served_names(str(path), compiled)[0]  # type: ignore[arg-type]
    assert shown.isprintable() and msgspec.json.encode(shown) and shown.startswith("'m\\")
