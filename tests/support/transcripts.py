"""Answers as models of several families write them, after the documents of their formats, and what is in them.

The texts are written for these tests; no model said them. Marks that a family has as control tokens are single tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from undiced.text.fold import Run
from undiced.text.formats import FORMATS, Tool

Heard = list[tuple[str, ...]]
TOOLS = {
    tool.name: tool
    for tool in (
        Tool(
            "weather",
            "Tells the weather.",
            {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["city"],
            },
        ),
        Tool("now", "Tells the time.", {"type": "object", "properties": {}}),
    )
}


class Marked:
    """A vocabulary with some control tokens by name, and a token for each character."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.ids = {name: (1 << 21) + at for at, name in enumerate(names)}
        self.control = frozenset(self.ids.values())

    def id_of(self, name: str) -> int | None:
        return self.ids.get(name)

    def tokens(self, text: str) -> list[tuple[int, str]]:
        """(id, text) of each token; control tokens have no text."""
        names = "|".join(map(re.escape, self.ids)) or "(?!)"
        parts = re.findall(f"{names}|.", text, re.DOTALL)
        return [(self.ids[part], "") if part in self.ids else (ord(part), part) for part in parts]


class Letters:
    """A tokenizer over `Marked`: a token for each character, and the end of an answer."""

    vocab_size = 1 << 22
    bos_id = None
    eos_ids = frozenset({256})
    add_bos = False
    space_prefix = False

    def __init__(self, vocabulary: Marked) -> None:
        self.vocabulary = vocabulary
        self.control = vocabulary.control | self.eos_ids
        self.names = {token: name for name, token in vocabulary.ids.items()} | {256: "<eos>"}

    def encode(self, text: str, *, special: bool = False, continuation: bool = False) -> list[int]:
        return [token for token, _ in self.vocabulary.tokens(text)] if special else list(map(ord, text))

    def id_of(self, name: str) -> int | None:
        return self.vocabulary.id_of(name)

    def token_bytes(self, token: int) -> bytes:
        return b"" if token in self.control else chr(token).encode()

    def token_text(self, token: int) -> str:
        return self.names.get(token) or chr(token)


@dataclass(frozen=True, slots=True)
class Transcript:
    """One answer.

    Attributes:
        control: marks that are control tokens; thoughts: how thoughts are written.
        heard: what is in it: ("content", text), ("reasoning", text), ("call", name, arguments).
        opened: its prompt opened a thought.
    """

    format: str
    text: str
    heard: Heard
    control: tuple[str, ...] = ()
    thoughts: str = "none"
    opened: bool = False


def heard(runs: Iterable[Run]) -> Heard:
    """Runs, joined."""
    found: Heard = []
    for channel, text, name in runs:
        if name:
            found.append(("call", name, text))
        elif channel == "tool_call":
            if text:
                at = max(at for at, one in enumerate(found) if one[0] == "call")
                found[at] = ("call", found[at][1], found[at][2] + text)
        elif found and found[-1][0] == channel:
            found[-1] = (channel, found[-1][1] + text)
        elif text:
            found.append((channel, text))
    return found


PARIS = ("call", "weather", '{"city": "Paris", "days": 2}')
NOW = ("call", "now", "{}")
_OBJECT = '{"name": "weather", "arguments": {"city": "Paris", "days": 2}}'
_DEEP = FORMATS["deepseek"].MARKS
_BEGIN, _END, _CALL, _CALL_END, _SEP = _DEEP
_OLD = f"{_CALL}function{_SEP}weather\n```json\n{PARIS[2]}\n```{_CALL_END}"
_THOUGHT = "<|channel|>analysis<|message|>Hm <think>.<|end|>"
_LINES = '"a"\n<b>\n\nc\\'
_CODER = "<tool_call>\n<function=weather>\n<parameter=city>\nParis\n</parameter>\n<parameter=days>\n2\n</parameter>\n"
_D = FORMATS["dsml"].MARKS[0]
DSML = (
    f'<{_D}function_calls>\n<{_D}invoke name="weather">\n'
    f'<{_D}parameter name="city" string="true">Paris</{_D}parameter>\n'
    f'<{_D}parameter name="days" string="false">2</{_D}parameter>\n</{_D}invoke>\n'
    f'<{_D}invoke name="now">\n</{_D}invoke>\n</{_D}function_calls>'
)

TRANSCRIPTS = {
    "plain": Transcript("hermes", " Hi < there \n", [("content", " Hi < there \n")]),
    "hermes": Transcript(
        "hermes",
        f"Let me see.\n<tool_call>\n{_OBJECT}\n</tool_call>\n<tool_call>\n"
        '{"arguments": {}, "name": "now"}\n</tool_call>',
        [("content", "Let me see."), PARIS, NOW],
    ),
    "hermes, thinking": Transcript(
        "hermes",
        "<think>\nA <tool_call> is a tag.\n</think>\n\n<tool_call>\n" + _OBJECT + "\n</tool_call>",
        [("reasoning", "A <tool_call> is a tag."), PARIS],
        thoughts="think",
    ),
    "a thought that the prompt opened": Transcript(
        "hermes", "Hm.\n</think>\n\n 4 <think>", [("reasoning", "Hm."), ("content", "4 <think>")], (), "think", True
    ),
    "a thought that never ends": Transcript("hermes", "<think>\nSo ", [("reasoning", "So")], (), "think"),
    "no call": Transcript("hermes", "a <tool_call>b</tool_call> c", [("content", "a <tool_call>b</tool_call> c")]),
    "half a call": Transcript("hermes", 'a <tool_call>{"name": "no', [("content", 'a <tool_call>{"name": "no')]),
    "a call that is cut": Transcript(
        "hermes", f"<tool_call>{_OBJECT[:-8]}", [("call", "weather", '{"city": "Paris", "da')]
    ),
    "arguments as text, with a raw line end": Transcript(
        "hermes",
        '<tool_call>{"name": "now", "arguments": "{\\"a\\": 1}"}</tool_call>\n'
        '<tool_call>{"name": "now", "arguments": {"a": "x\ny"}}</tool_call>',
        [("call", "now", '{"a": 1}'), ("call", "now", '{"a": "x\\ny"}')],
    ),
    "a bracket too few": Transcript(
        "hermes", '<tool_call>{"name": "now", "arguments": {}</tool_call> ok', [NOW, ("content", "ok")]
    ),
    "qwen-coder": Transcript(
        "qwen-coder",
        f"Yes.\n{_CODER}</function>\n</tool_call>\n<tool_call>\n<function=now>\n</function>\n</tool_call>",
        [("content", "Yes."), PARIS, NOW],
    ),
    "qwen-coder, without the outer pair": Transcript(
        "qwen-coder", _CODER.removeprefix("<tool_call>\n") + "</function> so", [PARIS, ("content", "so")]
    ),
    "qwen-coder, a text of several lines": Transcript(
        "qwen-coder",
        f"<tool_call>\n<function=weather>\n<parameter=city>\n{_LINES}\n</parameter>\n<parameter=other>\n"
        "[1, True]\n</parameter>\n</function>\n</tool_call>",
        [("call", "weather", '{"city": "\\"a\\"\\n<b>\\n\\nc\\\\", "other": [1, true]}')],
    ),
    "llama": Transcript(
        "llama",
        '{"name": "weather", "parameters": {"city": "Paris", "days": 2}}',
        [PARIS],
        ("<|python_tag|>",),
    ),
    "llama, after its tag": Transcript(
        "llama",
        'Well.<|python_tag|>{"name": "now", "parameters": {}}; {"name": "now", "parameters": {}}',
        [("content", "Well."), NOW, NOW],
        ("<|python_tag|>",),
    ),
    "llama, spelled as Python": Transcript(
        "llama", '<|python_tag|>weather.call(city="Paris", days=2)', [PARIS], ("<|python_tag|>",)
    ),
    "an object for a person": Transcript(
        "llama", '{"name": "Ann", "parameters": {}}', [("content", '{"name": "Ann", "parameters": {}}')]
    ),
    "pythonic": Transcript("pythonic", ' [weather(city="Paris", days=2), now()]', [PARIS, NOW]),
    "pythonic, marked": Transcript(
        "pythonic",
        "<|python_start|>[now()]<|python_end|>ok",
        [NOW, ("content", "ok")],
        ("<|python_start|>", "<|python_end|>"),
    ),
    "a link": Transcript("pythonic", "[weather](x)", [("content", "[weather](x)")]),
    "mistral, a list": Transcript(
        "mistral",
        f'[TOOL_CALLS][{_OBJECT[:-1]}, "id": "abcdefghi"}}, {{"name": "now", "arguments": {{}}}}]',
        [PARIS, NOW],
        ("[TOOL_CALLS]",),
    ),
    "mistral, with an id": Transcript(
        "mistral",
        f"Ok.[TOOL_CALLS]weather[CALL_ID]abcdefghi[ARGS]{PARIS[2]}",
        [("content", "Ok."), PARIS],
        ("[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"),
    ),
    "mistral, thinking": Transcript(
        "mistral",
        f"[THINK]Hm.[/THINK][TOOL_CALLS]weather[ARGS]{PARIS[2]}[TOOL_CALLS]now[ARGS]{{}}",
        [("reasoning", "Hm."), PARIS, NOW],
        ("[TOOL_CALLS]", "[ARGS]", "[THINK]", "[/THINK]"),
        "bracket",
    ),
    "deepseek v3": Transcript(
        "deepseek",
        f"Ok.{_BEGIN}{_OLD}\n{_CALL}function{_SEP}now\n```json\n{{}}\n```{_CALL_END}{_END}",
        [("content", "Ok."), PARIS, NOW],
        _DEEP,
    ),
    "deepseek v3.1": Transcript(
        "deepseek",
        f"Hm.</think>{_BEGIN}{_CALL}weather{_SEP}{PARIS[2]}{_CALL_END}{_CALL}now{_SEP}{{}}{_CALL_END}{_END}",
        [("reasoning", "Hm."), PARIS, NOW],
        _DEEP,
        "think",
        True,
    ),
    "dsml": Transcript("dsml", f"Ok.\n\n{DSML}", [("content", "Ok."), PARIS, NOW], FORMATS["dsml"].MARKS),
    "dsml, its token as text, and the newer name": Transcript(
        "dsml", f"{DSML.replace('function_calls', 'tool_calls')} so", [PARIS, NOW, ("content", "so")]
    ),
    "dsml, a text of several lines": Transcript(
        "dsml",
        DSML[: DSML.index("Paris")] + _LINES + DSML[DSML.index("Paris") + 5 :],
        [("call", "weather", '{"city": "\\"a\\"\\n<b>\\n\\nc\\\\", "days": 2}'), NOW],
        FORMATS["dsml"].MARKS,
    ),
    "gemma": Transcript(
        "gemma",
        'Yes.\n<|tool_call>call:weather{city:<|"|>Paris<|"|>,days:2}<tool_call|><|tool_call>call:now{}<tool_call|>',
        [("content", "Yes."), PARIS, NOW],
        FORMATS["gemma"].MARKS,
    ),
    "gemma, lists and objects, and a text with all that elsewhere ends one": Transcript(
        "gemma",
        '<|tool_call>call:now{<|"|>a b<|"|>:[1.5,-2,{x:null,y:[]}], "c":"d", t:<|"|>{"}],:\n<|"|>, u:True,v:word}'
        "<tool_call|>",
        [
            (
                "call",
                "now",
                '{"a b": [1.5, -2, {"x": null, "y": []}], "\\"c\\"": "d", "t": "{\\"}],:\\n", "u": true, "v": "word"}',
            )
        ],
        FORMATS["gemma"].MARKS,
    ),
    "gemma, thinking": Transcript(
        "gemma",
        "<|channel>thought\nA <|tool_call> is a token.\n<channel|><|tool_call>call:now{}<tool_call|>",
        [("reasoning", "A <|tool_call> is a token."), NOW],
        (*FORMATS["gemma"].MARKS, "<|channel>", "<channel|>"),
        "channel",
    ),
    "gemma, two thoughts": Transcript(
        "gemma",
        "<|channel>thought\na<channel|>So <|channel>thought\nb\n<channel|>4.",
        [("reasoning", "a"), ("content", "So"), ("reasoning", "b"), ("content", "4.")],
        ("<|channel>", "<channel|>"),
        "channel",
    ),
    "gemma, no call": Transcript(
        "gemma",
        "a <|tool_call>now{}<tool_call|>",
        [("content", "a <|tool_call>now{}<tool_call|>")],
        FORMATS["gemma"].MARKS,
    ),
    "harmony": Transcript(
        "harmony",
        f"{_THOUGHT}<|start|>assistant<|channel|>final<|message|>Yes. ",
        [("reasoning", "Hm <think>."), ("content", "Yes. ")],
        FORMATS["harmony"].MARKS,
    ),
    "harmony, a call": Transcript(
        "harmony",
        f"{_THOUGHT}<|start|>assistant<|channel|>commentary<|message|>One moment.<|end|><|start|>assistant"
        f"<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{PARIS[2]}",
        [("reasoning", "Hm <think>."), ("content", "One moment."), PARIS],
        FORMATS["harmony"].MARKS,
    ),
    "harmony, addressed before the channel": Transcript(
        "harmony",
        "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>analysis<|message|>b<|end|>"
        "<|start|>assistant to=functions.now<|channel|>commentary<|message|>",
        [("reasoning", "a\n\nb"), NOW],
        FORMATS["harmony"].MARKS,
    ),
}
