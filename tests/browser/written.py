"""Answers that a test writes itself, in place of a model's: `fetch` in the page is replaced for chat completions."""

from __future__ import annotations

import json

from chromium import Chromium

_STAND_IN = """
(() => {
  const script = SCRIPT;
  const real = window.fetch.bind(window);
  window.asked = [];
  const chunk = (text, count, reason) => JSON.stringify({
    choices: [{ index: 0, delta: typeof text === "string" ? { content: text } : text, finish_reason: reason }],
    usage: { prompt_tokens: 3, completion_tokens: count, total_tokens: 3 + count },
    ...(reason ? { time_info: { queue_time: 0.001, prompt_time: 0.02, completion_time: count / 100 } } : {}),
  });
  window.fetch = (path, init = {}) => {
    if (path !== "v1/chat/completions") return real(path, init);
    window.asked.push(JSON.parse(init.body));
    if (script.status) return Promise.resolve(Response.json(script.refusal, { status: script.status }));
    const body = new ReadableStream({
      async start(stream) {
        const send = (data) => stream.enqueue(new TextEncoder().encode(`data: ${data}\\n\\n`));
        const end = () => stream.error(new DOMException("stopped", "AbortError"));
        init.signal?.addEventListener("abort", end);
        let count = 0;
        for (const piece of script.pieces) {
          if (script.pause_ms || count % 16 === 15) await new Promise((go) => setTimeout(go, script.pause_ms));
          if (init.signal?.aborted) return;
          send(chunk(piece, ++count, null));
        }
        if (script.ends === "never") return;
        if (script.ends === "error") send(JSON.stringify({ error: { message: "The engine died." } }));
        else {
          send(chunk({}, count, script.ends));
          send("[DONE]");
        }
        stream.close();
      },
    });
    return Promise.resolve(new Response(body));
  };
})()
"""


def answers(browser: Chromium, *pieces: str | dict[str, str], ends: str = "stop", pause_ms: int = 0) -> None:
    """From now on every question is answered with these pieces, texts or deltas. `ends` is a finish reason, `error` or
    `never`.
    """
    _replace(browser, {"pieces": pieces, "ends": ends, "pause_ms": pause_ms})


def refusals(browser: Chromium, status: int, message: str) -> None:
    """From now on every question is refused."""
    _replace(browser, {"status": status, "refusal": {"error": {"message": message}}})


def _replace(browser: Chromium, script: dict[str, object]) -> None:
    browser.run(_STAND_IN.replace("SCRIPT", json.dumps(script)))
