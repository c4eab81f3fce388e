"""What a template reads, found by trying it when it is loaded; messages brought into that form; what a prompt lacks.

Templates differ in what they take: text or content parts, tool arguments as objects or as JSON text, a system message
or none. A template is not asked; a conversation with marks is rendered in each form, and the first form in which all
marks come out is the one it reads. And no form is trusted: `left_out` looks for what was said in every prompt.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from undiced.core.errors import CheckpointError, InvalidRequestError
from undiced.text.formats.calls import json_object
from undiced.text.renderer import TEMPLATE_REMEDY, Message, Renderer, Scene

_SYSTEM, _USER, _ANSWER, _RESULT, _NAME, _KEY, _VALUE, _THOUGHT, _ALSO = (f"qz{letter}vkx" for letter in "suatnjwhe")
_REASONING = "reasoning_content"
_THOUGHTS = (_REASONING, "reasoning", "thinking")  # what templates call it
_CLOSES = re.compile(r"(</[^<>]*>|\[/[^\[\]]*\])$")
_CALL_ID = "qzcallvkx"  # nine letters and digits: some templates insist


@dataclass(frozen=True, slots=True)
class Reads:
    """What a template reads.

    Attributes:
        parts: roles whose content it reads as a list of parts; the others' as text.
        system: whether it reads a system message; if not, the first user's message begins with it.
        later: whether it reads one behind other messages; if not, a user's message there has it.
        objects: whether it reads the arguments of a tool call as an object; if not, as JSON text.
        nothing: the content of a message that has tool calls and no text.
        thought: the member in which it reads an earlier answer's thinking.
        joined: of a message with calls it reads that or the content, not both: they are one text then.
    """

    parts: frozenset[str] = frozenset()
    system: bool = True
    later: bool = True
    objects: bool = True
    nothing: str | None = ""
    thought: str = _REASONING
    joined: bool = False


def probe(renderer: Renderer, tools: Sequence[object] = ()) -> Reads:
    """Find out what a template reads.

    Raises CheckpointError for one that leaves out what users say, whatever form it comes in.
    """
    reads = Reads()
    user: Message = {"role": "user", "content": _USER}
    system: Message = {"role": "system", "content": _SYSTEM}
    answer: Message = {"role": "assistant", "content": _ANSWER}
    trial = _Trial(renderer, tools)
    if not trial.shows(reads, [user], _USER):
        forms = [replace(reads, parts=frozenset({"user"})), reads]
        opened = [[user], [system, user]]  # some want a system message first
        found = next((f for f in forms for talk in opened if trial.shows(f, talk, _USER)), None)
        if found is None and trial.rendered:
            raise CheckpointError("The chat template leaves out what users say.", remedy=TEMPLATE_REMEDY)
        reads = found or reads
    for role, talk, mark in (("system", [system, user], _SYSTEM), ("assistant", [user, answer, user], _ANSWER)):
        with_parts = replace(reads, parts=reads.parts | {role})
        trial.rendered = False
        if not trial.shows(reads, talk, mark):
            silent = trial.rendered
            if trial.shows(with_parts, talk, mark):
                reads = with_parts
            elif role == "system" and silent:
                reads = replace(reads, system=False)
    if reads.system and trial.shows(reads, [system, user], _SYSTEM):
        also: Message = {"role": "system", "content": _ALSO}
        later = any(trial.shows(reads, talk, _ALSO) for talk in ([system, user, also], [system, user, answer, also]))
        reads = replace(reads, later=later)
    return _probe_thoughts(trial, _probe_calls(trial, reads, user), user)


def tells_of_tools(renderer: Renderer, reads: Reads) -> bool:
    """Whether a template tells the model of its tools."""
    function = {"name": _NAME, "description": "", "parameters": {"type": "object", "properties": {}}}
    trial = _Trial(renderer, [{"type": "function", "function": function}])
    user: Message = {"role": "user", "content": _USER}
    talks: list[list[Message]] = [[user], [{"role": "system", "content": _SYSTEM}, user]]
    return any(trial.shows(reads, talk, _NAME) for talk in talks)


def _probe_calls(trial: _Trial, reads: Reads, user: Message) -> Reads:
    """How calls of tools and their results are read; unchanged for a template that knows none."""
    call, result = _called()
    for objects in (True, False):
        for nothing in ("", None):
            form = replace(reads, objects=objects, nothing=nothing)
            if not trial.shows(form, [user, call, result], _NAME, _KEY, _VALUE):
                continue
            with_parts = replace(form, parts=form.parts | {"tool"})
            read = trial.shows(form, [user, call, result], _RESULT)
            return form if read or not trial.shows(with_parts, [user, call, result], _RESULT) else with_parts
    return reads


def _called() -> tuple[Message, Message]:
    """A call and its result."""
    function = {"name": _NAME, "arguments": json.dumps({_KEY: _VALUE})}
    call: Message = {"role": "assistant", "content": None}
    call["tool_calls"] = [{"id": _CALL_ID, "type": "function", "function": function}]
    return call, {"role": "tool", "content": _RESULT, "name": _NAME, "tool_call_id": _CALL_ID}


def _probe_thoughts(trial: _Trial, reads: Reads, user: Message) -> Reads:
    """How thinking is read, between a call and its result or in a last answer; unchanged for a template that reads
    none.
    """
    call, result = _called()
    answer: Message = {"role": "assistant", "content": _ANSWER, _REASONING: _THOUGHT}
    for name in _THOUGHTS:
        form = replace(reads, thought=name)
        if trial.shows(form, [user, {**call, _REASONING: _THOUGHT}, result], _THOUGHT):
            both = [user, {**call, **answer}, result]
            return replace(form, joined=not trial.shows(form, both, _THOUGHT, _ANSWER))
        if trial.shows(form, [user, answer], _THOUGHT):
            return form
    return reads


class _Trial:
    """Renders conversations and looks for marks. rendered: whether any has come out so far."""

    def __init__(self, renderer: Renderer, tools: Sequence[object]) -> None:
        self._renderer = renderer
        self._tools = tools
        self.rendered = False

    def shows(self, reads: Reads, messages: Sequence[Message], *marks: str) -> bool:
        try:
            text = self._renderer.render(Scene(shaped(messages, reads), self._tools))
        except InvalidRequestError:
            return False
        self.rendered = True
        return all(mark in text for mark in marks)


def shaped(messages: Sequence[Message], reads: Reads) -> list[Message]:
    """Messages in the form that the template reads.

    Raises InvalidRequestError for a system message that has nowhere to go.
    """
    told = messages if reads.later else _told_by_users(messages)
    out = [_message(message, reads) for message in told]
    return out if reads.system else _folded(out)


def _told_by_users(messages: Sequence[Message]) -> list[Message]:
    """System messages behind others stand at the end of the user's message before them, else at the beginning of the
    one behind them, else in a user's message of their own.
    """
    out: list[Message] = []
    own = begun = False  # own: the last one is such a message, and nothing else
    for message in messages:
        later = message.get("role") == "system" and begun
        begun = begun or message.get("role") != "system"
        if out and out[-1].get("role") == "user" and (later or (own and message.get("role") == "user")):
            content = [*_parts(out[-1].get("content")), *_parts(message.get("content"))]
            out[-1] = {**out[-1], "content": content}
            own = own and later
        else:
            out.append({**message, "role": "user"} if later else message)
            own = later
    return out


def _parts(content: object) -> list[object]:
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if isinstance(content, str) else []


def _message(message: Message, reads: Reads) -> Message:
    out = dict(message)
    if "content" in out:
        out["content"] = _content(out["content"], as_parts=message.get("role") in reads.parts)
    calls = out.get("tool_calls")
    if _REASONING in out:
        _place_thought(out, reads)
    if calls and isinstance(calls, list):
        out["tool_calls"] = [_call(call, reads) for call in calls]
        if not out.get("content"):
            out["content"] = reads.nothing
    return out


def _place_thought(message: Message, reads: Reads) -> None:
    """Put a message's thinking where the template reads it."""
    thought, content = message.pop(_REASONING), message.get("content")
    if reads.joined and message.get("tool_calls") and isinstance(content, str) and content:
        thought, message["content"] = f"{thought}\n\n{content}", None
    message[reads.thought] = thought


def _content(content: object, *, as_parts: bool) -> object:
    """Content as text or as parts; what is neither stays as it is, and parts of other kinds stay parts."""
    if as_parts:
        return [{"type": "text", "text": content}] if isinstance(content, str) else content
    texts = list(_texts(content))
    return "\n".join(texts) if isinstance(content, list) and len(texts) == len(content) else content


def _call(call: object, reads: Reads) -> object:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(call, dict) or not isinstance(function, dict):
        return call
    arguments = function.get("arguments")
    if reads.objects and isinstance(arguments, str):
        arguments = json_object(arguments)
    elif not reads.objects and isinstance(arguments, dict):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return {**call, "function": {**function, "arguments": arguments}}


def _folded(messages: list[Message]) -> list[Message]:
    """The system messages at the beginning of the first user's."""
    told = [message["content"] for message in messages if message.get("role") == "system"]
    rest = [message for message in messages if message.get("role") != "system"]
    at = next((i for i, message in enumerate(rest) if message.get("role") == "user"), None)
    if not told:
        return messages
    if at is None:
        raise InvalidRequestError(
            "The chat template of this model reads no system message.",
            param="messages",
            remedy="Send a user's message.",
        )
    said = "\n\n".join(text for content in [*told, rest[at]["content"]] for text in _texts(content))
    as_parts = isinstance(rest[at]["content"], list)
    rest[at] = {**rest[at], "content": [{"type": "text", "text": said}] if as_parts else said}
    return rest


def _texts(content: object) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict) and part.get("type", "text") == "text" and isinstance(part.get("text"), str):
            yield part["text"]


def left_out(messages: Sequence[Message], prompt: str, sources: str) -> str | None:
    """The place of the first message whose text is not in the prompt, or None.

    Of an assistant's message only the end is asked for, since templates cut reasoning, and the names of its tool calls.
    sources: the templates; words that they name may be switches that they act on.
    """
    wanted = [(place, role, text) for place, role, text in _said(messages) if text]
    often = Counter(text for _, _, text in wanted)
    at = 0
    for place, role, text in wanted:
        end = _end(prompt, text, 0 if role == "system" else at)
        if end >= 0:
            at = at if role == "system" else end
        elif (count := _count(prompt, text)) < often[text] and (count or not _words(prompt, text, sources)):
            return place
    return None


def _said(messages: Sequence[Message]) -> Iterator[tuple[str, object, str]]:
    """(place, role, text) of everything that must be in the prompt."""
    for i, message in enumerate(messages):
        role, calls = message.get("role"), message.get("tool_calls")
        for text in _texts(message.get("content")):
            yield f"messages[{i}].content", role, _ending(text) if role == "assistant" else text.strip()
        for j, call in enumerate(calls if isinstance(calls, list) else ()):
            name = call.get("function", {}).get("name") if isinstance(call, Mapping) else None
            yield f"messages[{i}].tool_calls[{j}]", role, name if isinstance(name, str) else ""


def _ending(text: str) -> str:
    """The last line of an answer; nothing if the reasoning is all there is."""
    line = text.strip().rpartition("\n")[2].strip()
    tail = line.rpartition("</think>")[2].strip()
    return "" if _CLOSES.search(tail) else tail


def _forms(text: str) -> Iterator[str]:
    """How templates write a text: as it is, in JSON, in a printed list."""
    yield text
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield repr(text)[1:-1]


def _end(prompt: str, text: str, start: int) -> int:
    """Where the text ends in the prompt, or -1."""
    for form in _forms(text):
        if (at := prompt.find(form, start)) >= 0:
            return at + len(form)
    return -1


def _count(prompt: str, text: str) -> int:
    return max(prompt.count(form) for form in _forms(text))


def _words(prompt: str, text: str, sources: str) -> bool:
    """Whether the text's words are in the prompt, in their order, but for those that the templates name."""
    at, words = 0, [word for word in text.split() if word not in sources]
    for word in words:
        at = prompt.find(word, at)
        if at < 0:
            return False
        at += len(word)
    return bool(words) or text in sources


def said_last(messages: Sequence[Message]) -> str:
    """The last text of the last message; empty if there is none."""
    return next(reversed(list(_texts(messages[-1].get("content")))), "") if messages else ""
