"""Conversations over reloads: the list, and what can be done to them and their turns."""

from __future__ import annotations

import json
import time

import pytest
from steps import BUSY, ENDED, answered, ask, fill, open_page, press, text, texts
from written import answers, refusals

pytestmark = [pytest.mark.browser, pytest.mark.model]


def reload(page, server):
    page.run("window.old = true")
    page.call("Page.reload")
    page.until("!window.old && document.readyState === 'complete' && document.querySelector('#model').value")


def kept(page):
    return page.run("Object.keys(localStorage).filter((name) => name.startsWith('undiced.1.chat.')).length")


def exported(page, label, folder):
    """The file that a button hands over: its name, its text."""
    folder.mkdir()
    page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder), session=None)
    press(page, label)
    end = time.monotonic() + 10
    while not (files := [path for path in folder.iterdir() if path.suffix in (".md", ".json")]):
        assert time.monotonic() < end, "no file came"
        time.sleep(0.05)
    return files[0].name, files[0].read_text()


def test_a_conversation_is_there_after_a_reload_and_goes_on(page, server):
    answers(page, "**One.**")
    answered(page, "First?")
    reload(page, server)
    assert texts(page, ".user .text") == ["First?"]
    assert text(page, ".assistant strong:not(.speed *)") == "One."
    assert "1 token" in text(page, ".stats")
    answers(page, "Two.")
    answered(page, "Second?")
    assert [one["content"] for one in page.run("window.asked.at(-1).messages")] == ["First?", "**One.**", "Second?"]


def test_an_answer_that_a_reload_cuts_is_kept_as_stopped(page, server):
    answers(page, "Half ", ends="never")
    ask(page, "Go.")
    page.until(f"{BUSY} && {BUSY}.querySelector('.text').textContent")
    reload(page, server)
    assert text(page, ".assistant .text").strip() == "Half"
    assert "stopped" in text(page, ".stats")


def test_conversations_are_listed_opened_renamed_and_deleted(page, server):
    answers(page, "Yes.")
    answered(page, "About mills?")
    press(page, "New chat")
    assert texts(page, ".turn") == []
    answered(page, "About rivers?")
    assert texts(page, "#conversations .title") == ["About rivers?", "About mills?"]
    page.run("[...document.querySelectorAll('#conversations .title')].at(-1).click()")
    assert texts(page, ".user .text") == ["About mills?"]
    press(page, "Rename the conversation")
    fill(page, "input.title", "Mills")
    page.key("Enter", 13)
    reload(page, server)
    assert texts(page, "#conversations .title") == ["About rivers?", "Mills"]
    assert texts(page, ".user .text") == ["About mills?"]
    press(page, "Delete the conversation")
    assert len(texts(page, "#conversations .title")) == 2  # asks once more
    press(page, "Delete the conversation")
    assert texts(page, "#conversations .title") == ["About rivers?"]
    assert texts(page, ".turn") == []
    assert kept(page) == 1


def test_deleting_what_still_streams_does_not_bring_it_back(page):
    answers(page, "Half ", ends="never")
    ask(page, "Go.")
    page.until(f"{BUSY} && {BUSY}.querySelector('.text').textContent")
    press(page, "Delete the conversation")
    press(page, "Delete the conversation")
    page.until("document.querySelector('#stop').hidden")
    time.sleep(0.2)
    assert kept(page) == 0
    assert texts(page, ".turn") == []


def test_another_conversation_can_be_opened_while_an_answer_streams(page):
    answers(page, "Half ", ends="never")
    ask(page, "Go.")
    page.until(f"{BUSY} && {BUSY}.querySelector('.text').textContent")
    press(page, "New chat")
    answers(page, "Fine.")
    answered(page, "And now?")
    assert texts(page, ".assistant .text") == ["Fine."]
    page.run("[...document.querySelectorAll('#conversations .title')].at(-1).click()")
    assert text(page, ".assistant .text").strip() == "Half"
    assert "stopped" in text(page, ".stats")


def test_a_question_is_edited_and_what_follows_is_replaced(page):
    answers(page, "Yes.")
    for words in ("One?", "Two?"):
        answered(page, words)
    page.run("document.querySelector('.user [aria-label=\"Edit the question\"]').click()")
    fill(page, ".editor textarea", "Three?")
    page.key("Enter", 13)
    page.until(f"{ENDED} && document.querySelectorAll('.turn').length === 2")
    assert texts(page, ".user .text") == ["Three?"]
    assert page.run("window.asked.at(-1).messages") == [{"role": "user", "content": "Three?"}]


def test_an_edit_that_is_refused_brings_back_what_was(page):
    answers(page, "Yes.")
    for words in ("One?", "Two?"):
        answered(page, words)
    refusals(page, 400, "No.")
    page.run("document.querySelector('.user [aria-label=\"Edit the question\"]').click()")
    fill(page, ".editor textarea", "Three?")
    page.key("Enter", 13)
    page.until("!document.querySelector('#alert').hidden")
    assert texts(page, ".user .text") == ["One?", "Two?"]
    assert page.run("document.querySelector('#input').value") == "Three?"


def test_an_answer_is_made_again_and_a_turn_deleted(page):
    answers(page, "Old.")
    for words in ("One?", "Two?"):
        answered(page, words)
    answers(page, "New.")
    press(page, "Answer the question again")
    page.until("[...document.querySelectorAll('.assistant .text')].at(-1).textContent.trim() === 'New.'")
    assert [one["content"] for one in page.run("window.asked.at(-1).messages")] == ["One?", "Old.", "Two?"]
    page.run("for (const _ of [1, 2]) document.querySelector('.user [aria-label^=\"Delete\"]').click()")
    assert texts(page, ".turn .text") == ["Two?", "New."]
    answered(page, "Three?")
    assert [one["content"] for one in page.run("window.asked.at(-1).messages")] == ["Two?", "New.", "Three?"]


def test_a_conversation_is_exported_as_markdown_and_json(page, tmp_path):
    answers(page, "| a |\n|---|\n| b |\n")
    answered(page, "A table: ä/ö?")
    name, markdown = exported(page, "Export as Markdown", tmp_path / "one")
    assert name == "A-table-ä-ö.md"
    assert markdown == "# A table: ä/ö?\n\n## You\n\nA table: ä/ö?\n\n## Model\n\n| a |\n|---|\n| b |\n\n"
    name, written = exported(page, "Export as JSON", tmp_path / "two")
    assert name == "A-table-ä-ö.json"
    turns = json.loads(written)["turns"]
    assert [one["role"] for one in turns] == ["user", "assistant"]
    assert turns[1]["figures"]["tokens"] == 1


def test_what_other_versions_or_hands_have_stored_does_no_harm(browser, server):
    open_page(browser, server)
    browser.run("""
      localStorage.setItem("undiced.1.chat.bad", "{not json");
      localStorage.setItem("undiced.1.chat.odd", JSON.stringify({ id: "odd", title: 3, turns: "none" }));
      localStorage.setItem("undiced.1.chat.half", JSON.stringify({
        id: "half", title: "", created: 1, updated: 1, turns: [{ role: "user", text: "Q" }] }));
      localStorage.setItem("undiced.9.chat.new", "{}");
      localStorage.setItem("undiced.1.settings", "7");
      localStorage.setItem("undiced.1.open", "[]");
    """)
    reload(browser, server)
    assert texts(browser, "#conversations .title") == ["Q"]
    assert browser.complaints() == []


def test_the_oldest_conversations_make_room(browser, server):
    open_page(browser, server)
    browser.run("""
      for (let at = 0; at < 130; at++) localStorage.setItem(`undiced.1.chat.${at}`, JSON.stringify({
        id: String(at), title: `No. ${at}`, created: at, updated: at,
        turns: [{ role: "user", text: "Q" },
          { role: "assistant", text: "A".repeat(at === 0 ? 10 : 20000), figures: { outcome: "stop" } }] }))
    """)
    reload(browser, server)
    answers(browser, "Yes.")
    answered(browser, "The newest?")
    titles = texts(browser, "#conversations .title")
    assert titles[:2] == ["The newest?", "No. 129"]
    assert len(titles) == 100


def test_storage_that_is_full_or_missing_is_said_once_and_the_page_goes_on(page):
    page.run("Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); }")
    answers(page, "Yes.")
    answered(page, "One?")
    assert "no room to keep the conversation" in text(page, "#alert")
    answered(page, "Two?")
    assert len(texts(page, ".turn")) == 4
