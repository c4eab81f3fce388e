"""The page of `undiced map` in a browser: tabs, sorting, marking, widths, contrast, the token's way as time passes, and
no request to anywhere.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import pytest
from chromium import Chromium
from support.atlases import linked, mapped

from undiced.draw.cells import LEVELS
from undiced.draw.color import ramp
from undiced.sim.atlas.atlas import Atlas
from undiced.sim.atlas.journey import Turn
from undiced.sim.views.page import page
from undiced.sim.views.picture import VIEWS, shown

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
    for show in shown(mapped("one wafer")):
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
    for show in shown(mapped("one wafer")):
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


REGIONAL = [show for show, view in VIEWS.items() if view.regional and show != "links"]
FRAME = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


@pytest.fixture(scope="module")
def wafers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a model on several wafers."""
    path = tmp_path_factory.mktemp("map") / "wafers.html"
    path.write_text(page(mapped("several wafers"), "layers"))
    return path


def at(browser: Chromium, file: Path, show: str, cycle: float) -> None:
    """Open a page at a view and a moment."""
    browser.open("about:blank")
    browser.open(f"{file.as_uri()}#{show}&cycle={cycle:.0f}")
    browser.run(FRAME)


def happening(browser: Chromium) -> str:
    return str(browser.run("document.querySelector('#happens').innerText"))


def running(atlas: Atlas, cycle: float) -> Turn:
    return next(turn for turn in atlas.turns if turn.start <= cycle < turn.end)


def painted(browser: Chromium) -> list[list[int]]:
    """Of every place: how many pixels of it the overlay has painted, and how many there are."""
    return list(
        browser.run("""(() => {
      const [canvas, film] = [document.querySelector('.overlay'), JSON.parse(document.querySelector('#film').text)];
      const matrix = canvas.parentNode.querySelector('svg').getScreenCTM(), box = canvas.getBoundingClientRect();
      const context = canvas.getContext('2d'), ratio = canvas.width / box.width;
      return film.places.map(({ box: [x, y, width, height] }) => {
        const [left, top] = [matrix.a * x + matrix.e - box.left, matrix.d * y + matrix.f - box.top];
        const size = [matrix.a * width, matrix.d * height].map((side) => Math.max(Math.round(side * ratio), 1));
        const { data } = context.getImageData(Math.round(left * ratio), Math.round(top * ratio), ...size);
        return [data.filter((value, at) => at % 4 === 3 && value > 0).length, data.length / 4];
      });
    })()""")
    )


@pytest.mark.parametrize("show", REGIONAL)
def test_the_region_under_the_slider_is_lit_and_told(browser: Chromium, wafers: Path, show: str) -> None:
    found = mapped("several wafers")
    for share in (0.1, 0.5, 0.9):
        cycle = share * found.timing.token_cycles
        at(browser, wafers, show, cycle)
        turn = running(found, cycle)
        shares = [lit / whole for lit, whole in painted(browser)]
        assert shares.index(max(shares)) == turn.place, (show, cycle)
        told = happening(browser)
        assert f"Region {found.places[turn.place].name}" in told and f"layer {turn.layer}: {turn.role}" in told
        for deed in found.deeds[turn.stream]:
            if deed.start <= cycle - turn.start < deed.end:
                assert str(deed.who) in told and deed.node in told
    assert [said for said in browser.complaints() if "getImageData" not in said] == []


def test_the_slider_the_time_line_and_keys_move_the_moment(browser: Chromium, file: Path) -> None:
    found = mapped("one wafer")
    at(browser, file, "layers", 0)
    cycle = "Number(document.querySelector('#slider').value)"
    browser.run("(s => { s.value = 100000; s.dispatchEvent(new Event('input')) })(document.querySelector('#slider'))")
    browser.run(FRAME)
    assert "cycle 100,000 of" in browser.run("document.querySelector('#now').textContent")
    box = browser.run("(b => [b.left, b.top, b.width])(document.querySelector('#whole').getBoundingClientRect())")
    thumb = 96 + 8  # where the time line begins, as the slider does
    for kind in ("mousePressed", "mouseReleased"):
        x = box[0] + thumb + (box[2] - thumb - 8) / 2
        browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=box[1] + 10, button="left", clickCount=1)
    browser.run(FRAME)
    assert browser.run(cycle) == pytest.approx(found.timing.token_cycles / 2, rel=0.01)
    assert f"cycle={browser.run(f'Math.round({cycle})')}" in browser.run("location.hash")
    before = browser.run(cycle)
    browser.run("document.body.focus(), document.activeElement.blur()")
    browser.key("ArrowRight", 39)
    browser.run(FRAME)
    turn, after = running(found, before), browser.run(cycle)
    edges = [turn.end, *(turn.start + e for deed in found.deeds[turn.stream] for e in (deed.start, deed.end))]
    assert before < after and min(abs(after - edge) for edge in edges) < 1
    browser.key("ArrowLeft", 37)
    browser.run(FRAME)
    assert browser.run(cycle) < after
    for name, code, wanted in (("End", 35, found.timing.token_cycles), ("Home", 36, 0)):
        browser.key(name, code)
        browser.run(FRAME)
        assert browser.run(cycle) == pytest.approx(wanted, abs=1)
    for name, code, chosen in (("n", 78, 1), ("n", 78, 2), ("p", 80, 1)):
        browser.key(name, code)
        browser.run(FRAME)
        assert running(found, browser.run(cycle) + 1).place == chosen
    browser.run("document.querySelector('#slowest').click()")
    browser.run(FRAME)
    assert running(found, browser.run(cycle) + 1).place in found.bottlenecks
    browser.run("document.activeElement.blur()")
    browser.key("3", 51)
    assert browser.run(SEEN) == ["view-sram"]


def test_a_token_plays_and_pauses_and_frames_are_short(browser: Chromium, wafers: Path) -> None:
    at(browser, wafers, "layers", 0)
    browser.run("""(() => {
      const real = requestAnimationFrame;
      window.took = [];
      window.requestAnimationFrame = (f) => real((now) => {
        const start = performance.now();
        f(now);
        took.push(performance.now() - start);
      });
    })()""")
    browser.key(" ", 32)
    browser.until("took.length > 30")
    assert browser.run("document.querySelector('#play').ariaLabel") == "Pause"
    browser.key(" ", 32)
    browser.run(FRAME)
    stopped = browser.run("document.querySelector('#slider').value")
    assert float(stopped) > 0 and statistics.median(browser.run("took")) < 16, "milliseconds"
    time.sleep(0.1)
    assert browser.run("document.querySelector('#slider').value") == stopped
    assert browser.run("document.querySelector('#play').ariaLabel") == "Play"


def test_the_tokens_wafer_is_followed(browser: Chromium, wafers: Path) -> None:
    found = mapped("several wafers")
    view = "document.querySelector('#view-layers svg').getAttribute('viewBox').split(' ').map(Number)"
    at(browser, wafers, "layers", 0)
    whole = browser.run(view)
    assert not browser.run("document.querySelector('#follow').hidden")
    browser.key("z", 90)
    seen = []
    for wafer in found.drawn:
        turn = next(turn for turn in found.turns if found.places[turn.place].wafer == wafer)
        browser.run(f"(s => {{ s.value = {turn.start + 1}; s.dispatchEvent(new Event('input')) }})(slider)")
        browser.run(FRAME)
        seen.append(browser.run(view))
        left, top, width, height = browser.run(f"JSON.parse(film.text).places[{turn.place}].box")
        assert seen[-1][0] <= left and left + width <= seen[-1][0] + seen[-1][2] < whole[2]
        assert seen[-1][1] <= top and top + height <= seen[-1][1] + seen[-1][3] <= whole[3] + 30
    assert len({tuple(each) for each in seen}) == len(found.drawn)
    browser.key("z", 90)
    browser.run(FRAME)
    assert browser.run(view) == whole


def test_pointing_at_a_region_tells_what_a_core_of_it_holds_and_does(browser: Chromium, file: Path) -> None:
    at(browser, file, "layers", 0)
    place = mapped("one wafer").places[5]
    region = "document.querySelector('#view-layers .place[data-place=\"5\"]')"
    browser.run(f"{region}.dispatchEvent(new PointerEvent('pointerover', {{ bubbles: true }}))")
    browser.run(FRAME)
    told = browser.run("document.querySelector('#region').innerText")
    assert "; ".join(place.contents.lines) in told and f"{place.fill.used:,} of 49,152 bytes" in told
    assert f"weights {place.fill.weights:,}" in told and "slowest stage" in told
    assert f"A token takes {place.timed.cycles:,.0f} cycles here" in told
    browser.run("document.body.dispatchEvent(new PointerEvent('pointerover', { bubbles: true }))")
    browser.run(FRAME)
    assert "Region 0" in browser.run("document.querySelector('#region').innerText"), "the token's again"


def test_what_does_not_fit_is_stamped_above_everything(browser: Chromium, tmp_path: Path) -> None:
    path = tmp_path / "wafer.html"
    path.write_text(page(mapped("waferllm"), "time"))
    browser.size(1280, 800)
    at(browser, path, "time", 1000)
    stamp = "document.querySelector('[role=alert]').getBoundingClientRect()"
    drawing = "document.querySelector('#view-time .drawing').getBoundingClientRect()"
    assert browser.run(f"0 < {stamp}.bottom && {stamp}.bottom < {drawing}.top")
    assert "Does not fit" in browser.run("document.querySelector('[role=alert]').innerText")
    assert browser.complaints() == []


@pytest.fixture(scope="module")
def loads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a model of which a layer was simulated, opened at its link loads."""
    path = tmp_path_factory.mktemp("map") / "loads.html"
    path.write_text(page(linked("several wafers"), "links"))
    return path


SHOWN = "[...document.querySelectorAll('#view-links tr.shown')].map((row) => row.sectionRowIndex)"


def choose(browser: Chromium, number: int, value: int) -> None:
    """Take one of the choices above link loads."""
    select = f"document.querySelectorAll('#view-links select')[{number}]"
    browser.run(f"(s => {{ s.value = {value}; s.dispatchEvent(new Event('change')) }})({select})")
    browser.run(FRAME)


def colored(browser: Chromium, place: int) -> set[tuple[int, ...]]:
    """Colors of the middle of a region, without what lies around it."""
    found = browser.run(f"""(() => {{
      const [canvas, film] = [document.querySelector('.overlay'), JSON.parse(document.querySelector('#film').text)];
      const matrix = canvas.parentNode.querySelector('svg').getScreenCTM(), around = canvas.getBoundingClientRect();
      const ratio = canvas.width / around.width, [x, y, width, height] = film.places[{place}].box;
      const [left, top] = [matrix.e - around.left, matrix.f - around.top];
      const at = [matrix.a * (x + width / 8) + left, matrix.d * (y + height / 8) + top];
      const size = [matrix.a * width * 0.75, matrix.d * height * 0.75].map((side) => Math.round(side * ratio));
      const {{ data }} = canvas.getContext('2d').getImageData(at[0] * ratio, at[1] * ratio, ...size);
      return [...new Set(Array.from({{ length: data.length / 4 }}, (_, n) => data.slice(4 * n, 4 * n + 4).join()))];
    }})()""")
    return {tuple(map(int, color.split(","))) for color in found}


def test_link_loads_are_shown_by_collective_way_and_moment(browser: Chromium, loads: Path) -> None:
    found = linked("several wafers")
    assert found.links is not None
    at(browser, loads, "links", 0)
    count = len(found.links.links.carried)
    assert browser.run("document.querySelectorAll('#view-links tbody tr').length") == count + 1
    assert browser.run(SHOWN) == [0]
    together = colored(browser, 2)
    cast = next(n for n, each in enumerate(found.links.links.carried) if each.value == "range")
    choose(browser, 0, cast + 1)
    assert browser.run(SHOWN) == [cast + 1]
    assert browser.run("document.querySelector('#view-links [data-scale]').textContent").endswith("1 wavelet\n")
    hottest = bytes.fromhex(ramp((LEVELS - 0.5) / LEVELS)[1:])
    assert colored(browser, 2) == {(*hottest, 255)} != together, "one wavelet on every link that it passes"
    choose(browser, 1, 0)
    north = found.links.links.carried[cast].loads[:, :, 1]
    assert (len(colored(browser, 2)) > 1) == bool(north[3:-3, 3:-3].any())
    choose(browser, 1, 4)
    browser.run("document.querySelectorAll('#view-links tbody tr')[1].click()")
    assert browser.run(SHOWN) == [1]
    assert [said for said in browser.complaints() if "getImageData" not in said] == []


def test_what_is_at_work_is_the_heat_of_the_tokens_region_alone(browser: Chromium, loads: Path) -> None:
    found = linked("several wafers")
    assert found.links is not None
    streams = found.links.links.streams
    turn = next(turn for turn in found.turns if turn.place == 1 and turn.stream == streams[0])
    one = next(each for each in found.links.links.carried if each.run == 0)
    deed = next(deed for deed in found.deeds[turn.stream] if deed.made == one.value)
    at(browser, loads, "links", turn.start + (deed.start + deed.end) / 2)
    choose(browser, 0, -1)
    assert browser.run(SHOWN) == [1 + found.links.links.carried.index(one)]
    assert len(colored(browser, 1)) > 1 and len(colored(browser, 2)) == 1
    assert [said for said in browser.complaints() if "getImageData" not in said] == []


def test_the_simulated_region_is_shown_alone_and_read_by_pointing(browser: Chromium, loads: Path) -> None:
    found = linked("several wafers")
    assert found.links is not None
    browser.size(1280, 800)
    at(browser, loads, "links", 0)
    browser.run("[...document.querySelectorAll('#view-links button')].find((b) => /alone/.test(b.textContent)).click()")
    browser.run(FRAME)
    x, y, width, height = browser.run("JSON.parse(film.text).places[0].box")
    view = browser.run("document.querySelector('#view-links svg').getAttribute('viewBox').split(' ').map(Number)")
    assert view == pytest.approx([x, y, width, height])
    spot = browser.run(f"""(() => {{
      const matrix = document.querySelector('#view-links svg').getScreenCTM();
      return [{x + width * 5.5 / 24} * matrix.a + matrix.e, {y + height * 7.5 / 24} * matrix.d + matrix.f];
    }})()""")
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=spot[0], y=spot[1])
    told = browser.run("document.querySelector('.reading').textContent")
    assert told == f"core 5, 7: {found.links.links.loads[7, 5, 1:].max():,} wavelets"
