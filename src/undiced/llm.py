"""LLM: a model in this process, for Python programs and the command line. A composition root: it may import everything.

The same engine loop that serves requests runs here, on the callers' threads.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from undiced.asking import Messages, Prompt, conversation, is_ids, is_messages, params_of, plain, talks
from undiced.compiled import Progress, compile_draft, compile_for_host, config_of
from undiced.core.collection import all_stays
from undiced.core.errors import ContextLengthError, InvalidRequestError, NoChatTemplateError
from undiced.core.usual import CHAT_TOKENS, LIKELIEST, TEXT_TOKENS, chat_defaults, chat_numbers
from undiced.loaded import load
from undiced.params import SamplingParams as SamplingParams
from undiced.params import StructuredOutputsParams
from undiced.tokenized import Tokenized, output_of

if TYPE_CHECKING:
    from undiced.answer import Answer
    from undiced.model.config import ModelConfig
    from undiced.outputs import Completion, RequestOutput
    from undiced.serve import Request
    from undiced.serve.guide import Guide
    from undiced.text import ChatEncoder
    from undiced.text.formats import Dialect

DEFAULT_MODEL = "smollm2-135m"


class LLM:
    """A model, resident and ready. Threads may share it: what they ask at the same time runs together.

    Args:
        model: catalog name, GGUF file, Hugging Face folder, or a model of the hub as in org/name@revision.
        threads: cores to use; all by default.
        max_batch: sequences that run together; more wait.
        max_context: positions a sequence may reach.
        kv_type: how keys and values are kept: f16, or int8 in about half the memory, which changes answers slightly.
        speculate: guess tokens ahead where a text repeats itself. Answers are the same, sooner.
        draft: a smaller model of the same vocabulary that guesses too; where that does not pay it rests.
        progress: called with (bytes, bytes in all) while fetching and while packing weights.
        tool_format, thinking_format: how the model writes calls and thoughts, where its chat template doesn't tell;
            `none` is none.

    Raises:
        InvalidRequestError: there is no such format or KV type.
        UndicedError: as `compile_for_host`.
    """

    def __init__(
        self,
        model: str | Path = DEFAULT_MODEL,
        *,
        threads: int | None = None,
        max_batch: int = 8,
        max_context: int | None = None,
        kv_type: str = "f16",
        speculate: bool = True,
        draft: str | Path | None = None,
        progress: Progress | None = None,
        tool_format: str = "",
        thinking_format: str = "",
    ) -> None:
        if draft is not None and not speculate:
            raise InvalidRequestError("A draft model guesses, and speculate=False forbids it.", remedy="Leave one out.")
        if tool_format or thinking_format:
            from undiced.text.formats import check_names

            check_names(tool_format, thinking_format)
        self._formats = (tool_format, thinking_format)
        with all_stays():
            from undiced.checkpoint import own_sampling

            compiled = compile_for_host(
                model,
                threads=threads,
                max_batch=max_batch,
                max_context=max_context,
                kv_type=kv_type,
                progress=progress,
            )
            guessing = None if draft is None else compile_draft(draft, compiled, progress=progress)
            self.program, self._described = compiled.program, compiled.described
            self._own_sampling = own_sampling(compiled.checkpoint)
            loaded = load(compiled, guessing, speculate=speculate, progress=progress)
            from undiced.serve.shared import SharedLoop

        self._engine, self.tokenizer, self._template = loaded.engine, loaded.tokenizer, loaded.template
        self._loop = SharedLoop(self._engine)
        self._opening = threading.Lock()
        self._ids = itertools.count()

    @cached_property
    def config(self) -> ModelConfig:
        """The model's dimensions."""
        return config_of(self._described)

    @property
    def context(self) -> int:
        """Positions a sequence may reach, prompt and answer together."""
        return self._loop.limits.context

    @property
    def chat_defaults(self) -> dict[str, float]:
        """What a chat is answered with where nothing else is said, by the names of `SamplingParams`."""
        return chat_defaults(self._own_sampling)

    @property
    def can_chat(self) -> bool:
        """Whether the model has a chat template that can be used."""
        return self._chat is not None and not self._chat.problem

    @property
    def chat_problem(self) -> str:
        """Why the chat template that the model has can't be used; empty if it can, or there is none."""
        return "" if self._chat is None else self._chat.problem

    @cached_property
    def _chat(self) -> ChatEncoder | None:
        """What makes prompts of conversations; None for a base model."""
        if self._template is None:
            return None
        from undiced.text.prompt import ChatEncoder

        return ChatEncoder(self._template, self.tokenizer)

    @cached_property
    def _dialect(self) -> Dialect:
        """How the model writes thoughts and calls."""
        from undiced.text.formats import Dialect

        return Dialect() if self._chat is None else self._chat.dialect(self.config.family, *self._formats)

    def generate(
        self,
        prompts: Prompt | Sequence[Prompt],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        schema: object = None,
        use_tqdm: bool = False,
    ) -> list[RequestOutput]:
        """Continues one or several prompts together; what comes back is in the prompts' order.

        Args:
            prompts: texts or token ids, or either in a dictionary: {"prompt": ...}, {"prompt_token_ids": ...}.
            sampling_params: for all prompts, or one for each.
            schema: of the JSON documents that the answers shall be; see `StructuredOutputsParams.json`.
            use_tqdm: show on the error stream how many answers are complete, if it takes longer than a moment.

        Raises:
            InvalidRequestError, ContextLengthError: a prompt that can't be run.
            NonFiniteLogitsError: the model computes no numbers for one of the prompts; the others are given up.
            EngineError: the engine failed.
        """
        one = isinstance(prompts, (str, bytes, Mapping)) or is_ids(prompts)
        many: list[Prompt] = [prompts] if one else list(prompts)  # type: ignore[arg-type, list-item]
        asked = [plain(prompt) for prompt in many]
        texts = [prompt if isinstance(prompt, str) else None for prompt in asked]
        ids = [self._ids_of(prompt) for prompt in asked]
        given = [Tokenized(*pair) for pair in zip(texts, ids, strict=True)]
        return self._run(given, params_of(sampling_params, len(ids), schema), shown=use_tqdm)

    def chat(
        self,
        messages: str | Messages | Sequence[str | Messages],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        schema: object = None,
        tools: Sequence[Mapping[str, object]] | None = None,
        tool_choice: str | Mapping[str, object] | None = None,
        parallel_tool_calls: bool | None = None,
        reasoning_effort: str | None = None,
        reasoning_max_tokens: int | None = None,
        chat_template_kwargs: Mapping[str, object] | None = None,
        use_tqdm: bool = False,
    ) -> list[RequestOutput]:
        """Answers a message or a conversation of {"role", "content"} messages, or several together; else as `generate`.

        Args:
            tools: functions that the model may call, as the HTTP API has them; calls are in `tool_calls` of an answer.
            tool_choice, parallel_tool_calls, reasoning_effort, reasoning_max_tokens, chat_template_kwargs: as the
                members of that name of the HTTP API.

        Raises:
            NoChatTemplateError: a base model; use `generate`.
            UnsupportedError: the model can't call functions, or can't think as asked.
        """
        given = {
            "tools": tools,
            "tool_choice": tool_choice,
            "parallel_tool_calls": parallel_tool_calls,
            "reasoning_effort": reasoning_effort,
            "reasoning_max_tokens": reasoning_max_tokens,
            "chat_template_kwargs": chat_template_kwargs,
        }
        chats = [self._chat_prompt(chat, given) for chat in talks(messages)]
        return self._run(chats, params_of(sampling_params, len(chats), schema), shown=use_tqdm)

    def stream(
        self, prompt: Prompt | Messages, sampling_params: SamplingParams | None = None, *, resume: bool = False
    ) -> Iterator[tuple[str, Completion]]:
        """Yields (new text, the answer so far) as tokens come; closing the iterator cancels the rest.

        Args:
            prompt: messages are answered, a text or token ids continued.
            resume: go on with the last message, an answer that a limit cut.
        """
        if is_messages(prompt):
            asked = self._chat_prompt(prompt, {}, resume)  # type: ignore[arg-type]
        else:
            asked = Tokenized(None, self._ids_of(plain(prompt)))  # type: ignore[arg-type]
        params = sampling_params or SamplingParams()
        if params.n != 1:
            raise InvalidRequestError("A stream has one answer.", remedy="Leave n out, or use generate.", param="n")
        [answer] = self._answers(asked, params, continues=resume or asked.talk is None)
        with closing(self._loop.run([answer.request])) as deltas:
            for delta in deltas:
                yield answer.take(delta), answer.completion

    def chat_ids(self, messages: str | Messages, *, resume: bool = False) -> list[int]:
        """Token ids of a conversation, ready to be answered, or to be gone on with in its last message.

        Raises:
            NoChatTemplateError: a base model, or its template cannot be used.
            InvalidRequestError: the template refuses the messages or leaves out what they say.
            ContextLengthError: they can't fit.
        """
        return self._chat_prompt(messages, {}, resume).ids

    def close(self) -> None:
        """Stops the threads and frees the weights; idempotent."""
        self._loop.close()
        if (chat := self.__dict__.get("_chat")) is not None:
            chat.close()

    def __enter__(self) -> LLM:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, prompts: list[Tokenized], params: list[SamplingParams], *, shown: bool) -> list[RequestOutput]:
        pairs = zip(prompts, params, strict=True)
        asked = [self._answers(prompt, one, continues=prompt.talk is None) for prompt, one in pairs]
        by_id = {answer.request.id: answer for answers in asked for answer in answers}
        requests, done = [answer.request for answer in by_id.values()], 0
        with _telling(shown) as tell, closing(self._loop.run(requests)) as deltas:
            for delta in deltas:
                by_id[delta.request_id].take(delta)
                if delta.usage is not None:
                    done += 1
                    tell(done / len(by_id), f"Answers, {done} of {len(by_id)}")
        return [output_of(*pair) for pair in zip(prompts, asked, strict=True)]

    def _chat_prompt(self, messages: str | Messages, given: Mapping[str, object], resume: bool = False) -> Tokenized:
        """The prompt of a conversation. given: members of a chat request."""
        if self._chat is None:
            raise NoChatTemplateError(
                f"{self.program.model} is a base model without a chat template.",
                remedy="Use `generate` instead, or an instruction-tuned model.",
            )
        if self._chat.problem:
            raise NoChatTemplateError(
                f"{self.program.model} cannot chat. {self._chat.problem}", remedy="Use `generate` instead."
            )
        from undiced.talk import check_calls, talk_of
        from undiced.text.pieces import encode_pieces

        said = conversation(messages)
        check_calls(said)
        talk = talk_of(self._dialect, given, resume=resume)
        with self._fitting():
            pieces = self._chat.pieces(said, talk.options)
            last = said[-1].get("content") if resume else ""
            ids = encode_pieces(self.tokenizer, pieces, self.context)
            return Tokenized("".join(pieces), ids, talk, last if isinstance(last, str) else "")

    def _ids_of(self, prompt: str | Sequence[int]) -> list[int]:
        if not isinstance(prompt, str):
            ids = list(prompt)
            if isinstance(prompt, bytes) or not all(type(token) is int for token in ids):
                raise InvalidRequestError("A prompt is a text or a list of token ids.", param="prompt")
            return ids
        from undiced.text.pieces import encode_pieces

        with self._fitting():
            return self.tokenizer.begun(encode_pieces(self.tokenizer, [prompt], self.context))

    @contextmanager
    def _fitting(self) -> Iterator[None]:
        """Whatever a text or a template's print has of tokens, no more are looked for than show that it can't fit."""
        from undiced.text.pieces import TooManyTokensError

        try:
            yield
        except TooManyTokensError as error:
            raise ContextLengthError(
                f"The context holds {self.context} tokens, but the prompt has more than {error.count}.",
                remedy=self._shorter,
                param="prompt",
            ) from None

    @property
    def _shorter(self) -> str:
        """What to do about a prompt that is too long."""
        own = self.config.context
        more = f", or load the model with a larger max_context (it can take {own})" if own > self.context else ""
        return f"Shorten the prompt{more}."

    def _answers(self, prompt: Tokenized, params: SamplingParams, *, continues: bool) -> list[Answer]:
        """As many as `n`, ready to be run. `continues`: their text goes on where the prompt ended."""
        from undiced.answer import Answer
        from undiced.serve.request import check
        from undiced.text import FoldOptions

        request = self._request(prompt, params)
        check(request, self._loop.limits)
        options = FoldOptions(
            stops=params.stops,
            include_stop=params.include_stop_str_in_output,
            skip_special=params.skip_special_tokens,
            continues=continues,
            min_tokens=params.min_tokens,
        )
        text, talk = prompt.text or "", prompt.talk
        channels = None if talk is None else talk.hear(text, prompt.said, stops=bool(params.stops))
        return [
            Answer(self._loop, self.tokenizer, copy, options, index, channels and channels())
            for index, copy in enumerate(request.copies(params.n))
        ]

    def _request(self, prompt: Tokenized, params: SamplingParams) -> Request:
        from undiced.serve import Request

        ids, talk = prompt.ids, prompt.talk is not None
        return Request(
            id=f"llm-{next(self._ids)}",
            prompt=tuple(ids),
            max_tokens=params.limit(self.context - len(ids), CHAT_TOKENS if talk else TEXT_TOKENS),
            sampling=params.sampling(chat_numbers(self._own_sampling) if talk else LIKELIEST),
            eos_ids=tuple(self.tokenizer.eos_ids),
            stop_token_ids=tuple(params.stop_token_ids or ()),
            ignore_eos=params.ignore_eos,
            prompt_logprobs=-1 if params.prompt_logprobs is None else params.prompt_logprobs,
            guide=self._guide(prompt, params.structured_outputs),
        )

    def _guide(self, prompt: Tokenized, form: StructuredOutputsParams | None) -> Guide | None:
        """What the engine holds an answer to, compiled."""
        from undiced.serve.guide import Guide

        grammar = "" if form is None else form.grammar_text()
        if prompt.talk is None:
            guide = Guide(grammar) if grammar else None
        else:
            guide = prompt.talk.guide(grammar, prompt.text or "", prompt.said, self._marks)
        if guide is not None and guide.grammar:
            self._compile(guide.grammar)
        return guide

    def _marks(self, text: str) -> list[int]:
        """Token ids of a text with marks."""
        return self.tokenizer.encode(text, special=True, continuation=True)

    def _compile(self, grammar: str) -> None:
        from undiced.grammars import grammars_of

        with self._opening:
            if self._engine.grammars is None:
                self._engine.grammars = grammars_of(self.tokenizer, self._loop.limits.vocab)
        self._engine.grammars.prepare(grammar)


@contextmanager
def _telling(shown: bool) -> Iterator[Callable[[float, str], None]]:
    """Hears which share is done; shows it on the error stream if that is wanted, and loads no terminal otherwise."""
    if not shown:
        yield lambda share, what: None
        return
    from undiced.cli.terminal import Bar

    with Bar("Answers") as bar:
        yield bar.share
