"""Stream: one sequence as the HTTP process sees it: hands deltas to its reader as they come; a machine of seven states.

Knows frames to send, but no socket and no process. While its reader pauses, deltas are merged, so a slow reader costs
one delta of memory and never holds up the engine. Where that delta gets long the engine is asked to hold the sequence,
until it is read: it shall not compute for nobody. Plain tokens may take a short way past it (`express`); whatever is
said or done here closes that way and counts them first.

                accept             end                 read to the end
    SENT ----------------> RUNNING -----> ENDED --------------------------> OVER
     |                        |             |                                 ^
     | cancel, finish         | same        | same                            | read to the end
     v          accept        v      end    v                                 |
    SENT_DEAF -----------> DEAF -------> SETTLED -----------------------------+

`end` is the last delta, or a failure: both also lead there from the states to the left. In the lower row further tokens
are not handed out. The account is told on the way into SETTLED and from ENDED to OVER: once, and only when it is
certain that no `finish` will change it; a sequence that the engine never accepted has none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING

from undiced.core.errors import UndicedError
from undiced.remote.frames import Cancel, EndThought, Finish, Hold
from undiced.serve.delta import Delta
from undiced.serve.usage import FinishReason, UsageEvent

if TYPE_CHECKING:
    from undiced._native import Lane, Relay
    from undiced.remote.way import Meter, Way
    from undiced.serve.request import Request

Take = Callable[[Delta | UndicedError], None]  # hears what becomes of a sequence


class State(Enum):
    """Where a stream stands; see the file's head."""

    SENT = "sent to the engine"
    RUNNING = "accepted by the engine"
    SENT_DEAF = "sent; the reader has left or has enough"
    DEAF = "accepted; the reader has left or has enough"
    ENDED = "the engine has said its last; the reader may not have read it"
    SETTLED = "ended, and accounted for; its end can still be read"
    OVER = "read to the end"


_ACCEPTED = {State.SENT: State.RUNNING, State.SENT_DEAF: State.DEAF}
_LEFT = {State.SENT: State.SENT_DEAF, State.RUNNING: State.DEAF, State.ENDED: State.SETTLED}
_ENDED = {
    State.SENT: State.ENDED,
    State.RUNNING: State.ENDED,
    State.SENT_DEAF: State.SETTLED,
    State.DEAF: State.SETTLED,
}

UNREAD_MOST = 128  # tokens; an engine needs about a second for them
_LISTENING = (State.SENT, State.RUNNING)
_DEAF = (State.SENT_DEAF, State.DEAF)
_RUNNING = State.RUNNING  # looked up once: members of an enumeration are slow


class Stream:
    """Everything about the sequence goes to `take`, one call after another, never from within `submit`.

    The last delta has `usage` and no tokens: whoever takes it has seen all tokens and can no longer `finish`. Of a
    failure `take` gets the error instead, after the tokens that came before it. Nothing follows either.
    Whatever happens, `on_usage` is called exactly once if the engine accepted the sequence.
    """

    def __init__(
        self,
        request: Request,
        take: Take,
        send: Callable[[Cancel | Finish | Hold | EndThought], None],
        on_usage: Callable[[UsageEvent], None],
        now: float,
        relay: Relay | None = None,
    ) -> None:
        """relay: where the engine's frames come in; without it no token takes a short way."""
        self.request = request
        self.state = State.SENT
        self.usage: UsageEvent | None = None
        self._take = take
        self._send = send
        self._on_usage = on_usage
        self._submitted_s = now
        self._first_s: float | None = None
        self._received = 0
        self._handed = 0  # tokens that the reader has got
        self._paused = False
        self._held = False
        self._pending: Delta | None = None
        self._error: UndicedError | None = None
        self._account: UsageEvent | None = None  # the engine's, before the reader's end cuts it
        self._cut: tuple[int, FinishReason] | None = None
        self._relay = relay
        self._lane: Lane | None = None
        self._way: Way | None = None

    # for the reader

    def express(self, way: Way, text: bytes, meter: Meter | None = None) -> bool:
        """Write `text`, which was taken just now, and let the tokens that follow take this way while they are plain.
        False, and nothing written, if there is no such way now.
        """
        if self._relay is None or self.state is not _RUNNING or self._paused or self._pending is not None:
            return False
        if self._lane is None:
            self._lane = self._relay.lane(self.request.id, way.texts)
        self._way = way
        return self._lane.open(way.socket, way.before, way.after, text, *(meter or ()))

    def settle(self) -> None:
        """Close the short way, and count what took it."""
        if self._lane is None or self._way is None:
            return
        count, rest = self._lane.close()
        self._received += count
        self._handed += count
        if count:
            self._way.told(count)
        if rest:
            self._way.spill(rest)

    @property
    def said_s(self) -> float:
        """When a token has last taken the short way, on `time.monotonic`; 0 if none did."""
        return 0.0 if self._lane is None else self._lane.said_s

    def pause(self) -> None:
        """Hand out nothing until `resume`; the reader is behind."""
        self.settle()
        self._paused = True

    def resume(self) -> None:
        """Hand out what came meanwhile, as one delta, and then what comes. The reader may pause in the midst of it."""
        self._paused = False
        self._flow()

    def cancel(self, at_token: int | None = None) -> None:
        """End the sequence because nobody reads it any more, and pause no more. No effect if the last delta was taken.

        It counts `at_token` tokens, by default those that were handed out.
        """
        self.settle()
        at_token = self._handed if at_token is None else at_token
        self._leave(at_token, "cancelled", Cancel(self.request.id))
        self.resume()

    def finish(self, at_token: int, reason: FinishReason = "stop") -> None:
        """End the sequence as if it had stopped after `at_token` tokens; later ones are neither handed out nor counted.

        One last delta follows, with the account and no tokens. No effect if the last delta was taken.
        """
        self.settle()
        self._leave(at_token, reason, Finish(self.request.id, at_token, reason))

    def end_thought(self) -> None:
        """The sequence has thought enough. No effect if it has ended, or does not think."""
        if self.state in _LISTENING:
            self._send(EndThought(self.request.id))

    def _leave(self, at_token: int, reason: FinishReason, message: Cancel | Finish) -> None:
        if self.state not in _LEFT:
            return
        failed = self._account is not None and self._account.finish_reason == "error"
        self._cut = (at_token, "error" if failed else reason)
        if self.state in _LISTENING:
            self._send(message)
        if self._pending is not None:
            self._pending = self._last(self._pending.usage) if self._pending.usage is not None else None
        self._enter(_LEFT[self.state])

    def _hold(self, *, held: bool) -> None:
        self._held = held
        self._send(Hold(self.request.id, held))

    def _flow(self) -> None:
        """Hand out what there is. The reader may pause, finish or cancel while it takes."""
        while not self._paused and (delta := self._pending) is not None:
            self._pending = None
            if delta.usage is not None and not delta.speaks:
                self._close()
                delta.usage = self.usage
            else:
                self._handed += len(delta.tokens)
                if delta.usage is not None:
                    delta, self._pending = delta.split()
                elif self._held:
                    self._hold(held=False)
            self._take(delta)
        if not self._paused and self._error is not None and self.state in (State.ENDED, State.SETTLED):
            self._close()
            self._take(self._error)

    def _close(self) -> None:
        """The reader has got to the end."""
        if self.state is State.ENDED:
            self._report()
        self.state = State.OVER

    def _enter(self, state: State) -> None:
        self.state = state
        if state is State.SETTLED:
            self._report()

    def _report(self) -> None:
        """Tell what was used."""
        account = self._account
        if account is not None:
            self.usage = account if self._cut is None else account.cut(*self._cut)
            self._on_usage(self.usage)

    def _last(self, usage: UsageEvent) -> Delta:
        """The last delta after `finish` or `cancel`: no tokens, the front end's reason if it gave one."""
        reason = self._cut[1] if self._cut is not None else usage.finish_reason
        return Delta(self.request.id, finish_reason=reason, usage=usage)

    # for the client

    def accept(self) -> None:
        """The engine has queued the request."""
        self.state = _ACCEPTED.get(self.state, self.state)

    def push(self, delta: Delta, now: float) -> bool:
        """Take in what a step made of the sequence; False if that was the last."""
        if self._lane is not None:
            self._settle_for(last=delta.usage is not None)
            if self._way is not None:
                for token in delta.tokens:
                    self._way.texts.learn(token)
        count = len(delta.tokens)
        self._received += count
        if self._first_s is None and count:
            self._first_s = now
        if self.state is _RUNNING and not self._paused and delta.usage is None:  # so nothing is pending
            self._handed += count
            self._take(delta)
            return True
        deaf = self.state in _DEAF
        if not deaf:
            self._pending = delta if self._pending is None else _merge(self._pending, delta)
        elif delta.usage is not None:
            self._pending = self._last(delta.usage)
        if delta.usage is not None:
            self._account = delta.usage
            self._enter(_ENDED[self.state])
        elif not (deaf or self._held) and self._received - self._handed > UNREAD_MOST:
            self._hold(held=True)
        self._flow()
        return delta.usage is None

    def fail(self, error: UndicedError, account: UsageEvent | None, now: float, source: str = "") -> None:
        """The engine has failed or refused; the reader gets `error` after what it has not read yet, unless it has ended
        the sequence itself: then it has all that it wanted.

        `account` is the engine's own, None if it died without one.
        """
        self._settle_for(last=True)
        if self.state not in _ENDED:
            return
        if self.state in (State.RUNNING, State.DEAF):
            self._account = account or self._estimate(now, source)
        if self.state is State.DEAF and self._account is not None:
            self._pending = self._last(self._account)
        else:
            self._error = error
        self._enter(_ENDED[self.state])
        self._flow()

    def _settle_for(self, *, last: bool) -> None:
        self.settle()
        if last and self._lane is not None and self._relay is not None:
            self._relay.forget(self.request.id)
            self._lane = self._way = None

    def _estimate(self, now: float, source: str) -> UsageEvent:
        """The account of a sequence whose engine died without giving one."""
        first = now if self._first_s is None else self._first_s
        return UsageEvent(
            request_id=self.request.id,
            finish_reason="error",
            prompt_tokens=len(self.request.prompt),
            cached_tokens=0,
            completion_tokens=self._received,
            queue_s=0.0,
            prompt_s=first - self._submitted_s,
            completion_s=now - first,
            joules=math.nan,
            source=source,
            prompt_shared=self.request.prompt_shared,
            tag=self.request.tag,
        )


def _merge(earlier: Delta, later: Delta) -> Delta:
    """Both in one; `earlier` is ours alone, so its lists may grow."""
    earlier.tokens.extend(later.tokens)
    earlier.logprobs.extend(later.logprobs)
    earlier.top.extend(later.top)
    earlier.prompt_logprobs.extend(later.prompt_logprobs)
    earlier.prompt_top.extend(later.prompt_top)
    earlier.finish_reason = later.finish_reason
    earlier.stop_token = later.stop_token
    earlier.usage = later.usage
    return earlier
