"""Sizes, colors, names, keys and the clipboard."""

from __future__ import annotations

import pytest
from steps import ENDED, answered, ask, open_page, press, text
from written import answers

pytestmark = [pytest.mark.browser, pytest.mark.model]

WIDE = (
    "x" * 300
    + "\n\n```python\n"
    + "y = 1  # "
    + "z" * 400
    + "\n```\n\n|"
    + "head|" * 12
    + "\n|"
    + "-|" * 12
    + "\n|"
    + "cell|" * 12
)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 390, 800, 1280])
def test_nothing_overflows_and_everything_has_a_name(browser, server, width, dark):
    browser.size(width, 700, dark=dark)
    open_page(browser, server)
    answers(browser, WIDE)
    answered(browser, "x" * 300)
    fits = "[document.documentElement, document.querySelector('#scroll')].every((e) => e.scrollWidth <= innerWidth)"
    assert browser.run(fits)
    browser.run("document.querySelector('#settings-toggle').click()")
    browser.run("document.querySelector('#side').hidden && document.querySelector('#side-toggle').click()")
    assert browser.run(fits)
    browser.run("document.querySelector('#request-toggle').click()")
    assert browser.run(fits)
    assert browser.run("document.documentElement.dataset.theme") == ("dark" if dark else "light")
    unnamed = (
        "[...document.querySelectorAll('button, input, select, textarea, nav, dialog')]"
        ".filter((e) => !e.ariaLabel && !e.labels?.length && !e.hasAttribute('aria-labelledby'))"
        ".filter((e) => !e.textContent.trim())"
        ".map((e) => e.outerHTML)"
    )
    assert browser.run(unnamed) == []
    assert browser.complaints() == []


def test_the_theme_is_kept(page, server):
    press(page, "Switch between light and dark")
    open_page(page, server)
    assert page.run("document.documentElement.dataset.theme") == "dark"


@pytest.mark.parametrize("dark", [False, True])
def test_words_can_be_read(browser, server, dark):
    """Every text has a contrast of 4.5 to what is behind it."""
    browser.size(1280, 800, dark=dark)
    open_page(browser, server)
    answers(
        browser,
        "Text `code` [link](https://example.org)\n\n```python\n# note\n@a\ndef f(x): return 'a' + 1\n```\n\n> quote",
    )
    answered(browser, "Hi?")
    faint = browser.run("""(() => {
      const numbers = (color) => (color.match(/[0-9.]+/g) ?? []).map(Number);
      const light = (color) => numbers(color).slice(0, 3).map((v) => v / 255)
        .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
        .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
      const behind = (node) => { for (; node; node = node.parentElement) {
        const color = getComputedStyle(node).backgroundColor;
        if (numbers(color)[3] !== 0) return color;
      } };
      return [...document.querySelectorAll("body *")].filter((node) => node.offsetParent !== null && !node.disabled
          && [...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim())).map((node) => {
        const [a, b] = [light(getComputedStyle(node).color), light(behind(node))].sort((x, y) => y - x);
        return [(a + 0.05) / (b + 0.05), node.textContent.slice(0, 20), node.className];
      }).filter(([contrast]) => contrast < 4.5);
    })()""")
    assert faint == []


def test_every_control_is_reached_by_the_keyboard_and_seen(page):
    answers(page, "Yes.")
    answered(page, "One?")
    page.run("document.activeElement.blur()")
    seen = set()
    for _ in range(40):
        page.key("Tab", 9)
        active = "document.activeElement"
        name = page.run(f"{active} === document.body ? '' : {active}.ariaLabel ?? {active}.id")
        if name and name in seen:
            break
        seen.add(name)
        assert name in ("", "Message") or page.run(f"getComputedStyle({active}).outlineStyle") != "none", name
    for name in (
        "Conversations",
        "Model",
        "New chat",
        "Edit the question",
        "Copy the answer",
        "Message",
        "Rename the conversation",
    ):
        assert name in seen, (name, seen)


def test_escape_closes_what_is_open_before_it_stops_an_answer(browser, server):
    browser.size(390, 700)
    open_page(browser, server)
    answers(browser, "Half ", ends="never")
    ask(browser, "Go.")
    browser.until("document.querySelector('.assistant .text').textContent")
    browser.run("document.querySelector('#side-toggle').click()")
    browser.key("Escape", 27)
    assert browser.run("document.querySelector('#side').hidden")
    assert browser.run("document.querySelector('.assistant.busy') !== null")
    browser.key("Escape", 27)
    browser.until(ENDED)


@pytest.mark.parametrize("secure", [True, False])
def test_copy_works_with_and_without_the_clipboard_of_secure_pages(page, secure):
    if not secure:  # as over plain http from another machine
        page.run("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.run("document.addEventListener('copy', () => { window.copied = String(document.activeElement.value); })")
    page.run("if (navigator.clipboard) navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    answers(page, "Take **this**.\n\n```sh\nls -l\n```")
    answered(page, "One?")
    press(page, "Copy the answer")
    page.until("window.copied")
    assert page.run("window.copied") == "Take **this**.\n\n```sh\nls -l\n```"
    page.until("[...document.querySelectorAll('button')].some((b) => b.textContent === 'Copied')")
    page.run("window.copied = ''")
    press(page, "Copy the code")
    page.until("window.copied")
    assert page.run("window.copied") == "ls -l"
    page.run("document.querySelector('#request-toggle').click()")
    page.run("window.copied = '', document.querySelector('#request .code-head button').click()")
    page.until("window.copied")
    assert page.run("window.copied").startswith("curl http")


@pytest.mark.parametrize("width", [390, 1280])
def test_figures_and_buttons_take_no_new_room_at_the_end(page, width):
    page.size(width, 700)
    answers(page, *["One line. "] * 20, pause_ms=20)
    ask(page, "Go.")
    page.until("document.querySelector('.assistant .text').textContent.length > 20")
    before = page.run(
        "document.querySelector('.assistant').offsetHeight - document.querySelector('.assistant .text').offsetHeight"
    )
    page.until(ENDED)
    after = page.run(
        "document.querySelector('.assistant').offsetHeight - document.querySelector('.assistant .text').offsetHeight"
    )
    assert abs(after - before) <= 1, "but for rounding"
    assert text(page, "#status").startswith("Answer ended")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_of_the_api_fits_and_follows_the_theme(browser, server, width, dark):
    browser.size(width, 700, dark=dark)
    browser.open(f"{server.url}/docs")
    browser.until(f"document.documentElement.dataset.theme === '{'dark' if dark else 'light'}'")
    assert browser.run("document.querySelector('main').scrollWidth <= innerWidth")
    browser.run("document.querySelector('a[href=\"#ChatBody\"]').click()")
    assert browser.run("document.querySelector('#ChatBody').getBoundingClientRect().top < innerHeight")
    assert browser.complaints() == []
