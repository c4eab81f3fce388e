"""`undiced chat`: a conversation in the terminal, in this process. Ctrl-C stops an answer, a second one at the prompt
leaves.
"""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from undiced.cli.options import DEFAULT_MODEL, MaxContext, Model, Seed, Temperature, Threads

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
) -> None:
    """Chat with a model in the terminal."""
    from undiced.cli.terminal import loading
    from undiced.llm import LLM, SamplingParams

    with loading(model) as bar:
        llm = LLM(model, threads=threads, max_batch=1, max_context=max_context, progress=bar)
    with llm:
        llm.chat_ids([{"role": "user", "content": ""}])  # a base model is refused before anybody has typed
        typer.secho(f"{llm.config.name}. {_HELP}", fg="bright_black")
        Conversation(llm, SamplingParams(max_tokens=None, temperature=temperature, seed=seed), system).run()


class Conversation:
    """What was said so far, and the loop that goes on."""

    def __init__(self, llm: LLM, params: SamplingParams, system: str) -> None:
        self.llm = llm
        self.params = params
        self.system = system
        self.messages: list[Message] = []

    def run(self) -> None:
        """Read and answer until the input ends."""
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  gives the prompt line editing and a history
        while True:
            try:
                line = input("\n> ").strip()
            except (EOFError, KeyboardInterrupt):
                typer.echo()
                return
            if line in ("/exit", "/quit", "/bye"):
                return
            if line:
                self.take(line)

    def take(self, line: str) -> None:
        """Obey a command or answer a message."""
        word, _, rest = line.partition(" ")
        if word == "/reset":
            self.messages.clear()
            typer.secho("A new conversation.", fg="bright_black")
        elif word == "/system":
            self.system = rest.strip()
            typer.secho("The system prompt is set." if self.system else "No system prompt.", fg="bright_black")
        elif word.startswith("/") and " " not in word and word[1:].isalpha():
            typer.secho(_HELP, fg="bright_black")
        else:
            self.answer(line)

    def answer(self, line: str) -> None:
        """Stream an answer; an error takes the message back and leaves the conversation usable."""
        from undiced.cli.generate import figures
        from undiced.core.errors import UndicedError

        self.messages.append({"role": "user", "content": line})
        system: list[Message] = [{"role": "system", "content": self.system}] if self.system else []
        answer, stopped = None, False
        try:
            with interruptible() as interrupted:
                for piece, so_far in self.llm.stream([*system, *self.messages], self.params):
                    answer = so_far
                    typer.echo(piece, nl=False)
                    if interrupted:
                        stopped = True
                        break
        except UndicedError as error:
            self.messages.pop()
            typer.secho(f"error: {error}", fg="red", err=True)
            return
        assert answer is not None
        self.messages.append({"role": "assistant", "content": answer.text})
        typer.secho("\nstopped" if stopped else f"\n{figures(answer)}", fg="bright_black")


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
