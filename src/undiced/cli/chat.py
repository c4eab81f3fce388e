"""`undiced chat`: a conversation in the terminal, in this process. Ctrl-C stops an answer, a second one at the prompt
leaves.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.options import (
    DEFAULT_MODEL,
    Asked,
    Json,
    MaxContext,
    MaxTokens,
    Question,
    RepeatPenalty,
    Revision,
    Seed,
    Temperature,
    Threads,
    TopK,
    TopP,
    asked,
)
from undiced.cli.window import Message, first_kept
from undiced.core.errors import ContextLengthError, UndicedError
from undiced.core.printable import printable
from undiced.core.usual import CHAT_TOKENS, reserved

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

    from undiced.llm import LLM
    from undiced.outputs import Completion
    from undiced.params import SamplingParams

_HELP = (
    "/reset starts again, /system TEXT sets the system prompt, /continue goes on with an answer that was cut, "
    "/exit or Ctrl-D leaves, Ctrl-C stops an answer."
)


def chat(
    model: Asked = DEFAULT_MODEL,
    question: Question = None,
    system: Annotated[str, typer.Option("--system", help="The system prompt.")] = "",
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    top_k: TopK = None,
    repeat_penalty: RepeatPenalty = None,
    seed: Seed = None,
    threads: Threads = None,
    max_context: MaxContext = None,
    revision: Revision = None,
    as_json: Json = False,
) -> None:
    """Chat with a model in the terminal. With --json, a line of JSON answers each line of input."""
    from undiced.checkpoint import at_revision
    from undiced.cli.terminal import loading
    from undiced.llm import LLM
    from undiced.params import SamplingParams

    model, question = asked(model, question)
    model = at_revision(model, revision)
    with loading(model, quiet=as_json) as bar:
        llm = LLM(model, threads=threads, max_batch=1, max_context=max_context, progress=bar)
    with llm:
        llm.chat_ids([{"role": "user", "content": ""}])  # a base model is refused before anybody has typed
        params = SamplingParams(
            max_tokens=max_tokens or CHAT_TOKENS,
            temperature=temperature,
            top_p=top_p,
            top_k=top_k,
            repetition_penalty=repeat_penalty,
            seed=seed,
        )
        conversation = Conversation(llm, params, system, as_json=as_json)
        conversation.tell(f"{llm.config.name}. {_HELP}")
        if question:
            conversation.take(question)
        conversation.run()


class Conversation:
    """What was said so far, and the loop that goes on.

    Attributes:
        left_out: of the messages, the oldest, which the context has no room for any more.
        cut: the last answer is not whole, and could go on.
    """

    def __init__(self, llm: LLM, params: SamplingParams, system: str, *, as_json: bool = False) -> None:
        self.llm = llm
        self.params = params
        self.system = system
        self.as_json = as_json
        self.messages: list[Message] = []
        self.left_out = 0
        self.cut = False

    def run(self) -> None:
        """Read and answer until the input ends."""
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  gives the prompt line editing and a history
        while True:
            try:
                line = self._typed()
            except (EOFError, KeyboardInterrupt):
                self.tell("")
                return
            if line in ("/exit", "/quit", "/bye"):
                return
            if line:
                self.take(line)

    def _typed(self) -> str:
        """The next line; a person edits it, a pipe is read in bounded lines. Raises EOFError at the end."""
        prompt = "" if self.as_json else "\n> "
        if sys.stdin.isatty():
            return input(prompt).strip()
        from undiced.cli.terminal import typed

        typer.echo(prompt, nl=False)
        if not (line := typed(line=True)):
            raise EOFError
        return line.strip()

    def tell(self, text: str) -> None:
        """Something for the person who types; scripts do not want it."""
        if not self.as_json:
            typer.secho(printable(text), fg="bright_black")

    def take(self, line: str) -> None:
        """Obey a command or answer a message."""
        word, _, rest = line.partition(" ")
        if word == "/reset":
            self.messages.clear()
            self.left_out, self.cut = 0, False
            self.tell("A new conversation.")
        elif word == "/system":
            self.system = rest.strip()
            self.tell("The system prompt is set." if self.system else "No system prompt.")
        elif word == "/continue":
            self.go_on()
        elif word.startswith("/") and " " not in word and word[1:].isalpha():
            self.tell(_HELP)
        else:
            self.answer(line)

    def answer(self, line: str) -> None:
        """Answer a message; an error takes it back and leaves the conversation usable."""
        self.messages.append({"role": "user", "content": line})
        said = self._spoken()
        if said is None:
            self.messages.pop()
        else:
            self.messages.append({"role": "assistant", "content": said})

    def go_on(self) -> None:
        """Go on with the last answer, where a limit or Ctrl-C cut it."""
        if not self.cut:
            self.tell("There is no cut answer to go on with.")
        elif (said := self._spoken(resume=True)) is not None:
            self.messages[-1]["content"] += said

    def _spoken(self, *, resume: bool = False) -> str | None:
        """Stream an answer and account for it; None and a red line if there can be none."""
        from undiced.cli.terminal import emit, error_object

        answer, stopped = None, False
        try:
            with interruptible() as interrupted:
                told, params = self._fitting(resume)
                for piece, so_far in self.llm.stream(told, params, resume=resume):
                    answer = so_far
                    if not self.as_json:
                        typer.echo(printable(piece), nl=False)
                    if interrupted:
                        stopped = True
                        break
        except UndicedError as error:
            typer.secho(f"error: {error}", fg="red", err=True)
            if self.as_json:
                emit(error_object(error.code, error.message, error.remedy))
            return None
        assert answer is not None
        self._account(answer, stopped)
        return answer.text

    def _account(self, answer: Completion, stopped: bool) -> None:
        """Say how fast an answer was, and how to go on where it was cut."""
        from undiced.cli.generate import figures, fills_context, summary
        from undiced.cli.terminal import emit

        full = not stopped and fills_context(self.llm, answer)
        self.cut = bool(answer.text) and (stopped or (answer.finish_reason == "length" and not full))
        if self.as_json:
            left_out = {"left_out_messages": self.left_out} if self.left_out else {}
            emit(summary(answer) | left_out | ({"finish_reason": "stopped"} if stopped else {}))
        said = "stopped" if stopped else figures(answer)
        if answer.finish_reason == "length" and full:
            said += "; cut: the context is full, the next message leaves out the oldest"
        elif self.cut and not stopped:
            said += "; cut at the limit, /continue goes on"
        self.tell(f"\n{said}")

    def _fitting(self, resume: bool) -> tuple[list[Message], SamplingParams]:
        """What the model is told, its oldest turns left out where the context has no room, and an answer's limit."""
        context, limit = self.llm.context, self.params.limit(self.llm.context, CHAT_TOKENS)
        room = context - reserved(limit, context)
        before = self.left_out
        self.left_out = first_kept(self.messages, before, lambda kept: self._length(kept, resume) <= room)
        if self.left_out > before:
            self.tell(f"The context of {context} tokens is full: the {self.left_out} oldest messages are left out.")
        kept = self.messages[self.left_out :]
        length = self._length(kept, resume)
        if length >= context:
            raise ContextLengthError(
                f"The message alone fills the context of {context} tokens.",
                remedy="Shorten it, or start the chat with a larger --max-context"
                f" ({self.llm.config.context} at most for this model).",
            )
        return [*self._opening(), *kept], replace(self.params, max_tokens=min(limit, context - length))

    def _length(self, kept: Sequence[Message], resume: bool) -> int:
        """Tokens of the system prompt and these messages; where they can't fit, as many as the context."""
        try:
            return len(self.llm.chat_ids([*self._opening(), *kept], resume=resume))
        except ContextLengthError:
            return self.llm.context

    def _opening(self) -> list[Message]:
        return [{"role": "system", "content": self.system}] if self.system else []


@contextlib.contextmanager
def interruptible() -> Iterator[list[int]]:
    """While it lasts, Ctrl-C is noted in the list instead of raised: a step of the engine is never torn apart."""
    seen: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        seen.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)
