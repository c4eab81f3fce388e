"""Which models a command line and its file ask for, what is said of each, and who may come in to ask them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.markdown import ROOT, blocks

from undiced.cli.commands import built
from undiced.cli.serving.front import Front
from undiced.cli.serving.model_options import ModelOptions, Wanted, wanted
from undiced.cli.serving.served import team
from undiced.core.errors import InvalidRequestError

PAGE = ROOT / "docs" / "operations.md"
TABLES = """
max-batch = 3
max-queue = 30
[models.small]
model = "some/model"
max-batch = 4
[models.large]
max-context = 64
served-model-name = ["large", "big"]
"""


def asked(*arguments: str | Path) -> list[Wanted]:
    """What a command line asks for."""
    with built("serve").make_context("serve", [str(each) for each in arguments]) as given:
        fields = {name: given.params[name] for name in ModelOptions.__dataclass_fields__}
        return wanted(given, given.params["model"], ModelOptions(**fields))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "own.toml"
    path.write_text(TABLES)
    return path


def test_options_of_the_command_line_are_for_each_model() -> None:
    first, second = asked("a", "b", "--max-batch", "7", "--served-model-name", "x=b", "--served-model-name", "y=b")
    assert (first.ref, first.options.max_batch, first.names) == ("a", 7, ())
    assert (second.ref, second.options.max_batch, second.names) == ("b", 7, ("x", "y"))


def test_the_only_model_may_have_any_name() -> None:
    for text, name in (("x", "x"), ("x=a", "x"), ("x=b", "x=b")):
        assert asked("a", "--served-model-name", text)[0].names == (name,)


def test_every_table_is_a_model_with_its_own_options(file: Path) -> None:
    small, large = asked("--config", file)
    assert (small.ref, small.names) == ("some/model", ("small",))
    assert (small.options.max_batch, small.options.max_queue, small.options.max_context) == (4, 30, None)
    assert (large.ref, large.names) == ("large", ("large", "big"))
    assert (large.options.max_batch, large.options.max_queue, large.options.max_context) == (3, 30, 64)


def test_the_tables_of_the_page_say_what_it_says(tmp_path: Path) -> None:
    [block] = [each for each in blocks(PAGE) if each.language == "toml"]
    path = tmp_path / "own.toml"
    path.write_text(block.text)
    small, large = asked("--config", path)
    assert (small.ref, small.names, small.options.max_batch) == ("smollm2-135m", ("small",), 8)
    assert (large.ref, large.names, large.options.threads) == ("org/name@main", ("large", "gpt-4o"), 6)
    assert small.options.max_context == large.options.max_context == 4096
    assert [each.names for each in asked("small", "--config", path)] == [("small",)]


def test_words_choose_among_tables_and_the_command_line_goes_before_them(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNDICED_MAX_CONTEXT", "128")
    large, other = asked("large", "other", "--config", file, "--served-model-name", "x=large")
    assert (large.names, large.options.max_context, large.options.max_batch) == (("x",), 128, 3)
    assert (other.ref, other.names, other.options.max_context) == ("other", (), 128)


def test_one_model_is_served_twice_with_two_tables(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('[models.a]\nmodel = "same"\n[models.b]\nmodel = "same"')
    assert [(each.ref, each.names) for each in asked("--config", path)] == [("same", ("a",)), ("same", ("b",))]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["a", "a"], "'a' is named twice. Name it once. Give each a table"),
        (["a", "b", "--served-model-name", "x"], "does not say of which model. Write NAME=MODEL, as in x=a."),
        (["a", "b", "--served-model-name", "x=c"], "does not say of which model"),
        (["a", "b", "--revision", "main"], "Write it behind a name"),
        (["a", "b", "--draft", "c"], "--draft is of one model, and there are several. Give each a table"),
    ],
)
def test_what_could_be_of_either_model_is_refused(arguments: list[str], told: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        asked(*arguments)
    assert told in str(refused.value)


def test_a_table_that_its_file_leaves_out_is_refused(file: Path) -> None:
    file.write_text('model = ["small"]\n' + TABLES)
    with pytest.raises(InvalidRequestError, match=r"\[models.large\] is of no model"):
        asked("--config", file)
    assert [each.ref for each in asked("small", "--config", file)] == ["some/model"], "chosen on purpose"


@pytest.mark.parametrize(("cores", "teams"), [(1, [1, 1, 1]), (2, [2, 2, 1]), (16, [16, 16, 10]), (64, [64, 64, 42])])
def test_teams_that_fold_to_half_fit_the_machine(cores: int, teams: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(cores))
    assert [team(models) for models in (1, 2, 3)] == teams
    assert all(models * -(-team(models) // 2) <= max(cores, models) + 1 for models in (1, 2, 3))


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_an_address_for_others_wants_a_key_or_a_word(host: str) -> None:
    with pytest.raises(InvalidRequestError, match="UNDICED_API_KEY") as refused:
        Front(host=host, port=0).bind()
    assert "--open" in refused.value.remedy
    for front in (Front(host=host, port=0, open=True), Front(host=host, port=0, api_key="k")):
        front.bind().close()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "localhost", "::1"])
def test_this_machine_alone_needs_no_key(host: str) -> None:
    Front(host=host, port=0).bind().close()
