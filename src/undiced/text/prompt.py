"""Messages to token ids, such that nothing a user writes becomes a control token. Joins a template and a tokenizer.

The template runs in a process of its own (sandbox.py), which answers the prompt's text in pieces: each is encoded
alone, and none holds a control token's name that a user wrote (guard.py).
"""

from __future__ import annotations

import marshal
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from undiced.core.errors import InvalidRequestError, NoChatTemplateError, UnsupportedError
from undiced.text.formats import Dialect, dialect_of
from undiced.text.pieces import encode_pieces
from undiced.text.sandbox import DiedError, Reply, Sandbox
from undiced.text.template import ChatTemplate
from undiced.text.thinking import (
    Thinking,
    efforts,
    keeps_thoughts,
    template_variables,
    without_finished_thoughts,
)
from undiced.text.tokenizer import Tokenizer

_CLEAR = "clear_thinking"  # what a template calls it that has a switch for that
_RAW = "qwen3"  # families whose thoughts Cerebras leaves in the content

Message = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class PromptOptions:
    """How a conversation becomes a prompt.

    Attributes:
        add_generation_prompt: the prompt ends where the assistant begins to speak.
        continue_final_message: the prompt ends inside the last message, which the answer goes on with; there is no
            generation prompt then.
        variables: further variables of the template (`chat_template_kwargs` on the wire); an absent one leaves the
            template's own default in force.
        thinking: whether the model shall think first.
        tools, documents: as templates read them; empty is none.
        clear_thinking: whether thoughts of finished turns are left out; None leaves it to the template.
    """

    add_generation_prompt: bool = True
    continue_final_message: bool = False
    variables: Mapping[str, object] = field(default_factory=dict)
    thinking: Thinking = field(default_factory=Thinking)
    tools: Sequence[Mapping[str, object]] = ()
    documents: Sequence[Mapping[str, object]] = ()
    clear_thinking: bool | None = None


class ChatEncoder:
    """Encodes chats for one template and one tokenizer. Threads may share it. To be closed."""

    def __init__(
        self, template: ChatTemplate, tokenizer: Tokenizer, now: Callable[[], datetime] = datetime.now
    ) -> None:
        """now: the local time, for templates that write the date."""
        self.template = template
        self.tokenizer = tokenizer
        self._now = now
        tokens = dict(template.tokens)
        if "bos_token" not in tokens and tokenizer.bos_id is not None:  # known to the vocabulary alone
            tokens["bos_token"] = tokenizer.token_text(tokenizer.bos_id)
        setup = (template.source, template.tool_source, tokens, tokenizer.control_texts())
        self._sandbox = Sandbox(marshal.dumps(setup))
        self._opening = threading.Lock()
        self._opened: Reply | None = Reply(template.problem) if template.problem else None

    @property
    def problem(self) -> str:
        """Why this model cannot chat after all, and what to do about it; empty if it can. Waits for the template to be
        tried, once.
        """
        opened = self._open()
        return f"{opened.error} {opened.remedy}".rstrip()

    @property
    def efforts(self) -> tuple[str, ...]:
        """How hard the model can be asked to think; none where it does not think."""
        opened = self._open()
        return () if opened.error else efforts(opened.variables, self.template.source)

    def dialect(self, family: str, tools: str = "", thoughts: str = "") -> Dialect:
        """How the model writes thoughts and calls.

        Args:
            family: of the model. tools, thoughts: as of `dialect_of`.

        Raises:
            InvalidRequestError: there is no such format, or the template tells the model of no tools.
        """
        source = self.template.source + (self.template.tool_source or "")
        raw = family.startswith(_RAW)
        found = dialect_of(source, self.tokenizer, tools=tools, thoughts=thoughts, raw=raw)
        if self._open().tools or found.format is None or found.thinks_by_format:
            return found
        if tools:
            raise InvalidRequestError(
                "The chat template of this model tells it of no tools, so that it can't call them.",
                remedy="Leave the tool format out, or put a template into its folder that does.",
            )
        return found.without_calls()

    def encode(
        self, messages: Sequence[Message], options: PromptOptions = PromptOptions(), most: int | None = None
    ) -> list[int]:
        """The prompt's token ids; the template says whether they begin with `bos_id`.

        Raises as `pieces` and, for a prompt that can't be as short as `most` tokens, as `encode_pieces` do.
        """
        return encode_pieces(self.tokenizer, self.pieces(messages, options), most)

    def pieces(self, messages: Sequence[Message], options: PromptOptions = PromptOptions()) -> list[str]:
        """The prompt's text, cut where a user wrote a control token's name.

        Raises:
            NoChatTemplateError: the template cannot be used at all.
            InvalidRequestError: it refuses these messages, fails, takes too long, or leaves out what they say; or a
                last message cannot be continued; or a variable changes nothing or contradicts a switch.
            UnsupportedError: a switch that the template does not have.
            UnavailableError: there can be no process for it.
        """
        opened = self._open()
        if opened.error:
            message = f"This model cannot chat: {opened.error}"
            raise NoChatTemplateError(message, remedy="Use /v1/completions.", param="messages")
        variables = self._variables(options, opened)
        if options.clear_thinking:
            messages = without_finished_thoughts(messages)
        reply = self._ask(_request(messages, options, variables, self._now()))
        if reply.error:
            raise InvalidRequestError(reply.error, remedy=reply.remedy, param=reply.param)
        if options.clear_thinking is False and not keeps_thoughts(messages, reply.text):
            raise UnsupportedError(
                "clear_thinking cannot be false: the chat template of this model leaves finished thoughts out.",
                remedy="Leave it out.",
                param="clear_thinking",
            )
        return reply.pieces

    def close(self) -> None:
        """End the template's processes; idempotent."""
        self._sandbox.close()

    def _open(self) -> Reply:
        with self._opening:
            if self._opened is None:
                try:
                    self._opened = self._sandbox.open()
                except DiedError as error:
                    self._opened = Reply(f"The chat template cannot be loaded: {error}.")
        return self._opened

    def _variables(self, options: PromptOptions, opened: Reply) -> dict[str, object]:
        """Raises as `template_variables`, and UnsupportedError for documents that the template doesn't read."""
        known, given = opened.variables, options.variables
        if options.clear_thinking is not None and _CLEAR in known:
            given = {_CLEAR: options.clear_thinking, **given}
        if options.documents and not opened.documents:
            message = "documents is not supported: the chat template of this model reads none."
            raise UnsupportedError(message, remedy="Leave it out.", param="documents")
        return template_variables(given, options.thinking, known, self.template.source)

    def _ask(self, request: bytes) -> Reply:
        try:
            return self._sandbox.ask(request)
        except DiedError as error:
            message = f"The chat template cannot render these messages: {error}."
            raise InvalidRequestError(message, remedy="Send fewer or shorter messages.", param="messages") from None


def _request(messages: Sequence[Message], options: PromptOptions, variables: dict[str, object], now: datetime) -> bytes:
    fields = {
        "messages": list(map(dict, messages)),
        "tools": list(map(dict, options.tools)),
        "documents": list(map(dict, options.documents)),
        "add_generation_prompt": options.add_generation_prompt and not options.continue_final_message,
        "variables": variables,
    }
    try:
        return marshal.dumps((fields, options.continue_final_message, now.isoformat()))
    except ValueError:
        message = "The messages hold something that is neither text, number, list nor object, or are nested too deeply."
        raise InvalidRequestError(message, param="messages") from None
