"""What answers look like: Markdown as elements, and nothing that a model writes as a program."""

from __future__ import annotations

import json

import pytest
from steps import answered, text, texts
from written import answers

pytestmark = [pytest.mark.browser, pytest.mark.model]

EVERYTHING = """# Title

A *slanted* and **bold** word, `code & <b>`, ~~gone~~, an [address](https://example.org/a?b=c&d "told"),
a bare https://example.net/x and mail to [us](mailto:us@example.org).
Next line &amp; &copy; 1 &lt; 2.

1. one
2. two
   - inner
   - [x] done

   more of two

> quoted
> > deeper

| left | right | middle |
|:-----|------:|:------:|
| 1 | 2 | three<br>lines |
| **b** | `c|` | |

```python
def half(x: int) -> float:  # a comment
    return x / 2
```

---

```unheard-of
<i>plain</i>
```

    indented

See [by name].

[by name]: https://example.com/named
"""

HOSTILE = """<script>window.hit = 1</script> <img src=x onerror="window.hit=2"> <svg onload=window.hit=3></svg>

<svg><script>window.hit=4</script></svg>

<iframe srcdoc="<script>parent.hit=5</script>"></iframe><details open ontoggle=window.hit=6>

[a](javascript:window.hit=7) [b](JaVaScRiPt:window.hit=8) [c](data:text/html,<script>window.hit=9</script>)
[d](java&#115;cript:window.hit=10) [e](vbscript:x) [f](<javascript:window.hit=11>) <javascript:window.hit=12>
![g](javascript:window.hit=13) ![h](data:image/svg+xml,<svg onload=window.hit=14>) ![i](https://elsewhere.example/pixel.png)
[j](//elsewhere.example/x) [k](/metrics) [l](file:///etc/passwd) [![m](x)](javascript:window.hit=15)
[n](https://example.org" onclick="window.hit=16) [o][p]

[p]: javascript:window.hit=17

| <script>window.hit=18</script> | <img src=x onerror=window.hit=19> |
|--|--|
| <a href="javascript:window.hit=20">x</a> | <style>*{display:none}</style> |

- > <math><mtext><img src onerror=window.hit=21></mtext></math>

```html" onmouseover="window.hit=22
</code></pre><script>window.hit=23</script>
```

```html
<script>window.hit=24</script><b onclick="window.hit=25">
```
"""


def shown(browser, source):
    """The HTML that one answer has become."""
    answers(browser, source)
    answered(browser, "?")
    return browser.run("document.querySelector('.assistant:last-child .text').innerHTML")


def test_markdown_becomes_elements(page):
    html = shown(page, EVERYTHING)
    for part in (
        "<h3>Title</h3>",
        "<em>slanted</em>",
        "<strong>bold</strong>",
        "<code>code &amp; &lt;b&gt;</code>",
        "<s>gone</s>",
        "<blockquote><p>quoted</p><blockquote><p>deeper</p>",
        '<td class="right">2</td>',
        '<td class="center">three<br>lines</td>',
        "<hr>",
        "Next line &amp; © 1 &lt; 2.",
        "<ol><li><p>one</p></li><li><p>two</p><ul><li><span>inner</span></li><li><span>☑ done</span></li></ul><p>more",
    ):
        assert part in html, part
    links = page.run("[...document.querySelectorAll('.text a')].map((a) => [a.href, a.target, a.rel])")
    addresses = ["https://example.org/a?b=c&d", "https://example.net/x", "mailto:us@example.org"]
    assert links == [[at, "_blank", "noopener noreferrer nofollow"] for at in [*addresses, "https://example.com/named"]]
    assert texts(page, ".code-head span") == ["python", "unheard-of", "text"]
    assert texts(page, ".code code")[1:] == ["<i>plain</i>", "indented"]
    assert texts(page, ".hljs-keyword")[0] == "def"
    assert texts(page, ".hljs-comment") == ["# a comment"]
    assert page.complaints() == []


def test_an_answer_that_streams_ends_up_as_one_that_came_at_once(page):
    source = EVERYTHING + "".join(["- x\n", "1. y\n\n", "| a |\n|-|\n| b |\n", "a\n===\n", "  c\n"]) * 3
    html = page.run(f"""(async () => {{
      const {{ Markdown }} = await import("/static/markdown.js");
      const source = {json.dumps(source)};
      const [once, slowly] = [document.createElement("div"), document.createElement("div")];
      new Markdown(once).show(source, true);
      const growing = new Markdown(slowly);
      for (let at = 1; at < source.length; at++) growing.show(source.slice(0, at), false);
      growing.show(source, true);
      const plain = (node) => node.innerHTML;
      return [plain(once), plain(slowly)];
    }})()""")
    assert html[0] == html[1]
    assert len(html[0]) > 2000


def test_what_models_write_never_runs_or_loads(page, server):
    shown(page, HOSTILE)
    kinds = "script, img, svg, iframe, style, math, details:not(.thought), object, embed, form, input, link, meta, base"
    assert page.run(f"document.querySelectorAll('.log :is({kinds})').length") == 0
    names = page.run("[...document.querySelectorAll('.log *')].flatMap((e) => [...e.attributes].map((a) => a.name))")
    assert [name for name in names if name.startswith("on") or name in ("style", "src", "srcdoc")] == []
    links = page.run("[...document.querySelectorAll('.log a')].map((a) => a.href)")
    assert all(link.startswith(("https://", "mailto:")) for link in links), links
    page.run("document.querySelectorAll('.log a, .log button, .log code, .log span').forEach((e) => e.dispatchEvent("
             "new MouseEvent('mouseover', { bubbles: true })))")  # fmt: skip
    assert page.run("new Promise((go) => setTimeout(() => go(window.hit ?? null), 200))") is None
    assert "<script>window.hit = 1</script>" in text(page, ".assistant .text")
    assert {url.split("/")[2] for url in page.requests()} == {server.url.removeprefix("http://")}
    assert page.complaints() == []


def test_the_browser_itself_refuses_text_as_markup(page):
    refused = page.run("""(() => {
      const made = document.createElement("div");
      try { made.innerHTML = "<b>x</b>"; return ""; } catch (error) { return error.name; }
    })()""")
    assert refused == "TypeError"


def test_pathological_markdown_takes_no_time(page):
    took_ms = page.run("""(async () => {
      const { Markdown } = await import("/static/markdown.js");
      const worst = ["*".repeat(8000), "[".repeat(8000), ">".repeat(8000), "`a".repeat(4000),
        "_a".repeat(4000), "![".repeat(4000), "<a ".repeat(4000), "&".repeat(8000),
        Array.from({ length: 200 }, (_, at) => " ".repeat(at * 2) + "- a").join("\\n")];
      return worst.map((source) => {
        const began = performance.now();
        new Markdown(document.createElement("div")).show(source, true);
        return performance.now() - began;
      });
    })()""")
    assert max(took_ms) < 3000, took_ms


SHAPES = {
    "paragraphs": "The mill turns, and the river goes on to the sea as it always has.\\n\\n",
    "one list": "- The mill turns, and the river goes on to the sea as it always has.\\n",
    "one table": "| The mill turns | and the river goes on | to the sea as it always has. |\\n",
    "one block of code": "    for wheel in mill.wheels: wheel.turn(river.flow(), 'slowly')  # as always\\n",
}
HEADS = {"one table": "| a | b | c |\\n|-|-|-|\\n", "one block of code": "```python\\n"}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_long_answer_costs_a_frame_no_more_at_its_end(page, shape):
    """4,000 tokens, drawn at every 8th: the second half takes little more than the first."""
    first, second, longest = page.run(f"""(async () => {{
      const {{ Markdown }} = await import("/static/markdown.js");
      const source = "{HEADS.get(shape, "")}" + "{SHAPES[shape]}".repeat(240);
      const target = document.createElement("div");
      document.querySelector("#log").append(target);
      const view = new Markdown(target);
      const step = source.length / 500;
      const took = [];
      for (let at = 1; at <= 500; at++) {{
        const began = performance.now();
        view.show(source.slice(0, Math.round(at * step)), at === 500);
        took.push(performance.now() - began);
      }}
      const sum = (list) => list.reduce((a, b) => a + b, 0);
      return [sum(took.slice(0, 250)), sum(took.slice(250)), Math.max(...took)];
    }})()""")
    print(f"{shape}: {first:.0f} ms for the first 2,000 tokens, {second:.0f} ms for the next, longest {longest:.0f} ms")
    assert second < 4 * first + 200
    assert first + second < 15_000
