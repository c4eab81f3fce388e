"""The conversation of `undiced chat` around a scripted model: what is left out, what goes on, what is said about it."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import pytest
from support.pseudo_terminal import PseudoTerminal
from support.word_model import WordModel

from undiced import SamplingParams
from undiced.cli.conversation import Conversation
from undiced.cli.showing import Rendered, Thought, Wrapped, whole_paragraphs

USUAL = SamplingParams(max_tokens=4)


def words(text: str, count: int) -> str:
    return " ".join([text] * count)


@pytest.fixture
def model() -> WordModel:
    return WordModel()


def conversation(model: WordModel, system: str = "", *, as_json: bool = False) -> Conversation:
    return Conversation(model, USUAL, system, as_json=as_json)  # type: ignore[arg-type]


def test_the_oldest_turns_are_left_out_where_the_context_is_full_and_the_system_prompt_stays(model, capsys):
    talk = conversation(model, "be brief")
    for name in "abc":
        talk.take(words(name, 6))
    assert model.told == [
        ["be brief", words("a", 6)],
        ["be brief", words("b", 6)],
        ["be brief", words("c", 6)],
    ], "2 + 6 + 4 for the first turn, and 4 for an answer, leave no room for 6 more"
    assert len(talk.messages) == 6
    said = capsys.readouterr().err
    assert "The context of 20 tokens is full: the 2 oldest messages are left out." in said
    talk.take("/reset")
    assert (talk.left_out, talk.messages) == (0, [])


def test_scripts_are_told_how_many_messages_are_left_out(model, capsys):
    talk = conversation(model, as_json=True)
    for name in "abc":
        talk.take(words(name, 9))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.get("left_out_messages", 0) for line in lines] == [0, 2, 4]


def test_a_message_longer_than_the_context_is_refused_with_a_remedy_that_is_there(model, capsys):
    talk = conversation(model)
    talk.take(words("x", 30))
    told = capsys.readouterr().err
    assert "alone fills the context of 20 tokens" in told and "--max-context (100 at most" in told
    assert talk.messages == []
    talk.take("x")
    assert len(talk.messages) == 2


def test_a_long_message_is_answered_by_what_fits(model, capsys):
    conversation(model).take(words("x", 18))
    assert "2 tokens; cut: the context is full" in capsys.readouterr().err


def test_what_is_told_of_an_answer_fits_a_terminal(model, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    conversation(model).take(words("x", 18))
    told = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().err)
    assert "the next message leaves" in " ".join(told.split()) and max(map(len, told.splitlines())) <= 40


def test_a_cut_answer_goes_on_in_its_own_message(model, capsys):
    talk = conversation(model)
    talk.take("/continue")
    assert "There is no cut answer" in capsys.readouterr().err
    talk.take("tell")
    assert "/continue goes on" in capsys.readouterr().err
    talk.take("/continue")
    assert [message["content"] for message in talk.messages] == ["tell", words("so", 4) + " more" * 4]
    assert model.told[-1] == ["tell", words("so", 4)]


def test_what_a_pipe_gets_are_the_answers_alone(model, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO('one\n"""two\nthree"""\nfour\\\nfive\n/set temperature 7\n'))
    conversation(model).run()
    assert capsys.readouterr().out == "so so so so\n" * 3
    assert [messages[-1] for messages in model.told] == ["one", "two\nthree", "four\nfive"]


def test_every_line_of_a_script_is_a_message(model, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO('"""a\nb\\\n'))
    conversation(model, as_json=True).run()
    assert [messages[-1] for messages in model.told] == ['"""a', "b\\"]


def test_numbers_are_set_shown_and_taken_back(model, capsys):
    talk = conversation(model)
    talk.take("/set temperature 0")
    assert talk.params.temperature == 0
    talk.take("/show")
    shown = capsys.readouterr().err
    assert "temperature     0\n" in shown and "repeat_penalty  1, the default" in shown, "greedy answers have none"
    talk.take("/set repeat-penalty 1.3")
    talk.take("/set temperature default")
    assert (talk.params.repetition_penalty, talk.params.temperature) == (1.3, None)


@pytest.mark.parametrize("words", ["heat 1", "temperature", "temperature 9", "top_k 0.5", "max_tokens 0", "seed -1"])
def test_numbers_that_can_not_be_are_refused_with_those_that_can(model, capsys, words):
    talk = conversation(model)
    talk.take(f"/set {words}")
    assert talk.params == USUAL
    error = capsys.readouterr().err
    assert error.startswith("error: ") and ("Give " in error or "Set one of temperature" in error)


def test_a_conversation_is_saved_to_a_new_file_alone(model, capsys, tmp_path):
    talk = conversation(model, "be brief")
    talk.take("hi")
    talk.take(f"/save {tmp_path}/talk.txt")
    talk.take(f"/save {tmp_path}/talk.json")
    assert (tmp_path / "talk.txt").read_text() == "system: be brief\n\nuser: hi\n\nassistant: so so so so\n"
    assert json.loads((tmp_path / "talk.json").read_text())[1] == {"role": "user", "content": "hi"}
    capsys.readouterr()
    talk.take(f"/save {tmp_path}/talk.txt")
    assert "File exists" in capsys.readouterr().err


def test_words_are_wrapped_where_a_line_ends(capsys):
    shown = Wrapped(10)
    for piece in ("one tw", "o three\n  fo", "ur", " incomprehensibilities"):
        shown.write(piece)
    shown.end()
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "one two", "three", "  four", "incomprehensibilities",
    ]  # fmt: skip
    full = Wrapped(7)
    full.write("one two three\n")
    assert capsys.readouterr().out == "one two\nthree\n", "a blank behind a full line would begin another"


def test_paragraphs_are_whole_once_nothing_can_change_them():
    assert whole_paragraphs("one\n\n") == ([], "one\n\n")
    assert whole_paragraphs("one\n\ntwo") == (["one\n\n"], "two")
    assert whole_paragraphs("- one\n\n  more\n\n- t") == (["- one\n\n  more\n\n"], "- t")
    assert whole_paragraphs("```\na\n\nb\n") == ([], "```\na\n\nb\n")


def test_thoughts_are_shown_apart_from_what_is_said(capsys):
    shown = Thought()
    for thought, piece in (("", ""), ("Hm", ""), ("Hm. \x1b", ""), ("Hm. \x1b", "4"), ("Hm. \x1b", ".")):
        shown.hear(thought, piece)
    shown.end()
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "Hm. \\x1b\n\n")


def test_markdown_is_rendered_and_its_escapes_are_text(capsys):
    shown = Rendered()
    for piece in ("# He", "ad\n\nsome **bo", "ld** \x1b[31m text\n\n3. three\n\n", "4. four"):
        shown.write(piece)
    shown.end()
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert "some bold \\x1b[31m text" in lines
    assert lines[-3:] == [" 3 three", "", " 4 four"]


TALK = """
from support.word_model import WordModel
from undiced import SamplingParams
from undiced.cli.conversation import Conversation
WordModel.context = 4000
talk = Conversation(WordModel(), SamplingParams(max_tokens=2), "")
talk.run()
print([message["content"] for message in talk.messages if message["role"] == "user"])
"""


def test_a_terminal_edits_lines_keeps_them_and_stops_answers(tmp_path):
    """Ctrl-C drops what is typed, then stops an answer; a pasted text of two lines is one message; Ctrl-D leaves."""
    tests = str(Path(__file__).parents[2])
    with PseudoTerminal("-c", TALK, XDG_STATE_HOME=str(tmp_path), PYTHONPATH=tests) as terminal:
        terminal.wait_for("> ")
        terminal.type("nothing")
        terminal.wait_for("nothing")
        terminal.type("\x03")
        for typed, shown in (
            ("hellx\x7fo\n", "2 tokens"),
            ("\x1b[A!\n", "2 tokens"),
            ('"""a\n', "... "),
            ('b"""\n', "2 tokens"),
            ("/set max_tokens 1000\n", "max_tokens      1000"),
            ("slowly\n", "so "),
            ("\x03", "stopped"),
            ("/show\n", "messages"),
            ("\x03", "Ctrl-D or /exit leaves."),
        ):
            terminal.wait_for("> ") if typed not in ('b"""\n', "\x03") or "exit" in shown else None
            terminal.type(typed)
            terminal.wait_for(shown)
        terminal.wait_for("> ")
        terminal.type("\x04")
        assert terminal.end() == 0
    assert "['hello', 'hello!', 'a\\nb', 'slowly']" in terminal.shown
    history = tmp_path / "undiced" / "chat_history"
    assert history.read_text().splitlines()[:3] == ["hello", "hello!", '"""a']
    assert history.stat().st_mode & 0o777 == 0o600
