"""Who asks to run what only wafers take is told what runs here, and what can be simulated."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import tiny_models

from undiced.checkpoint import open_checkpoint
from undiced.compiled import compile_for_host
from undiced.compiler import compile
from undiced.core.errors import ModelNotFoundError, UnsupportedError
from undiced.machine.host import host
from undiced.model import FAMILIES, PRESETS, Graph, build, build_config
from undiced.program import Bounds


def graphs_of(family: str, folder: Path) -> Iterator[Graph]:
    """Its tiny cases and what the catalog has of it: of a tiny one's heads or experts a host may refuse the sizes."""
    yield from (build_config(config) for config in PRESETS.values() if config.family == family)
    for name in tiny_models.case_names():
        case = tiny_models.load_case(name)
        if case["family"] == family:
            yield build(open_checkpoint(tiny_models.make_folder(case, folder / name)))


def host_takes(graph: Graph) -> bool:
    try:
        compile(graph, host(1), Bounds(1, 16))
    except UnsupportedError:
        return False
    return True


def test_the_host_takes_every_family(tmp_path: Path) -> None:
    assert {family for family in FAMILIES if any(map(host_takes, graphs_of(family, tmp_path)))} == set(FAMILIES)


def test_an_unknown_family_is_told_what_runs_here(tmp_path: Path) -> None:
    folder = tiny_models.make_folder(tiny_models.load_case("llama"), tmp_path / "m")
    config = json.loads((folder / "config.json").read_text()) | {"model_type": "mamba", "architectures": []}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnsupportedError, match="'mamba' is not supported") as refused:
        compile_for_host(folder)
    runs = refused.value.remedy.removeprefix("Supported: ").rstrip(".").split(", ")
    assert {"llama", "mixtral", "qwen3_moe", "llama4_text", "deepseek_v2", "deepseek_v3"} <= set(runs)


def test_a_configuration_is_told_how_it_is_simulated() -> None:
    with pytest.raises(ModelNotFoundError, match=r'undiced.simulate\("llama-3.3-70b"\) times it'):
        compile_for_host("Llama 3.3 70B")
