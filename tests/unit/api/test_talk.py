"""What a chat request says about its prompt reaches the chat encoder; contradictions are refused."""

from __future__ import annotations

import pytest
from scripted import LineChat

from undiced.text import PromptOptions, Thinking

USUAL = PromptOptions()


class Recorder(LineChat):
    """Keeps the options that it was given."""

    def __init__(self) -> None:
        self.seen: list[PromptOptions] = []

    def pieces(self, messages, options=USUAL) -> list[str]:
        self.seen.append(options)
        return super().pieces(messages, options)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, PromptOptions()),
        ({"add_generation_prompt": False}, PromptOptions(add_generation_prompt=False)),
        ({"continue_final_message": True}, PromptOptions(continue_final_message=True)),
        (
            {"continue_final_message": True, "add_generation_prompt": False},
            PromptOptions(add_generation_prompt=False, continue_final_message=True),
        ),
        ({"chat_template_kwargs": {"a": [1, {"b": None}]}}, PromptOptions(variables={"a": [1, {"b": None}]})),
        ({"documents": [{"text": "x"}]}, PromptOptions(documents=[{"text": "x"}])),
        ({"enable_thinking": False}, PromptOptions(thinking=Thinking(False, None, "enable_thinking"))),
        ({"disable_reasoning": True}, PromptOptions(thinking=Thinking(False, None, "disable_reasoning"))),
        ({"disable_reasoning": False}, PromptOptions()),
        ({"thinking": {"type": "enabled"}}, PromptOptions(thinking=Thinking(True, None, "thinking"))),
        ({"thinking": False}, PromptOptions(thinking=Thinking(False, None, "thinking"))),
        ({"reasoning_effort": "low"}, PromptOptions(thinking=Thinking(None, "low", "reasoning_effort"))),
        ({"reasoning": {"effort": "high"}}, PromptOptions(thinking=Thinking(None, "high", "reasoning.effort"))),
        ({"reasoning": {"enabled": False}}, PromptOptions(thinking=Thinking(False, None, "reasoning.enabled"))),
        (
            {"reasoning_effort": "none", "enable_thinking": False},
            PromptOptions(thinking=Thinking(False, "none", "enable_thinking")),
        ),
    ],
    ids=str,
)
def test_members_reach_the_encoder(make, fields, wanted, stream):
    caller = make(chat=Recorder)
    chat = caller.service.deployments[0].chat
    assert caller.chat(**fields, stream=stream).status == 200
    assert chat.seen[-1] == wanted


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"continue_final_message": True, "add_generation_prompt": True}, "continue_final_message"),
        ({"enable_thinking": True, "disable_reasoning": True}, "disable_reasoning"),
        ({"enable_thinking": True, "reasoning_effort": "none"}, "reasoning_effort"),
        ({"enable_thinking": False, "thinking": {"type": "enabled"}}, "thinking"),
        ({"reasoning_effort": "low", "reasoning": {"effort": "high"}}, "reasoning.effort"),
        ({"reasoning_effort": "lots"}, "reasoning_effort"),
        ({"thinking": {"type": "maybe"}}, "thinking.type"),
        ({"thinking": {}}, "thinking.type"),
        ({"enable_thinking": "false"}, "enable_thinking"),
        ({"chat_template_kwargs": [1]}, "chat_template_kwargs"),
    ],
    ids=str,
)
def test_contradictions_and_unknown_words_are_refused(caller, fields, param):
    error = caller.chat(**fields).json["error"]
    assert (error["code"], error["param"]) == ("wrong_api_format", param)
