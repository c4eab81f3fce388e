"""Under which license a model comes: what its own files say, and nothing that they don't."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors_writer import safetensors, small, write_folder
from support import gguf_writer

from undiced.checkpoint import open_checkpoint
from undiced.checkpoint.license import license_of


@pytest.mark.parametrize(
    ("card", "license"),
    [
        (b"---\nlicense: apache-2.0\ntags:\n- a\n---\nlicense: mit\n", "apache-2.0"),
        (b"---\r\nlicense: 'mit'\r\n---\r\n", "mit"),
        (b'---\nlicense: other\nlicense_name: "own-terms"\n---\n', "own-terms"),
        (b"license: mit\n", ""),
        (b"---\nlicense:\n- mit\n- bsd\n---\n", ""),
        (b"---\nlicense: " + b"x" * 100 + b"\n---\n", ""),
        (b"\xff\xfe\0", ""),
        (b" " * (1 << 21), ""),
    ],
)
def test_the_head_of_the_card_names_it(tmp_path: Path, card: bytes, license: str) -> None:
    folder = write_folder(tmp_path / "m", model__safetensors=safetensors(small()))
    assert license_of(open_checkpoint(folder)) == ""
    (folder / "README.md").write_bytes(card)
    assert license_of(open_checkpoint(folder)) == license


def test_a_gguf_file_names_its_own(tmp_path: Path) -> None:
    file = gguf_writer.small()
    file.fields.append(("general.license", gguf_writer.STRING, "cc-by-4.0"))
    (tmp_path / "m.gguf").write_bytes(file.bytes())
    (tmp_path / "README.md").write_bytes(b"---\nlicense: mit\n---\n")
    assert license_of(open_checkpoint(tmp_path / "m.gguf")) == "cc-by-4.0"
