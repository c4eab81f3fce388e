"""`models`, `pull`, `show`, `rm` and `--revision` with models of the hub, from a stand-in of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import gguf_writer, tiny_models
from support.hub import Hub, Repository, running_hub
from typer.testing import CliRunner

from undiced.checkpoint.cache import model_path
from undiced.checkpoint.catalog import CATALOG
from undiced.cli.app import app
from undiced.core.errors import InvalidRequestError, ModelNotFoundError
from undiced.study.subject import subject

TINY, FILES = "acme/tiny", "acme/tiny-GGUF"
CARD = b"---\ntags: [a]\nlicense: 'mit'\n---\nText"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("UNDICED_CACHE", str(tmp_path / "cache"))
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    folder = tiny_models.make_folder(tiny_models.load_case("llama"), tmp_path / "made")
    with running_hub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        running.repositories[TINY] = Repository({**files, "README.md": CARD})
        running.repositories[FILES] = Repository(
            {
                "a-Q8_0.gguf": gguf_writer.small().bytes(),
                "a-Q4_K_M.gguf": gguf_writer.small().bytes(),
                "README.md": CARD,
            }
        )
        yield running


def run(*arguments: str) -> str:
    found = CliRunner().invoke(app, arguments)
    if found.exception is not None:
        raise found.exception
    return found.stdout


def listed() -> dict[str, dict[str, object]]:
    return {row["name"]: row for row in json.loads(run("models", "--json")) if row["source"] == "hub"}


def test_what_was_fetched_is_listed_by_the_name_that_opens_it(hub: Hub) -> None:
    assert not listed()
    path = run("pull", TINY).strip()
    file = json.loads(run("pull", f"{FILES}:Q8_0", "--json"))["path"]
    rows = listed()
    assert {name: row["path"] for name, row in rows.items()} == {TINY: path, f"hf:{FILES}/a-Q8_0.gguf": file}
    assert all(row["license"] == "mit" and row["cached"] for row in rows.values())
    assert rows[TINY]["bytes"] == sum(len(data) for data in hub.repositories[TINY].files.values())
    assert TINY in run("models") and json.loads(run("pull", f"hf:{FILES}/a-Q8_0.gguf", "--json"))["path"] == file


def test_show_tells_what_the_files_say(hub: Hub) -> None:
    run("pull", TINY)
    shown = json.loads(run("show", TINY, "--json"))
    assert (shown["family"], shown["layers"], shown["license"]) == ("llama", 3, "mit")
    assert shown["quantization"] == {"F32": shown["bytes"]} and shown["chat_template"] is None
    text = run("show", TINY)
    assert shown["path"] in text and "layers 3" in text and "chat template  none" in text


def test_what_is_not_fetched_says_how(hub: Hub) -> None:
    with pytest.raises(ModelNotFoundError, match=f"{TINY} is not fetched yet. Run `undiced pull {TINY}` first"):
        run("show", TINY)
    assert not hub.asked


def test_rm_deletes_what_is_named_and_nothing_else(hub: Hub, tmp_path: Path) -> None:
    run("pull", TINY)
    run("pull", FILES)
    run("pull", f"{FILES}:Q8_0")  # equal bytes: one blob for both
    assert json.loads(run("rm", f"{FILES}:Q8_0", "--json"))["freed_bytes"] == 0
    assert set(listed()) == {TINY, f"hf:{FILES}/a-Q4_K_M.gguf"}
    run("rm", f"hf:{FILES}/a-Q4_K_M.gguf")
    run("rm", TINY)
    assert not list((tmp_path / "hf" / "hub").glob("models--*"))
    with pytest.raises(ModelNotFoundError, match="no model that was fetched"):
        run("rm", TINY)


def test_rm_leaves_what_other_programs_keep_beside_it(hub: Hub) -> None:
    snapshot = Path(run("pull", TINY).strip())
    for name in ("pytorch_model.bin", "other.gguf"):
        (snapshot / name).write_bytes(b"theirs")
    run("rm", TINY)
    assert sorted(path.name for path in snapshot.iterdir()) == ["other.gguf", "pytorch_model.bin"]
    assert not list((snapshot.parents[1] / "blobs").iterdir())


def test_rm_leaves_files_of_ones_own(hub: Hub, tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.touch()
    with pytest.raises(ModelNotFoundError, match="no model that was fetched"):
        run("rm", str(own))
    assert own.exists()


def test_rm_deletes_a_packaged_model(hub: Hub) -> None:
    path = model_path(CATALOG["gemma3-270m"])
    path.parent.mkdir(parents=True)
    path.write_bytes(b"GGUF")
    assert "Deleted Gemma3-270M" in run("rm", "Gemma3-270M") and not path.exists()
    with pytest.raises(ModelNotFoundError, match="not in the cache"):
        run("rm", "gemma3-270m")


def test_a_revision_is_an_option_too(hub: Hub) -> None:
    commit = hub.repositories[TINY].commit
    assert commit in run("pull", TINY, "--revision", commit)
    assert list(listed()) == [f"{TINY}@{commit}"]
    for command in ("generate", "chat", "serve", "show"):
        with pytest.raises(InvalidRequestError, match="has no revisions"):
            run(command, "smollm2-135m", "--revision", commit)


def test_a_name_has_one_revision(hub: Hub) -> None:
    with pytest.raises(InvalidRequestError, match="names a revision already"):
        run("pull", f"{TINY}@main", "--revision", "v2")


@pytest.mark.parametrize(
    "command",
    [
        "generate -p Hi",
        "chat",
        "compile --machine toy-4x4",
        "simulate --machine toy-4x4",
        "sweep --machine toy-4x4",
        "run -p Hi",
        "diff graph host --model",
    ],
)
def test_every_command_takes_a_name_with_its_revision(hub: Hub, command: str) -> None:
    commit = hub.repositories[TINY].commit
    found = CliRunner().invoke(app, [*command.split(), f"{TINY}@{commit}"])
    assert hub.brought() and not isinstance(found.exception, ModelNotFoundError)
    of_the_model = [path for path in hub.asked if TINY in path]  # the library asks the hub about itself, too
    assert of_the_model and all(f"/{commit}" in path for path in of_the_model), "another revision is asked for"


def test_what_is_at_the_hub_can_be_simulated_without_its_weights(hub: Hub) -> None:
    config = subject(TINY).config
    assert (config.name, config.family, config.layers) == ("tiny", "llama", 3)
    assert hub.brought() == ["config.json"] and not listed()
