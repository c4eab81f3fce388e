"""Call: one request for text on its way from its body to its answer: read, admitted, its prompts made into choices.

Knows neither endpoint's fields.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar
from urllib.parse import quote

from undiced.api.answer import Answer
from undiced.api.caller import caller_of, org_of, salted
from undiced.api.choice import Choice
from undiced.api.chunks import Head
from undiced.api.meter import Wanted, metering
from undiced.api.schemas import Asking
from undiced.api.service_class import priority_of
from undiced.api.stream import AnswerResponse, Form
from undiced.serve import Request
from undiced.text import Fold, FoldOptions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from starlette.requests import Request as HttpRequest
    from starlette.responses import Response

    from undiced.account.keyring import Caller
    from undiced.api.deployment import Deployment
    from undiced.api.schemas import ChatBody
    from undiced.api.service import Service
    from undiced.api.validate import Job
    from undiced.api.writer import Writer
    from undiced.serve.guide import Guide
    from undiced.text.fold import Channels

    Endpoint = Callable[[HttpRequest], Awaitable[Response]]

IGNORED_HEADER = "x-undiced-ignored-fields"
TAG = "undiced.tag"  # the member of an ASGI scope in which a layer in front of the application says whose request it is
_IGNORED_SHOWN = 32
_NAME_CHARS = 64
Wire = TypeVar("Wire", bound=Asking)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt that was tokenized.

    Attributes:
        field: of the request that it came in.
        echo: text that goes before the generated text.
        continues: the generated text goes on where the prompt ended.
        guide: what its answers are held to.
        channels: tells the channels of an answer apart; made anew for each.
        expected: tokens that its answers are expected to share much with.
    """

    ids: list[int]
    field: str
    echo: str = ""
    continues: bool = False
    guide: Guide | None = None
    channels: Callable[[], Channels] | None = None
    expected: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Call(Generic[Wire]):
    """See the file's head.

    Attributes:
        unknown: names that nobody knows, of members and of the query.
        tag: whose request it is; goes with every sequence. caller: who asks; None where nobody has to say it.
        started_s: `time.perf_counter` when it arrived.
    """

    service: Service
    deployment: Deployment
    wire: Wire
    unknown: tuple[str, ...]
    request_id: str
    tag: str
    caller: Caller | None
    started_s: float

    def choices(self, job: Job, name: str, prompt: Prompt, first: int = 0) -> list[Choice]:
        """The choices of a prompt, numbered from `first`; `name` begins the ids of their sequences.

        Raises:
            InvalidRequestError: the prompt is empty. ContextLengthError: it does not fit.
        """
        tokenizer = self.deployment.tokenizer
        room = self.deployment.prompts.room(len(prompt.ids), job.max_tokens, prompt.field)
        sequence = Request(
            id=name,
            prompt=tuple(prompt.ids),
            max_tokens=room if job.usual_tokens is None else min(room, job.usual_tokens),
            sampling=job.sampling,
            eos_ids=tuple(sorted(tokenizer.eos_ids)),
            stop_token_ids=job.stop_ids,
            ignore_eos=job.ignore_eos,
            priority=priority_of(job.service_class, self.caller),
            cache_salt=salted(org_of(self.caller), job.cache_salt),
            account=org_of(self.caller),
            tag=self.tag,
            prompt_logprobs=job.sampling.logprobs if job.scored else -1,
            guide=prompt.guide,
            expected=tuple(prompt.expected),
        )
        options = FoldOptions(
            stops=job.stops,
            stop_names=job.stop_names,
            include_stop=job.include_stop,
            skip_special=job.skip_special,
            continues=prompt.continues,
            min_tokens=job.sampling.min_tokens,
            logprobs=job.sampling.logprobs >= 0,
            echo=prompt.echo,
            prompt=sequence.prompt if job.scored else (),
            stop_row=job.scored,
        )
        return [
            Choice(index, copy, Fold(tokenizer, options, index=index, channels=prompt.channels and prompt.channels()))
            for index, copy in enumerate(sequence.copies(job.n), first)
        ]

    def translated(self, wire: ChatBody, unknown: tuple[str, ...]) -> Call[ChatBody]:
        """The same as a chat request."""
        asked = (self.request_id, self.tag, self.caller, self.started_s)
        return Call(self.service, self.deployment, wire, unknown, *asked)

    def answer(self, job: Job, name: str, choices: list[Choice], writer: Callable[[Head], Writer]) -> AnswerResponse:
        """The response that runs the choices."""
        card = self.deployment.card
        prompt_tokens = sum(len(choice.request.prompt) for choice in choices[:: job.n])
        usage = (job.include_usage, job.continuous_usage)
        head = Head(name, card.id, card.fingerprint, time.time(), prompt_tokens, *usage, job.service_class)
        ignored = self.unknown + (() if job.form is None else job.form.ignored)
        headers = {IGNORED_HEADER: ignored_header(ignored)} if ignored else {}
        form = Form(self.request_id, headers, stream=job.stream)
        answer = Answer(self.service, self.deployment, choices, self.started_s, org_id=org_of(self.caller))
        most = max(one.request.max_tokens for one in choices)
        wanted = Wanted(self.request_id, card.id, prompt_tokens, most, len(choices), job.service_class or "default")
        return AnswerResponse(answer, writer(head), form, metering(self.service.meter, self.caller, wanted))


def holding(endpoint: Endpoint) -> Endpoint:
    """An endpoint that holds its request's memory until it has made a response."""

    async def held(request: HttpRequest) -> Response:
        service: Service = request.app.state.service
        with service.bodies.budget.hold() as request.scope["undiced.held"]:
            return await endpoint(request)

    return held


async def receive(request: HttpRequest, kind: type[Wire]) -> Call[Wire]:
    """Read a request's body and find the model that it asks for, at an endpoint that is `holding`.

    Raises:
        InvalidRequestError: the body is too large, late, or not what `kind` says.
        UnavailableError: too many large requests are held, or as `Service.admit`.
        ModelNotFoundError, PermissionDeniedError: as that.
    """
    started_s = time.perf_counter()
    service: Service = request.app.state.service
    wire, unknown = await service.bodies.load(request, kind, request.scope["undiced.held"])
    scope = request.scope
    caller = caller_of(scope)
    deployment = service.admit(wire.model or "", caller)
    unknown += tuple(f"?{name}" for name in request.query_params)
    asked = (scope["undiced.request_id"], scope.get(TAG, ""), caller, started_s)
    return Call(service, deployment, wire, unknown, *asked)


def ignored_header(names: tuple[str, ...]) -> str:
    """Names of what was skipped, for a header: percent-encoded, the first 64 characters of each, at most 32 and then
    `+N` for N more.
    """
    shown = [quote(name[:_NAME_CHARS], safe="[]?") for name in names[:_IGNORED_SHOWN]]
    return ",".join(shown + [f"+{len(names) - _IGNORED_SHOWN}"] * (len(names) > _IGNORED_SHOWN))
