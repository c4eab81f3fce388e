"""What `serve` makes of its options."""

import os
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from undiced.cli.serving.front import Front
from undiced.cli.serving.served import served_names, within_queue
from undiced.core.errors import InvalidRequestError


def test_no_request_is_larger_than_the_queue():
    settings = Front(max_connections=100, drain_s=1.5).settings()
    assert (settings.max_connections, settings.drain_s) == (100, 1.5)
    narrow, usual = within_queue(settings, 4), within_queue(settings, 256)
    assert (narrow.max_choices, narrow.max_sequences) == (4, 4)
    assert (usual.max_choices, usual.max_sequences) == (16, 256)


@pytest.mark.parametrize("name", [b"m\x9d", b"m\x1b[31m", b"m\xff\n"])
def test_a_model_whose_file_has_a_strange_name_gets_one_that_can_be_written(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name + b".json")
    path.write_text('{"dim": 64, "heads": 4, "layers": 2, "vocab": 200, "ffn": 96}')
    compiled = SimpleNamespace(checkpoint=SimpleNamespace(path=path, name=path.name))
    shown = served_names(str(path), compiled)[0]  # type: ignore[arg-type]
    assert shown.isprintable() and msgspec.json.encode(shown) and shown.startswith("'m\\")


def test_what_happens_in_an_outage_is_said_only_where_there_is_a_database() -> None:
    with pytest.raises(InvalidRequestError, match="--on-outage"):
        Front(on_outage="allow").settings()
    front = Front(auth=True, on_outage="allow", port=0, admin_port=0)
    front.settings()
    desk = front.desk()
    assert desk is not None
    desk.sock.close()
    assert desk.allow
