"""`serve --config FILE`: what a file says is the default, and what it says wrong is refused with its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from undiced.cli.commands import built
from undiced.core.errors import InvalidRequestError

SHIPPED = Path(__file__).parents[3] / "deploy" / "undiced.toml"


def parsed(*arguments: str | Path) -> dict[str, Any]:
    with built("serve").make_context("serve", [str(each) for each in arguments]) as context:
        return context.params


def written(folder: Path, text: str) -> Path:
    file = folder / "own.toml"
    file.write_text(text)
    return file


def test_command_line_environment_file_and_default_go_in_this_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(
        tmp_path, 'max-queue = 5\nport = 6\nmax-batch = 7\nmodel = "own"\nallow-host = ["a", "b"]\njson = true'
    )
    monkeypatch.setenv("UNDICED_PORT", "60")
    monkeypatch.setenv("UNDICED_MAX_BATCH", "70")
    found = parsed("--max-batch", "700", "--config", file)
    assert (found["max_batch"], found["port"], found["max_queue"], found["max_connections"]) == (700, 60, 5, 2048)
    assert (found["model"], found["as_json"]) == (("own",), True) and list(found["allow_host"]) == ["a", "b"]
    assert parsed("other", "--config", file)["model"] == ("other",)


def test_the_file_can_be_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDICED_CONFIG", str(written(tmp_path, "drain = 2.5")))
    assert parsed()["drain_s"] == 2.5


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("max_context = 3", "no option 'max_context'. Did you mean max-context?"),
        ("nonsense = 3", "no option 'nonsense'. Keys are"),
        ('config = "x"', "no option 'config'"),
        ("port = 70000", "'--port' / '-p'"),
        ("port = 8001.5", "'--port' / '-p'"),
        ("port = true", "port has another kind of value. Give a text or a number"),
        ("json = 1", "json has another kind of value. Give true or false"),
        ('allow-host = ["a", true]', "allow-host has another kind of value. Give a list of texts"),
        ("port = { a = 1 }", "port has another kind of value"),
        ('log-level = "loud"', "'loud' is not one of"),
        ("port =", "no TOML"),
        ("models = 3", "Write a table for each model"),
        ("[models]\nsmall = 3", "Write a table for each model"),
        ("[models.small]\nport = 3", "in [models.small] there is no option 'port'. Keys of a table are"),
        ("[models.small]\nmax_batch = 3", "Did you mean max-batch?"),
        ("[models.small]\nmax-batch = 0", "'--max-batch'"),
        ('[models.small]\nthreads = "all"', "'--threads'"),
        ("[models.small]\nmodel = 3", "in [models.small] model is no text"),
    ],
)
def test_what_a_file_says_wrong_is_refused_with_its_name(text: str, told: str, tmp_path: Path) -> None:
    file = written(tmp_path, text)
    with pytest.raises(InvalidRequestError) as refused:
        parsed("--config", file)
    assert told in str(refused.value) and str(file) in str(refused.value) and refused.value.remedy


@pytest.mark.parametrize("name", ["absent.toml", "."])
def test_a_file_that_can_not_be_read_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="Cannot read"):
        parsed("--config", tmp_path / name)


def test_the_shipped_file_is_taken() -> None:
    found = parsed("--config", SHIPPED)
    assert (found["model"], found["host"], found["drain_s"]) == (("smollm2-135m",), "0.0.0.0", 30.0)
