"""A conversation in the terminal: what was said, the commands about it, and the loop. Ctrl-C stops an answer.

Answers alone are on the output; all else is on the error stream. How text is typed and shown is told elsewhere.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from msgspec.structs import replace

from undiced.cli.report import writing
from undiced.cli.settings import changed, settings
from undiced.cli.showing import showing, thinking
from undiced.cli.typing_in import FENCE, Typing
from undiced.cli.window import Message, first_kept
from undiced.core.errors import ContextLengthError, InvalidRequestError, UndicedError
from undiced.core.printable import printable
from undiced.core.usual import CHAT_TOKENS, reserved

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

    from undiced.llm import LLM
    from undiced.outputs import Completion
    from undiced.params import SamplingParams

_HELP = f"""/reset           starts again
/system TEXT     sets the system prompt
/set NAME VALUE  changes a number: /set temperature 0.5; default takes it back
/show            shows the numbers, the system prompt, the length so far
/continue        goes on with an answer that was cut
/save FILE       writes the conversation: text, or JSON if it ends in .json
/exit            leaves, as Ctrl-D does
{FENCE} begins and ends a message of several lines.
A line that ends in \\ goes on in the next one.
Ctrl-C stops an answer, and drops what is typed."""


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
        typing = Typing(by_lines=self.as_json)
        while (text := typing.message()) is not None and text not in ("/exit", "/quit", "/bye"):
            self.take(text)

    def tell(self, text: str) -> None:
        """Something for the person who types; scripts do not want it."""
        from undiced.cli.terminal import folded

        if not self.as_json:
            typer.secho(folded(printable(text), sys.stderr), fg="bright_black", err=True)

    def take(self, line: str) -> None:
        """Obey a command or answer a message."""
        word, _, rest = line.partition(" ")
        commands: dict[str, Callable[[str], None]] = {
            "/reset": self._reset,
            "/system": self._set_system,
            "/set": self._set,
            "/show": self._show,
            "/save": self._save,
            "/continue": lambda _: self.go_on(),
        }
        if word in commands:
            try:
                commands[word](rest.strip())
            except UndicedError as error:
                self._refuse(error)
        elif word.startswith("/") and word[1:].isalpha() and word == line:
            self.tell(_HELP)
        else:
            self.answer(line)

    def _reset(self, rest: str) -> None:
        self.messages.clear()
        self.left_out, self.cut = 0, False
        self.tell("A new conversation.")

    def _set_system(self, rest: str) -> None:
        self.system = rest
        self.tell("The system prompt is set." if self.system else "No system prompt.")

    def _set(self, rest: str) -> None:
        self.params = changed(self.params, rest)
        self._show(rest)

    def _show(self, rest: str) -> None:
        name = rest.partition(" ")[0].replace("-", "_")
        for each, value in settings(self.params, self.llm.chat_defaults):
            if not name or each == name:
                self.tell(f"{each:16}{value}")
        if not name:
            told = sum(len(message["content"]) for message in self.messages)
            self.tell(f"{'system':16}{self.system or 'none'}")
            self.tell(f"{'messages':16}{len(self.messages)}, {told:,} characters; context {self.llm.context:,} tokens")

    def _save(self, rest: str) -> None:
        """Write what was said to a new file.

        Raises:
            InvalidRequestError: no file is named. CannotWriteError: it is there already, or can't be written.
        """
        if not rest:
            raise InvalidRequestError("No file is named.", remedy="Name one, as in /save talk.txt.")
        path = Path(rest).expanduser()
        with writing(path), path.open("x", encoding="utf-8") as file:
            file.write(_as_json(self._whole()) if path.suffix == ".json" else _as_text(self._whole()))
        self.tell(f"Saved to {path}.")

    def _whole(self) -> list[Message]:
        return [*self._opening(), *self.messages]

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
        answer, stopped = None, False
        try:
            silent = self.as_json
            with interruptible() as interrupted, showing(silent=silent) as show, thinking(silent=silent) as think:
                told, params = self._fitting(resume)
                for piece, so_far in self.llm.stream(told, params, resume=resume):
                    answer = so_far
                    think(so_far.reasoning, piece)
                    show(piece)
                    if interrupted:
                        stopped = True
                        break
        except UndicedError as error:
            self._refuse(error)
            return None
        assert answer is not None
        self._account(answer, stopped)
        return answer.text

    def _refuse(self, error: UndicedError) -> None:
        from undiced.cli.terminal import code_of, emit, error_object, folded

        typer.secho(folded(f"error: {printable(str(error))}", sys.stderr), fg="red", err=True)
        if self.as_json:
            emit(error_object(code_of(error), error.message, error.remedy))

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
        self.tell(said)

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


def _as_json(messages: Sequence[Message]) -> str:
    import json

    return json.dumps(messages, ensure_ascii=False, indent=1) + "\n"


def _as_text(messages: Sequence[Message]) -> str:
    return "\n\n".join(f"{message['role']}: {message['content']}" for message in messages) + "\n"


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
