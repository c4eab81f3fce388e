"""Settings, and the request as other programs would send it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request

import pytest
from steps import answered, ask, fill, open_page, text, texts
from written import answers

pytestmark = [pytest.mark.browser, pytest.mark.model]


def open_settings(page):
    page.run("document.querySelector('#settings').hidden && document.querySelector('#settings-toggle').click()")


def snippet(page, form):
    page.run("document.querySelector('#request').open || document.querySelector('#request-toggle').click()")
    page.run(f"document.querySelector('[data-form={form}]').click()")
    return text(page, "#request-code code")


def test_settings_are_sent_and_kept_over_a_reload(page, server):
    open_settings(page)
    for field, value in (
        ("#temperature", "0.7"),
        ("#top_p", "0.9"),
        ("#repetition_penalty", "1.2"),
        ("#max_tokens", "5"),
    ):
        fill(page, field, value)
    fill(page, "#system", "Be brief.")
    open_page(page, server)
    answers(page, "Yes.")
    answered(page, "One?")
    sent = page.run("window.asked.at(-1)")
    assert (sent["temperature"], sent["top_p"], sent["repetition_penalty"], sent["max_tokens"]) == (0.7, 0.9, 1.2, 5)
    assert sent["messages"][0] == {"role": "system", "content": "Be brief."}
    page.run("document.querySelector('#settings-reset').click()")
    answered(page, "Two?")
    sent = page.run("window.asked.at(-1)")
    assert sent["max_tokens"] > 100
    assert sent["messages"][0]["role"] == "user"


def test_the_server_says_what_is_asked_for(page, server):
    with urllib.request.urlopen(f"{server.v1}/models") as reply:
        told = json.load(reply)["data"][0]["chat_defaults"]
    answers(page, "Yes.")
    answered(page, "One?")
    assert told.items() <= page.run("window.asked.at(-1)").items()
    assert page.run("document.querySelector('#max_tokens').placeholder") == str(told["max_tokens"])
    open_settings(page)
    fill(page, "#temperature", "0")
    answered(page, "Two?")
    assert "repetition_penalty" not in page.run("window.asked.at(-1)")  # the likeliest token


@pytest.mark.parametrize(
    ("field", "wrong", "told"),
    [
        ("#max_tokens", "-5", "Most tokens is a number from 1"),
        ("#max_tokens", "1.5", "Most tokens is a whole number from 1"),
        ("#temperature", "hot", "Temperature is a number from 0 to 2."),
        ("#temperature", "2.1", "Temperature is a number from 0 to 2."),
        ("#top_p", "-0.1", "Top p is a number from 0 to 1."),
        ("#repetition_penalty", "0", "Repetition penalty is a number from 0.01 to 100."),
    ],
)
def test_a_setting_out_of_its_range_is_told_and_nothing_is_sent(page, field, wrong, told):
    answers(page, "Yes.")
    open_settings(page)
    fill(page, field, wrong)
    assert any(one.startswith(told) for one in texts(page, ".fault")), texts(page, ".fault")
    page.run("document.querySelector('#settings-toggle').click()")
    ask(page, "One?")
    assert page.run("window.asked.length") == 0
    assert page.run("document.activeElement.id") == field[1:]
    assert page.run("document.querySelector('#input').value") == "One?"
    fill(page, field, "1")
    answered(page, "")
    assert page.run("window.asked.length") == 1


def test_the_request_runs_as_curl_and_as_python(page, server):
    open_settings(page)
    fill(page, "#max_tokens", "4")
    fill(page, "#system", "Don't say \"no\" \\ or $HOME, 'é'.")
    answered(page, "Isn't it `fine`?\nYes.")
    ran = subprocess.run(["sh", "-c", snippet(page, "curl")], capture_output=True, text=True, timeout=60, check=True)
    assert '"completion_tokens":' in ran.stdout
    python = snippet(page, "python")
    assert f'base_url="{server.url}/v1"' in python
    assert f'model="{server.model}"' in python
    ran = subprocess.run([sys.executable, "-c", python], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.strip()
    assert page.run("document.querySelector('#request .code-head button').ariaLabel") == "Copy the code"


def test_what_is_being_written_is_the_question_of_the_request(page):
    assert "Hello!" in snippet(page, "curl")
    page.run("document.querySelector('#request-close').click()")
    page.run("document.querySelector('#input').focus()")
    page.type("A draft?")
    assert "A draft?" in snippet(page, "python")
