"""`undiced chat`: a conversation in the terminal, in this process. Ctrl-C stops an answer, a second one at the prompt
leaves.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.options import DEFAULT_MODEL, Json, MaxContext, Model, Seed, Temperature, Threads
from undiced.core.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from undiced.llm import LLM, SamplingParams

_HELP = "/reset starts again, /system TEXT sets the system prompt, /exit or Ctrl-D leaves, Ctrl-C stops an answer."
Message = dict[str, str]


def chat(
    model: Model = DEFAULT_MODEL,
    system: Annotated[str, typer.Option("--system", help="The system prompt.")] = "",
    temperature: Temperature = 0.2,
    seed: Seed = None,
    threads: Threads = None,
    max_context: MaxContext = None,
    as_json: Json = False,
) -> None:
    """Chat with a model in the terminal. With --json, a line of JSON answers each line of input."""
    from undiced.cli.terminal import loading
    from undiced.llm import LLM, SamplingParams

    with loading(model, quiet=as_json) as bar:
        llm = LLM(model, threads=threads, max_batch=1, max_context=max_context, progress=bar)
    with llm:
        llm.chat_ids([{"role": "user", "content": ""}])  # a base model is refused before anybody has typed
        params = SamplingParams(max_tokens=None, temperature=temperature, seed=seed)
        conversation = Conversation(llm, params, system, as_json=as_json)
        conversation.tell(f"{llm.config.name}. {_HELP}")
        conversation.run()


class Conversation:
    """What was said so far, and the loop that goes on."""

    def __init__(self, llm: LLM, params: SamplingParams, system: str, *, as_json: bool = False) -> None:
        self.llm = llm
        self.params = params
        self.system = system
        self.as_json = as_json
        self.messages: list[Message] = []

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
            self.tell("A new conversation.")
        elif word == "/system":
            self.system = rest.strip()
            self.tell("The system prompt is set." if self.system else "No system prompt.")
        elif word.startswith("/") and " " not in word and word[1:].isalpha():
            self.tell(_HELP)
        else:
            self.answer(line)

    def answer(self, line: str) -> None:
        """Stream an answer; an error takes the message back and leaves the conversation usable."""
        from undiced.cli.generate import figures, summary
        from undiced.cli.terminal import emit, error_object
        from undiced.core.errors import UndicedError

        self.messages.append({"role": "user", "content": line})
        system: list[Message] = [{"role": "system", "content": self.system}] if self.system else []
        answer, stopped = None, False
        try:
            with interruptible() as interrupted:
                for piece, so_far in self.llm.stream([*system, *self.messages], self.params):
                    answer = so_far
                    if not self.as_json:
                        typer.echo(printable(piece), nl=False)
                    if interrupted:
                        stopped = True
                        break
        except UndicedError as error:
            self.messages.pop()
            typer.secho(f"error: {error}", fg="red", err=True)
            if self.as_json:
                emit(error_object(error.code, error.message, error.remedy))
            return
        assert answer is not None
        self.messages.append({"role": "assistant", "content": answer.text})
        if self.as_json:
            emit(summary(answer) | ({"finish_reason": "stopped"} if stopped else {}))
        self.tell("\nstopped" if stopped else f"\n{figures(answer)}")


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
