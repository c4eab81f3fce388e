"""What a user does on the chat page, and what there is to see of it."""

from __future__ import annotations

from chromium import Chromium
from live import Server

BUSY = "document.querySelector('.assistant.busy')"
ENDED = "document.querySelector('.assistant:last-child:not(.busy)')"


def open_page(browser: Chromium, server: Server) -> None:
    """Open the page and wait until it knows its models."""
    browser.open(server.url)
    browser.until("document.querySelector('#model').value")


def ask(browser: Chromium, words: str) -> None:
    """Write a question and send it."""
    browser.run("document.querySelector('#input').focus()")
    browser.type(words)
    browser.key("Enter", 13)


def answered(browser: Chromium, words: str) -> None:
    """Ask, and wait for the end of the answer."""
    before = browser.run("document.querySelectorAll('.assistant').length")
    ask(browser, words)
    browser.until(f"document.querySelectorAll('.assistant:not(.busy)').length > {before}")


def press(browser: Chromium, label: str) -> None:
    """Click the last button that is called so."""
    browser.run(f"[...document.querySelectorAll('button')].filter((b) => b.ariaLabel === {label!r}).at(-1).click()")


def text(browser: Chromium, selector: str) -> str:
    """The text of an element."""
    return str(browser.run(f"document.querySelector({selector!r}).textContent"))


def texts(browser: Chromium, selector: str) -> list[str]:
    """The texts of all elements that fit."""
    return list(browser.run(f"[...document.querySelectorAll({selector!r})].map((one) => one.textContent)"))


def fill(browser: Chromium, field: str, words: str) -> None:
    """Put text into a field in place of what is there."""
    browser.run(f"document.querySelector({field!r}).focus(), document.querySelector({field!r}).select()")
    browser.key("Delete", 46)
    browser.type(words) if words else None
