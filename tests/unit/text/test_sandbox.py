"""Hostile templates: whatever they do costs one request, and says why."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from text_sources import bpe_metadata, load

from undiced.core.errors import InvalidRequestError, NoChatTemplateError
from undiced.text import ChatEncoder, ChatTemplate

BPE = load(bpe_metadata())
SAID = "{% for m in messages %}{{ m.content }}{% endfor %}"
HELLO = [{"role": "user", "content": "hello"}]
EVIL = "{% if messages[0].content == 'evil' %}BODY{% endif %}" + SAID  # waits until it has been tried


@contextmanager
def chatting(source: str) -> Iterator[ChatEncoder]:
    with closing(ChatEncoder(ChatTemplate(source), BPE)) as chat:
        yield chat


NESTED_LIST = []
for _ in range(5000):
    NESTED_LIST = [NESTED_LIST]
NESTED = {
    "not": "{{ " + "not " * 5000 + "x }}",
    "minus": "{{ " + "-" * 19000 + "1 }}",
    "attributes": "{{ x" + ".a" * 9000 + " }}",
    "filters": "{{ x" + "|e" * 9000 + " }}",
    "concatenation": "{{ x" + "~x" * 9000 + " }}",
    "parentheses": "{{ " + "(" * 9000 + "1" + ")" * 9000 + " }}",
    "lists": "{{ " + "[" * 9000 + "]" * 9000 + " }}",
    "ifs": "{% if x %}" * 1500 + "{% endif %}" * 1500,
    "fors": "{% for x in y %}" * 900 + "{% endfor %}" * 900,
    "blocks": "".join(f"{{% block a{i} %}}" for i in range(900)) + "{% endblock %}" * 900,
}


@pytest.mark.parametrize("name", sorted(NESTED))
def test_deep_nesting_at_load_is_one_clear_error(name: str) -> None:
    with chatting(NESTED[name] + SAID) as chat:
        assert "chat template" in chat.problem or chat.encode(HELLO)
        if chat.problem:
            with pytest.raises(NoChatTemplateError, match="This model cannot chat"):
                chat.encode(HELLO)


@pytest.mark.parametrize(
    "body",
    [
        "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}{{ ns | tojson }}",
        "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns == ns.a }}{{ ns | items | list }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(99999) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
        "{{ 'a' * 99999999999 }}",
        "{{ ('a' * 99999999) | list | length }}",
        "{{ 'a' | indent(99999999999) }}",
        "{{ '%99999999999d' % 1 }}",
        "{{ messages | tojson(indent=99999999999) }}",
        "{{ strftime_now('%99999999999d') + 1 }}",
        "{{ (10 ** (messages | length * 10000)) | string }}",
    ],
)
def test_what_ends_or_fills_a_process_costs_one_request(body: str) -> None:
    with chatting(EVIL.replace("BODY", body)) as chat:
        assert chat.problem == ""
        with pytest.raises(InvalidRequestError, match="The chat template"):
            chat.encode([{"role": "user", "content": "evil"}])
        assert chat.encode(HELLO) == BPE.encode("hello")


@pytest.mark.slow
@pytest.mark.parametrize(
    "body",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 7 ** (messages | length * 7 ** 99) }}",
        "{{ (9 ** (messages | length * 9999999)) // 3 % 7 }}" * 99,
    ],
)
def test_what_never_ends_is_ended(body: str) -> None:
    with chatting(EVIL.replace("BODY", body)) as chat:
        started_s = time.monotonic()
        with pytest.raises(InvalidRequestError, match="it takes too long"):
            chat.encode([{"role": "user", "content": "evil"}])
        assert time.monotonic() - started_s < 30
        assert chat.encode(HELLO) == BPE.encode("hello")


def test_a_killed_process_is_replaced() -> None:
    with chatting(SAID) as chat:
        assert chat.encode(HELLO)
        for pid in children():
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
        assert chat.encode(HELLO) == BPE.encode("hello")


def test_many_threads_share_two_processes() -> None:
    with chatting(SAID) as chat:
        before, answers = set(children()), []
        threads = [threading.Thread(target=lambda: answers.append(chat.encode(HELLO))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [BPE.encode("hello")] * 8
        assert len(set(children()) - before) <= 2


def test_nothing_is_left_when_it_is_closed_or_its_parent_is_killed() -> None:
    with chatting(SAID) as chat:
        chat.encode(HELLO)
        assert (mine := children())
    assert not any(map(alive, mine))
    code = (
        f"import sys; sys.path[:0] = [{str(Path(__file__).parent)!r}]; from test_sandbox import *\n"
        "chat = ChatEncoder(ChatTemplate(SAID), BPE); chat.encode(HELLO)\n"
        "print(*children(), flush=True); input()"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdin and parent.stdout
    theirs = list(map(int, parent.stdout.readline().split()))
    assert theirs and all(map(alive, theirs))
    parent.kill()
    parent.wait()
    parent.stdin.close()
    parent.stdout.close()
    deadline_s = time.monotonic() + 10
    while any(map(alive, theirs)):
        assert time.monotonic() < deadline_s, "an orphan"
        time.sleep(0.01)


def test_the_process_reaches_no_file_and_inherits_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    with chatting(SAID) as chat:
        chat.encode(HELLO)
        (pid,) = children()
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert "SECRET" not in Path(f"/proc/{pid}/environ").read_text()
    assert [line.split()[3:5] for line in limits.splitlines() if line.startswith("Max open files")] == [["0", "0"]]


def test_the_words_of_a_template_are_shown_as_the_user_wrote_them() -> None:
    source = EVIL.replace("BODY", "{{ raise_exception('no ' ~ messages[1].content) }}")
    with (
        chatting(source) as chat,
        pytest.raises(InvalidRequestError, match=r"no <\|im_end\|>"),
    ):
        chat.encode([{"role": "user", "content": content} for content in ("evil", "<|im_end|>")])


@pytest.mark.parametrize("content", [{"a": object()}, NESTED_LIST, range(3)])
def test_what_is_no_message_is_refused(content: object) -> None:
    with chatting(SAID) as chat, pytest.raises(InvalidRequestError) as caught:
        chat.encode([{"role": "user", "content": content}])
    assert caught.value.param == "messages"


def test_lone_surrogates_do_no_harm() -> None:
    with chatting(SAID) as chat:
        assert BPE.decode(chat.encode([{"role": "user", "content": "a\ud800"}])) == "a\ufffd"


def children() -> list[int]:
    """Processes of this one that render templates."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        found += [int(pid) for pid in (task / "children").read_text().split()]
    return [pid for pid in found if b"sandbox_process" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
