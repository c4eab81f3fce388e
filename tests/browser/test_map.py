"""The page of `undiced map` in a browser: tabs, sorting, marking, widths, contrast, and no request to anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from chromium import Chromium
from support.atlases import mapped

from undiced.sim.views.page import page
from undiced.sim.views.picture import VIEWS

pytestmark = [pytest.mark.browser]
SEEN = "[...document.querySelectorAll('[role=tabpanel]')].filter((e) => !e.hidden).map((e) => e.id)"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page on disk, as users open it."""
    path = tmp_path_factory.mktemp("map") / "wafer.html"
    path.write_text(page(mapped("one wafer"), "layers"))
    return path


def test_tabs_show_one_view_each_by_mouse_keys_and_address(browser: Chromium, file: Path) -> None:
    browser.open(file.as_uri())
    assert browser.run(SEEN) == ["view-layers"]
    for show in VIEWS:
        browser.run(f"document.querySelector('#tab-{show}').click()")
        assert browser.run(SEEN) == [f"view-{show}"]
        assert browser.run("location.hash") == f"#{show}"
    browser.run("document.querySelector('#tab-timeline').focus()")
    browser.key("ArrowRight", 39)
    assert browser.run(SEEN) == ["view-layers"]
    browser.key("ArrowLeft", 37)
    assert browser.run(SEEN) == ["view-timeline"]
    browser.open("about:blank")
    browser.open(f"{file.as_uri()}#sram")
    assert browser.run(SEEN) == ["view-sram"] and browser.run("scrollY") == 0
    assert browser.complaints() == []
    assert {url for url in browser.requests() if not url.startswith("file:")} <= {"about:blank"}


def test_columns_sort_up_and_down(browser: Chromium, file: Path) -> None:
    browser.open(f"{file.as_uri()}#time")
    found = mapped("one wafer")
    cycles = [round(place.timed.cycles) for place in found.places]
    head = "[...document.querySelectorAll('#view-time th')].find((e) => e.textContent === 'cycles')"
    shown = (
        "[...document.querySelectorAll('#view-time tbody tr')]"
        ".map((e) => Number(e.cells[2].textContent.replace(/,/g, '')))"
    )
    assert browser.run(shown) == cycles
    for order, expected in (("ascending", sorted(cycles)), ("descending", sorted(cycles, reverse=True))):
        browser.run(f"{head}.firstChild.click()")
        assert browser.run(shown) == expected
        assert browser.run(f"{head}.ariaSort") == order


def test_a_region_is_marked_in_the_table_too(browser: Chromium, file: Path) -> None:
    browser.open(f"{file.as_uri()}#layers")
    region = "document.querySelector('#view-layers .place[data-place=\"3\"]')"
    browser.run(f"{region}.dispatchEvent(new MouseEvent('click', {{ bubbles: true }}))")
    assert browser.run("document.querySelector('#view-layers tr.chosen').cells[0].textContent") == found_name(3)
    assert browser.run("document.querySelector('#view-time tr.chosen').dataset.place") == "3"
    assert "layers 12-15" in browser.run("document.querySelector('#view-layers .place.chosen title').textContent")


def found_name(number: int) -> str:
    return mapped("one wafer").places[number].name


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_no_wider_than_the_window_and_can_be_read(
    browser: Chromium, file: Path, width: int, dark: bool
) -> None:
    browser.size(width, 800, dark=dark)
    for show in VIEWS:
        browser.open("about:blank")
        browser.open(f"{file.as_uri()}#{show}")
        assert browser.run("document.documentElement.scrollWidth <= innerWidth"), show
    colors = browser.run("[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]")
    assert len(set(colors)) == 2 and (colors[0] == "rgb(20, 23, 26)") == dark
    fill = "getComputedStyle(document.querySelector('#view-time text.ink')).fill"
    assert browser.run(fill) == colors[1], "words in pictures follow the page"


def test_letters_stay_within_their_regions_as_the_browser_measures_them(browser: Chromium, file: Path) -> None:
    browser.size(1280, 800)
    for show in ("layers", "time", "sram"):
        browser.open("about:blank")
        browser.open(f"{file.as_uri()}#{show}")
        outside = browser.run(f"""[...document.querySelectorAll('#view-{show} .place')].flatMap((place) => {{
          const box = place.querySelector('rect').getBoundingClientRect();
          return [...place.querySelectorAll('text')].map((text) => [text.textContent, text.getBoundingClientRect()])
            .filter(([, word]) => word.left < box.left || word.right > box.right || word.top < box.top - 1
              || word.bottom > box.bottom + 1).map(([word]) => word);
        }})""")
        assert outside == [], show
