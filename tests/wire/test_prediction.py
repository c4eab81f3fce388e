"""Predictions and guesses with a real model: the same answers, and an account of what was guessed."""

from __future__ import annotations

import json
import shlex
from collections import Counter

import httpx
import pytest
from openai import OpenAI
from support.markdown import PAGES, blocks

pytestmark = [pytest.mark.wire, pytest.mark.model]
LINES = "The red fox ran to the barn. The red fox ran to the barn and back. The red fox ran"


def test_what_is_predicted_comes_sooner_and_is_the_same(server):
    with OpenAI(base_url=server.v1, api_key="none", max_retries=0) as client:
        asked = {"model": server.model, "messages": [{"role": "user", "content": f"Go on: {LINES}"}]}
        plain = client.chat.completions.create(**asked, max_tokens=60, temperature=0)
        text = plain.choices[0].message.content
        for stream in (False, True):
            kind = {"prediction": {"type": "content", "content": text}, "temperature": 0, "max_tokens": 60}
            if stream:
                more = {"stream": True, "stream_options": {"include_usage": True}}
                chunks = list(client.chat.completions.create(**asked, **kind, **more))
                said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
                usage = chunks[-1].usage
            else:
                whole = client.chat.completions.create(**asked, **kind)
                said, usage = whole.choices[0].message.content, whole.usage
            details = usage.completion_tokens_details
            assert said == text and usage.completion_tokens == plain.usage.completion_tokens
            assert details.accepted_prediction_tokens > details.rejected_prediction_tokens >= 0


def test_the_request_that_the_documentation_shows_is_answered(server):
    page = next(page for page in PAGES if page.name == "api.md")
    shown = next(block for block in blocks(page) if '"prediction"' in block.text)
    words = shlex.split(shown.text.replace("localhost:8000", server.url.removeprefix("http://")))
    assert words[:2] == ["curl", "-s"] and words[3] == "-d"
    answer = httpx.post(f"http://{words[2]}", content=words[4], timeout=60).raise_for_status().json()
    assert answer["choices"][0]["message"]["content"]
    metrics = httpx.get(f"{server.url}/metrics").text
    lines = [line for line in metrics.splitlines() if "draft" in line and not line.startswith("#")]
    counts: Counter[str] = Counter()
    for line in lines:
        counts[line.split("{")[0]] += int(float(line.split()[-1]))
    assert counts["undiced_drafted_tokens_total"] >= counts["undiced_accepted_draft_tokens_total"] >= 0
    assert json.loads(words[4])["prediction"]["type"] == "content"
