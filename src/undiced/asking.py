"""Asking: what Python programs hand to an `LLM`, in all the forms in which they write it: prompts, conversations,
parameters. Knows no engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from undiced.core.errors import InvalidRequestError
from undiced.params import SamplingParams, StructuredOutputsParams

Prompt = (
    str | Sequence[int] | Mapping[str, object]
)  # a text, token ids, {"prompt": a text} or {"prompt_token_ids": ids}
Messages = Sequence[Mapping[str, object]]
_REASONING, _READ = "reasoning", "reasoning_content"  # as answers call a thought, and as templates are told of it


def params_of(
    given: SamplingParams | Sequence[SamplingParams] | None, count: int, schema: object = None
) -> list[SamplingParams]:
    """Of each of so many prompts."""
    if schema is not None:
        form = StructuredOutputsParams(json=schema)
        return [replace(one, structured_outputs=form) for one in params_of(given, count)]
    if given is None or isinstance(given, SamplingParams):
        return [given or SamplingParams()] * count
    if len(given) != count:
        raise InvalidRequestError(
            f"{count} prompts came with {len(given)} sampling parameters.", remedy="Give one for all, or one for each."
        )
    return list(given)


def plain(prompt: Prompt) -> str | Sequence[int]:
    """The text or the token ids of a prompt."""
    if not isinstance(prompt, Mapping):
        return prompt
    if len(prompt) == 1 and (found := prompt.get("prompt_token_ids", prompt.get("prompt"))) is not None:
        return found  # type: ignore[return-value]  # its type is looked at where it is tokenized
    named = ", ".join(map(str, prompt))
    raise InvalidRequestError(
        f"A prompt has the members {named[:100]}.", remedy="Give prompt or prompt_token_ids alone.", param="prompt"
    )


def talks(given: str | Messages | Sequence[str | Messages]) -> list[str | Messages]:
    """The conversations of a call; what is none is left to `conversation` to refuse."""
    several = isinstance(given, Sequence) and not isinstance(given, (str, bytes))
    return list(given) if several and not (given and isinstance(given[0], Mapping)) else [given]  # type: ignore[arg-type, list-item]


def conversation(said: str | Messages) -> Messages:
    """A conversation as templates take it; a text is one message."""
    if isinstance(said, str):
        return [{"role": "user", "content": said}]
    messages = [one for one in said if isinstance(one, Mapping) and "role" in one] if isinstance(said, Sequence) else []
    if messages and len(messages) == len(said):
        return [_readable(one) for one in messages]
    raise InvalidRequestError(
        "A conversation is a text, or a list of messages.",
        remedy='Write a message as {"role": "user", "content": "Hi"}.',
        param="messages",
    )


def _readable(message: Mapping[str, object]) -> Mapping[str, object]:
    if not message.get(_REASONING) or message.get(_READ):
        return message
    return {_READ if name == _REASONING else name: value for name, value in message.items()}


def is_ids(prompt: object) -> bool:
    """Whether it is a list of token ids."""
    return isinstance(prompt, Sequence) and len(prompt) > 0 and isinstance(prompt[0], int)


def is_messages(prompt: object) -> bool:
    """Whether it is a conversation. Raises InvalidRequestError for what is no prompt at all."""
    if not isinstance(prompt, Sequence) or isinstance(prompt, str) or not prompt:
        return False
    if isinstance(prompt[0], Mapping):
        return True
    if not isinstance(prompt[0], int):
        raise InvalidRequestError("A prompt is a text, a list of token ids or a list of messages.")
    return False
