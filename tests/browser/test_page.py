"""The chat page in a real browser, against a real model: asking, streaming, stopping, failing."""

from __future__ import annotations

import re
import time

import pytest
from live import running
from steps import BUSY, ENDED, answered, ask, fill, open_page, press, text, texts
from support.installation import installed
from written import answers, refusals

pytestmark = [pytest.mark.browser, pytest.mark.model]
REASON = "document.querySelector('#key-reason').textContent"
STATS = ".assistant:last-child .stats"
LONG = "Tell me a long story about a river, a mill and a miller."  # takes long enough to be seen half done


def test_an_answer_streams_with_its_speed(page, server, tmp_path):
    assert text(page, "#model option") == server.model
    assert page.run("document.querySelector('#send').disabled")
    page.run("document.querySelector('#settings-toggle').click()")
    fill(page, "#max_tokens", "200")
    ask(page, LONG)
    page.until(f"{BUSY} && {BUSY}.querySelector('.text').textContent.length > 20")
    early = text(page, ".assistant .text")
    page.until(f"{BUSY} && /^[0-9.]+ tokens.s[0-9]+ tokens/.test({BUSY}.querySelector('.stats').textContent)")
    page.until(ENDED, 60)
    assert early[:20] in text(page, ".assistant .text")
    assert re.match(r"[\d.]+ tokens/s\d+ tokens · first token \d+ ms", text(page, STATS))
    assert text(page, ".user .text") == LONG
    assert page.run("document.querySelector('#stop').hidden && !document.querySelector('#send').hidden")
    assert re.match(r"Answer ended: \d+ tokens, [\d.]+ tokens a second\.", text(page, "#status"))
    picture = tmp_path / "page.png"
    page.picture(picture)
    assert picture.stat().st_size > 10_000
    assert page.complaints() == []
    assert {url.split("/")[2] for url in page.requests()} == {server.url.removeprefix("http://")}


def test_the_empty_page_tells_what_runs_and_how_fast_it_was(page, server):
    assert server.model in text(page, "#empty p")
    answered(page, "Hello!")
    open_page(page, server)
    press(page, "New chat")
    page.until("!document.querySelector('#measured').hidden")
    assert re.fullmatch(r"[\d.,]+", text(page, "#measured-speed"))
    assert re.search(r"over \d+ answers?$", text(page, "#measured-over"))
    assert page.run("document.querySelector('#unmeasured').hidden")
    assert len(texts(page, ".idea")) >= 3


def test_stop_ends_an_answer_and_keeps_and_counts_its_text(page):
    answers(page, *["word "] * 12, ends="never")
    ask(page, "Tell me a story.")
    page.until(f"{BUSY} && {BUSY}.querySelector('.text').textContent.length > 50")
    page.key("Escape", 27)
    page.until(ENDED)
    assert re.match(r"[\d.,]+ tokens/s12 tokens · first token \d+ ms · stopped", text(page, STATS))
    kept = text(page, ".assistant .text")
    time.sleep(0.3)
    assert text(page, ".assistant .text") == kept != ""
    assert page.run("document.querySelector('#alert').hidden")


def test_a_question_stopped_before_its_first_token_is_shown_and_not_sent_again(page):
    answers(page, ends="never")
    ask(page, "First?")
    page.until(BUSY)
    page.key("Escape", 27)
    page.until(ENDED)
    assert "stopped before the first token" in text(page, STATS)
    answers(page, "Yes.")
    answered(page, "Second?")
    sent = page.run("window.asked.at(-1).messages")
    assert sent == [{"role": "user", "content": "Second?"}]
    answered(page, "Third?")
    assert [one["role"] for one in page.run("window.asked.at(-1).messages")] == ["user", "assistant", "user"]


def test_an_answer_that_fails_half_way_is_kept_and_counted(page):
    answers(page, "one ", "two ", ends="error")
    answered(page, "Count.")
    page.until("!document.querySelector('#alert').hidden")
    assert text(page, "#alert") == "The engine died."
    assert "2 tokens" in text(page, STATS)
    assert "failed" in text(page, STATS)
    answers(page, "fine")
    press(page, "Answer the question again")
    page.until("document.querySelector('.assistant .text').textContent.trim() === 'fine'")
    assert page.run("document.querySelector('#alert').hidden")


def test_errors_are_shown_and_give_the_question_back(page):
    ask(page, "word " * 3000)
    page.until("!document.querySelector('#alert').hidden")
    assert "maximum context length is 2048 tokens" in text(page, "#alert")
    assert page.run("document.querySelector('#input').value.length") > 10_000
    assert texts(page, ".turn") == []
    fill(page, "#input", "")
    answered(page, "Hi.")
    assert page.run("document.querySelector('#alert').hidden")


def test_a_server_that_is_gone_is_said_so(page):
    page.call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1)
    ask(page, "Hi.")
    page.until("!document.querySelector('#alert').hidden")
    assert "can't be reached" in text(page, "#alert")
    assert page.run("document.querySelector('#input').value") == "Hi."


def test_another_answer_that_is_refused_leaves_the_one_before(page):
    answers(page, "good")
    answered(page, "Which?")
    refusals(page, 503, "Draining.")
    press(page, "Answer the question again")
    page.until("!document.querySelector('#alert').hidden")
    assert texts(page, ".assistant .text") == ["good"]
    assert page.run("document.querySelector('#input').value") == ""


def test_the_view_follows_the_end_and_stays_where_the_reader_is(page):
    answers(page, *["A line of the story.\n\n"] * 150, pause_ms=10)
    ask(page, "Long, please.")
    page.run("window.view = document.querySelector('#scroll'), 0")
    away = "(view.scrollHeight - view.scrollTop - view.clientHeight)"
    page.until("view.scrollTop > 200")
    assert page.run(away) < 60
    page.run("view.scrollTop = 100")
    page.until(f"{away} > 800")
    assert page.run("view.scrollTop") == 100
    page.until(ENDED)
    assert page.run("view.scrollTop") == 100


def test_a_server_that_wants_a_key_gets_one(page, server):
    refusals(page, 401, "Wrong key.")
    ask(page, "Hi.")
    page.until("document.querySelector('#key').open")
    answers(page, "Come in.")
    page.run("document.querySelector('#key-field').focus()")
    page.type("secret")
    page.key("Enter", 13)
    page.until(ENDED)
    assert text(page, ".assistant .text").strip() == "Come in."
    open_page(page, server)
    assert page.run("localStorage.getItem('undiced.1.key')") == '"secret"'


def test_a_key_that_may_not_do_this_can_be_replaced(browser, tmp_path):
    with installed(tmp_path) as house:
        options = ("--auth", "--db", house.url, "--admin-port", "0", "--max-batch", "2", "--max-context", "1024")
        with running(*options) as server:
            browser.open(server.url)
            for key, reason in ((house.key(scopes=["tokens"]), "wants a key"), (house.key(), "'models'")):
                browser.until(f"document.querySelector('#key').open && {REASON}.includes({reason!r})")
                browser.run("document.querySelector('#key-field').focus()")
                browser.type(key)
                browser.key("Enter", 13)
            browser.until("document.querySelector('#model').value")
            answered(browser, "Hi.")


def test_an_answer_that_the_limit_cut_goes_on(page):
    page.run("document.querySelector('#settings-toggle').click()")
    fill(page, "#max_tokens", "6")
    answered(page, LONG)
    first = text(page, ".assistant .text").strip()
    assert "6 tokens" in text(page, STATS)
    assert "cut at the limit" in text(page, STATS)
    press(page, "Go on with the answer")
    page.until(f"{ENDED} && document.querySelector('.stats').textContent.includes('12 tokens')")
    longer = text(page, ".assistant .text").strip()
    assert longer.startswith(first)
    assert len(longer) > len(first)
    answers(page, "Welcome.")
    answered(page, "Thanks.")
    sent = page.run("window.asked.at(-1).messages")
    assert [one["content"].strip() for one in sent] == [LONG, longer, "Thanks."]
    assert page.run("document.querySelectorAll('.more').length") == 0


def test_an_answer_that_was_stopped_goes_on(page):
    answers(page, "One, ", ends="never")
    ask(page, "Count.")
    page.until(f"{BUSY} && {BUSY}.querySelector('.text').textContent")
    page.key("Escape", 27)
    page.until(ENDED)
    refusals(page, 503, "Not now.")
    press(page, "Go on with the answer")
    page.until("!document.querySelector('#alert').hidden")
    assert "1 token" in text(page, STATS)
    answers(page, "two.")
    press(page, "Go on with the answer")
    page.until("document.querySelector('.assistant .text').textContent.trim() === 'One, two.'")
    sent = page.run("window.asked.at(-1)")
    assert sent["continue_final_message"] is True
    assert [one["content"] for one in sent["messages"]] == ["Count.", "One, "]


def test_a_conversation_beyond_the_context_goes_on_without_its_oldest_turns(page, server):
    page.run("document.querySelector('#settings-toggle').click()")
    fill(page, "#max_tokens", "8")
    fill(page, "#temperature", "0")
    for at in (1, 2, 3):
        answered(page, f"Retell part {at}: " + "The mill turns and the river flows. " * 110)
    assert all(one.strip() for one in texts(page, ".assistant .text")[:2])  # else a question would not be sent again
    assert "no room for the 2 oldest messages" in text(page, STATS)
    assert len(texts(page, ".turn")) == 6
    assert page.run("document.querySelector('#alert').hidden")
    press(page, "New chat")
    answered(page, "Hi.")
    assert "no room" not in text(page, STATS)


def test_thoughts_are_folded_above_what_is_said_and_stay(page, server, tmp_path):
    answers(page, {"reasoning": "Hm "}, {"reasoning": "<b>hm</b>."}, "Four", ".")
    ask(page, "What is 2+2?")
    page.until(ENDED)
    assert text(page, ".assistant .text") == "Four."
    assert text(page, ".assistant .musing") == "Hm <b>hm</b>."
    shut = "getComputedStyle(document.querySelector('.assistant .thought')).display !== 'none'"
    page.picture(tmp_path / "thought.png")
    assert page.run(shut) and not page.run("document.querySelector('.assistant .thought').open")
    page.run("document.querySelector('.assistant .thought summary').click()")
    assert page.run("document.querySelector('.assistant .thought').open")
    answers(page, "Yes.")
    ask(page, "Sure?")
    page.until(ENDED)
    assert page.run("document.querySelector('.assistant:last-child .thought').hidden")
    assert [turn["role"] for turn in page.run("window.asked.at(-1).messages")] == ["user", "assistant", "user"]
    open_page(page, server)
    assert text(page, ".assistant .musing") == "Hm <b>hm</b>."
    assert page.complaints() == []
