"""A scripted engine, a byte tokenizer and a caller that speaks ASGI without a socket."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from undiced.api.app import build_app
from undiced.api.deployment import Deployment, ModelCard
from undiced.api.exchange import OUTLET
from undiced.api.service import Service
from undiced.api.settings import Settings
from undiced.core.errors import EngineError, UndicedError
from undiced.remote.client import Health
from undiced.remote.stream import Take
from undiced.remote.way import Meter, Way
from undiced.serve import Delta, EngineStats, Request, UsageEvent
from undiced.text.formats import Dialect

EOS, BOS = 256, 257
SCRIPT = "Hello there, wörld 🎉!"


class ByteTokenizer:
    """One token a byte, then the end and beginning of text."""

    vocab_size = 258
    bos_id = BOS
    eos_ids = frozenset({EOS})
    add_bos = False
    space_prefix = False
    control = frozenset({EOS, BOS})

    def encode(self, text: str, *, special: bool = False, continuation: bool = False) -> list[int]:
        return list(text.encode())

    def decode(self, ids: Iterable[int]) -> str:
        return b"".join(map(self.token_bytes, ids)).decode("utf-8", "replace")

    def id_of(self, name: str) -> int | None:
        return {"<eos>": EOS, "<bos>": BOS}.get(name)

    def token_bytes(self, token: int) -> bytes:
        return bytes([token]) if token < 256 else b""

    def token_text(self, token: int) -> str:
        return {EOS: "<eos>", BOS: "<bos>"}.get(token) or self.token_bytes(token).decode("utf-8", "replace")


class LineChat:
    """`role: content`, a line per message."""

    def pieces(self, messages, options=None) -> list[str]:
        return ["".join(f"{m['role']}: {self.said(m['content'])}\n" for m in messages) + "assistant: "]

    def said(self, content) -> str:
        return "\n".join(part["text"] for part in content) if isinstance(content, list) else content or ""


@dataclass
class ScriptedEngine:
    """Answers every request with `text`, or the tokens that `script` gives, `per_delta` at a time.

    Attributes:
        fail_at: raise `error` after this many tokens. hang_at: say nothing more after this many tokens.
        foretold: tokens of a prediction that were tried, and those that were right.
        cuts: finish calls seen. cancelled: ids cancelled.
    """

    name: str = "m"
    text: str = SCRIPT
    script: Callable[[Request], list[int]] | None = None
    per_delta: int = 1
    fail_at: int | None = None
    hang_at: int | None = None
    error: UndicedError | None = None
    delay_s: float = 0.0
    foretold: tuple[int, int] = (0, 0)
    submitted: list[Request] = field(default_factory=list)
    cuts: dict[str, tuple[int, str]] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    thoughts_ended: list[str] = field(default_factory=list)
    ended: list[UsageEvent] = field(default_factory=list)
    on_usage: Callable[[UsageEvent], None] = lambda _: None
    health: Health = field(default_factory=lambda: Health("ready", 1.0, "", 0))

    def submit(self, request: Request, take: Take) -> ScriptedSequence:
        sequence = ScriptedSequence(self, request.id)
        sequence.task = asyncio.create_task(sequence.hand(self.deltas(request), take))
        return sequence

    async def deltas(self, request: Request) -> AsyncIterator[Delta]:
        """What is said of a request."""
        self.submitted.append(request)
        if self.error is not None and self.fail_at is None:
            raise self.error
        if request.embeds:  # the first bytes of the prompt stand for what the model makes of it
            hidden = struct.pack("<4f", *(request.prompt * 4)[:4])
            yield Delta(request.id, finish_reason="stop", usage=self._usage(request, "stop", 0), hidden=hidden)
            return
        tokens = (list(self.text.encode()) if self.script is None else self.script(request))[: request.max_tokens]
        stop = len(tokens) < request.max_tokens
        if stop:
            tokens.append(EOS)
        sent, reason = 0, "cancelled" if tokens else "length"
        for some, values in self._scores(request):
            yield Delta(request.id, prompt_logprobs=some, prompt_top=values)
        while sent < len(tokens):
            if request.id in self.cuts or request.id in self.cancelled:
                break
            if self.fail_at is not None and sent >= self.fail_at and self.error is not None:
                raise self.error
            if self.hang_at is not None and sent >= self.hang_at:
                while request.id not in self.cancelled:
                    await asyncio.sleep(0.005)
                break
            await asyncio.sleep(self.delay_s)
            some = tokens[sent : sent + self.per_delta]
            sent += len(some)
            rows = [-0.5] * len(some) if request.sampling.logprobs >= 0 else []
            top = (
                [[(t, -0.5), (65, float("-inf"))][: request.sampling.logprobs] for t in some]
                if request.sampling.logprobs > 0
                else []
            )
            if sent < len(tokens):
                yield Delta(request.id, some, rows, top)
                reason = "cancelled"
            else:
                reason = "stop" if stop else "length"
                yield Delta(request.id, some, rows, top, reason, EOS if stop else None)
        sent, reason = self.cuts.get(request.id, (sent, reason))
        yield Delta(request.id, [], [], [], reason, None, self._usage(request, reason, sent))

    def _scores(self, request: Request) -> Iterator[tuple[list[float], list]]:
        """Of the prompt's tokens from the second on: -1/100 of the token itself; two of them at a time."""
        most = request.prompt_logprobs
        scored = [] if most < 0 else list(request.prompt[1:])
        for at in range(0, len(scored), 2):
            some = scored[at : at + 2]
            top = [[(t, -t / 100), (65, -9.0)][:most] for t in some] if most > 0 else []
            yield [-t / 100 for t in some], top

    def _usage(self, request: Request, reason, count: int) -> UsageEvent:
        prompt, shared = len(request.prompt), request.prompt_shared
        event = UsageEvent(request.id, reason, prompt, 3, count, 0.001, 0.01, 0.1, 2.5, "host", shared, request.tag,
                           *self.foretold, *self.foretold)  # fmt: skip
        self.ended.append(event)
        self.on_usage(event)
        return event

    def stats(self) -> EngineStats:
        return EngineStats(running=1, waiting=2, pages=10, pages_used=4, pages_cached=1)


@dataclass
class ScriptedSequence:
    """A sequence of a scripted engine: hands out its deltas one after another."""

    engine: ScriptedEngine
    name: str
    flows: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    async def hand(self, deltas: AsyncIterator[Delta], take: Take) -> None:
        self.flows.set()
        try:
            async for delta in deltas:
                await self.flows.wait()
                if delta.usage is not None or self.name not in self.engine.cancelled:
                    take(delta)
        except UndicedError as error:
            take(error)
        except Exception as bug:  # of a script: an engine that breaks tells so
            take(EngineError(f"The script failed: {bug!r}."))

    said_s = 0.0

    def express(self, way: Way, text: bytes, meter: Meter | None = None) -> bool:
        return False

    def settle(self) -> None:
        pass

    def pause(self) -> None:
        self.flows.clear()

    def resume(self) -> None:
        self.flows.set()

    def finish(self, at_token: int, reason: str = "stop") -> None:
        self.engine.cuts[self.name] = (at_token, reason)

    def cancel(self, at_token: int) -> None:
        self.engine.cancelled.append(self.name)
        self.engine.cuts.setdefault(self.name, (at_token, "cancelled"))
        self.flows.set()

    def end_thought(self) -> None:
        self.engine.thoughts_ended.append(self.name)


@dataclass
class Reply:
    """One HTTP response as it went over ASGI."""

    status: int
    headers: dict[str, str]
    writes: list[bytes]

    @property
    def body(self) -> bytes:
        return b"".join(self.writes)

    @property
    def json(self) -> dict:
        return json.loads(self.body)

    @property
    def events(self) -> list:
        """Decoded data lines; comments are left out, [DONE] stays a string."""
        lines = [block for block in self.body.decode().split("\n\n") if block and not block.startswith(":")]
        assert all(line.startswith("data: ") and "\n" not in line for line in lines)
        return [line[6:] if line[6:] == "[DONE]" else json.loads(line[6:]) for line in lines]

    @property
    def told(self) -> dict[int, tuple[int, str | None]]:
        """For each choice of a completion with log-probabilities: how many tokens have a row, and its finish reason."""
        streamed = self.headers["content-type"].startswith("text/event-stream")
        seen: dict[int, tuple[int, str | None]] = {}
        for event in self.events if streamed else [self.json]:
            for choice in event.get("choices", []) if isinstance(event, dict) else []:
                rows, finish = seen.get(choice["index"], (0, None))
                rows += len((choice["logprobs"] or {"tokens": []})["tokens"])
                seen[choice["index"]] = (rows, choice["finish_reason"] or finish)
        return seen


@dataclass
class SlowOutlet:
    """An outlet whose client takes some turns of the event loop for each write."""

    write: Callable[[bytes], None]
    turns: int
    ready: Callable[[], None] = lambda: None

    def put(self, body: bytes) -> bool:
        self.write(body)
        if self.turns:
            self.wait(self.turns)
        return not self.turns

    def direct(self, settle: Callable[[], None]) -> None:
        """Nothing goes past it."""

    def wait(self, turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self.wait, turns - 1)
        else:
            self.ready()


@dataclass
class Caller:
    """Calls an ASGI application. `leave_after`: the client disconnects once it has seen that many writes.
    `turns_per_write`: turns of the event loop that each write of a stream takes."""

    app: object
    service: Service
    engine: ScriptedEngine

    @property
    def deployment(self) -> Deployment:
        """The first of the models."""
        return self.service.deployments[0]

    def __call__(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None, **options: object
    ) -> Reply:
        return asyncio.run(self.call(method, path, body, headers, **options))

    def post(self, path: str, body: object, **options: object) -> Reply:
        return self("POST", path, body, **options)

    def chat(self, **fields: object) -> Reply:
        return self.post(
            "/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
        )

    def complete(self, **fields: object) -> Reply:
        return self.post("/v1/completions", {"model": "m", "prompt": "hi", "max_tokens": -1, **fields})

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: dict[str, str] | None = None,
        leave_after: int | None = None,
        query: bytes = b"",
        turns_per_write: int = 0,
    ) -> Reply:
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        reply, gone, given = Reply(0, {}, []), asyncio.Event(), False
        done = False

        async def receive() -> dict:
            nonlocal given
            if not given:
                given = True
                return {"type": "http.request", "body": raw, "more_body": False}
            if leave_after == 0:
                return {"type": "http.disconnect"}
            await gone.wait()
            return {"type": "http.disconnect"}

        def write(body: bytes) -> None:
            assert reply.status and not done, "a body outside the response"
            if body:
                reply.writes.append(body)
            if leave_after is not None and len(reply.writes) >= leave_after:
                gone.set()

        async def send(message: dict) -> None:
            nonlocal done
            if message["type"] == "http.response.start":
                assert not reply.status, "the response was started twice"
                reply.status = message["status"]
                reply.headers = {name.decode(): value.decode() for name, value in message["headers"]}
                return
            write(message.get("body", b""))
            done = not message.get("more_body", False)
            for _ in range(turns_per_write if not done else 0):
                await asyncio.sleep(0)

        fields = [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
        }
        scope |= {
            "query_string": query,
            "root_path": "",
            "scheme": "http",
            "headers": fields,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        scope[OUTLET] = SlowOutlet(write, turns_per_write)
        await self.app(scope, receive, send)  # type: ignore[operator]
        assert done, "the response was never finished"
        return reply


def build_caller(
    settings: Settings | None = None,
    chat: object = LineChat,
    context: int = 1000,
    aliases: tuple[str, ...] = ("org/m",),
    sampling: Mapping[str, float] = MappingProxyType({}),
    dialect: Dialect | None = None,
    **script: object,
) -> Caller:
    """A caller of an application around a scripted engine; keywords go to the engine. `chat`: an encoder, the type of
    one, or None.
    """
    engine, tokenizer, settings = ScriptedEngine(**script), ByteTokenizer(), settings or Settings()  # type: ignore[arg-type]
    deployment = Deployment(
        engine=engine,
        tokenizer=tokenizer,
        chat=chat() if isinstance(chat, type) else chat,  # type: ignore[arg-type]  # none is shared by two callers
        card=ModelCard(engine.name, 1_700_000_000, context, "digest", aliases=aliases, sampling=sampling),
        settings=settings,
        dialect=dialect or Dialect(),
    )
    service = Service([deployment], settings)
    engine.on_usage = service.metrics.of(engine.name).ended
    return Caller(build_app(service), service, engine)
