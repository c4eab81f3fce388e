"""The chat page in a real browser, against a real model."""

from __future__ import annotations

import re
import time

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.model]
BUSY = "document.querySelector('.assistant.busy')"
STATS = "document.querySelector('.assistant:last-child .stats')"

LONG = "Tell me a long story about a river, a mill and a miller."  # takes long enough to be seen half done


def text(browser, selector):
    return browser.run(f"document.querySelector({selector!r}).textContent")


def open_page(browser, server):
    browser.open(server.url)
    browser.until("document.querySelector('#model').value")


def ask(browser, words):
    browser.run("document.querySelector('#input').focus()")
    browser.type(words)
    browser.key("Enter", 13)


def test_an_answer_streams_with_its_speed(browser, server, tmp_path):
    open_page(browser, server)
    assert text(browser, "#model option") == server.model
    assert browser.run("document.querySelector('#send').disabled")
    ask(browser, LONG)
    browser.until(f"{BUSY} && {BUSY}.querySelector('.text').textContent.length > 5")
    early = text(browser, ".assistant .text")
    browser.until(STATS)
    assert text(browser, ".assistant .text").startswith(early)
    assert re.search(r"\d+ tokens/sfirst token \d+ ms\d+ tokens", text(browser, ".assistant .stats"))
    assert text(browser, ".user .text") == LONG
    assert browser.run("document.querySelector('#stop').hidden && !document.querySelector('#send').hidden")
    picture = tmp_path / "page.png"
    browser.picture(picture)
    assert picture.stat().st_size > 10_000
    assert browser.complaints() == []
    assert {url.split("/")[2] for url in browser.requests()} == {server.url.removeprefix("http://")}


def test_a_conversation_remembers_and_a_new_chat_forgets(browser, server):
    open_page(browser, server)
    browser.run("document.querySelector('#settings-toggle').click()")
    browser.run("document.querySelector('#max-tokens').value = 8")
    for count, words in enumerate(("First.", "Second."), start=1):
        ask(browser, words)
        browser.until(f"document.querySelectorAll('.assistant .stats').length === {count}")
    assert browser.run("messages.length") == 4
    browser.run("document.querySelector('#clear').click()")
    assert browser.run("messages.length") == 0
    assert not browser.run("document.querySelector('#empty').hidden")


def test_stop_ends_an_answer_and_keeps_its_text(browser, server):
    open_page(browser, server)
    browser.run("document.querySelector('#system').value = 'Write very long stories.'")
    ask(browser, "Tell me a very long story about a dragon, a wafer and the sea.")
    browser.until(f"{BUSY} && {BUSY}.querySelector('.text').textContent.length > 10")
    browser.key("Escape", 27)
    browser.until(STATS)
    assert "stopped" in text(browser, ".assistant .stats")
    kept = text(browser, ".assistant .text")
    time.sleep(0.3)
    assert text(browser, ".assistant .text") == kept != ""
    assert browser.run("document.querySelector('#alert').hidden")


def test_errors_are_shown_and_give_the_question_back(browser, server):
    open_page(browser, server)
    ask(browser, "word " * 3000)
    browser.until("!document.querySelector('#alert').hidden")
    assert "maximum context length is 2048 tokens" in text(browser, "#alert")
    assert browser.run("document.querySelector('#input').value.length") > 10_000
    assert browser.run("messages.length") == 0
    browser.run("newChat(), document.querySelector('#input').value = ''")
    ask(browser, "Hi.")
    browser.until(STATS)
    assert browser.run("document.querySelector('#alert').hidden")


def test_the_server_says_what_is_asked_for(browser, server):
    open_page(browser, server)
    told = "models.get(page.model.value).chat_defaults"
    assert browser.run(f"Number(page.temperature.value) === {told}.temperature && page.shown.value !== ''")
    assert browser.run(f"Number(page.most.placeholder) === {told}.max_tokens")
    browser.run("messages = [{role: 'user', content: 'x'}]")
    sent = browser.run("JSON.parse(body(limit()))")
    assert browser.run(told).items() <= sent.items()


def test_an_answer_that_the_limit_cut_goes_on(browser, server):
    open_page(browser, server)
    browser.run("page.most.value = 6")
    ask(browser, LONG)
    browser.until(STATS)
    first = text(browser, ".assistant .text")
    assert "cut at the limit" in text(browser, ".assistant .stats")
    browser.run("document.querySelector('.more').click()")
    browser.until(f"!running && document.querySelector('.assistant .text').textContent.length > {len(first)}")
    longer = text(browser, ".assistant .text")
    assert longer.startswith(first) and browser.run("messages.length") == 2
    assert browser.run("messages.at(-1).content") == longer
    ask(browser, "Thanks.")
    browser.until("document.querySelectorAll('.stats').length === 2")
    assert browser.run("document.querySelectorAll('.assistant:nth-child(2) .more').length") == 0


def test_a_conversation_beyond_the_context_goes_on_without_its_oldest_turns(browser, server):
    open_page(browser, server)
    browser.run("page.most.value = 8")
    for at in (1, 2, 3):
        ask(browser, f"Note {at}: " + "word " * 900)
        browser.until(f"document.querySelectorAll('.assistant .stats').length === {at}")
    assert browser.run("forgotten") == 2 and browser.run("messages.length") == 6
    assert "the 2 oldest messages are left out" in text(browser, ".assistant:last-child .stats")
    assert browser.run("page.alert.hidden")
    browser.run("newChat()")
    assert browser.run("forgotten") == 0


def test_what_models_write_is_never_markup(browser, server):
    open_page(browser, server)
    attack = "<img src=x onerror=alert(1)><script>alert(2)</script> `a<b>` **bold** ```py\n<i>x</i>\n```"
    browser.run(f"render(addTurn('assistant', '').body, {attack!r})")
    assert browser.run("document.querySelectorAll('.text img, .text script, .text i').length") == 0
    assert text(browser, ".assistant pre") == "<i>x</i>"
    assert text(browser, ".assistant strong") == "bold"


@pytest.mark.parametrize("width", [360, 1200])
def test_nothing_overflows_and_everything_has_a_name(browser, server, width):
    browser.size(width, 700, dark=True)
    open_page(browser, server)
    browser.run("document.querySelector('#settings-toggle').click()")
    ask(browser, "x" * 300)
    browser.until("document.querySelector('.assistant')")
    browser.key("Escape", 27)
    assert browser.run("document.documentElement.scrollWidth <= window.innerWidth")
    assert browser.run("document.documentElement.dataset.theme") == "dark"
    unnamed = (
        "[...document.querySelectorAll('button, input, select, textarea')]"
        ".filter((e) => !e.ariaLabel && !e.labels?.length && !e.textContent.trim()).length"
    )
    assert browser.run(unnamed) == 0


def test_a_server_that_is_gone_is_said_so(browser, server):
    open_page(browser, server)
    browser.call(
        "Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1
    )
    ask(browser, "Hi.")
    browser.until("!document.querySelector('#alert').hidden")
    assert "can't be reached" in text(browser, "#alert")
