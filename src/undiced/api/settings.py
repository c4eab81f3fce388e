"""The bounds of the edge: sizes, counts and times; every untrusted number is held against one. Knows no model."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Settings:
    """Limits of the HTTP server.

    Attributes:
        hosts: names and addresses that requests may be for, beside this machine's own: `*.` before a name stands for
            what is below it, `*` for all. origins: of pages that may use the server, beside its own; `*` for all,
            None for none at all, whatever the operator says.
        api_key: what every request but those for health and the chat page has to carry; None where nothing is asked.
        max_choices: largest `n`. max_sequences: most sequences (prompts times `n`) in one request. Neither may exceed
            what the engine's queue takes at once: such a request would be sent again for ever.
        max_connections: most connections at once; max_head_bytes: request line and headers of one request.
        max_body_bytes: largest request body, after decompression too.
        max_held_bytes: of all requests together, as sent, unpacked and decoded, until their prompts are tokens.
        free_held_bytes: the beginning of every request that does not count for that.
        max_strangers, stranger_s: of those, connections that have not sent a request that was let in, at once (None: as
            many as there are connections); and how long such a one may keep silent, where others may for longer.
        head_timeout_s, body_timeout_s: how long a request's headers and body may take to arrive.
        read_timeout_s: how long a client may leave what was written unread, once buffers are full.
        linger_s, linger_bytes: how long, and how much of, the rest of a refused request is read and thrown away.
        max_prompts: most prompts in one completion request.
        max_messages: most messages in one chat request.
        max_tools: most functions in one chat request.
        max_stops: most stop strings; max_stop_chars: length of one.
        max_bias: most entries of `logit_bias`.
        max_salt_chars: length of `cache_salt`.
        max_scores: most log-probabilities of prompt tokens in one answer, those of likely tokens included.
        inline_bytes: bodies up to this length are unpacked and decoded on the event loop, longer ones on a thread.
        inline_chars: texts up to this length are tokenized on the event loop, longer ones on a thread.
        long_chars: texts and conversations over this length are tokenized one at a time.
        max_long_prompts: long texts that may wait for the thread.
        keepalive_s: silence after which a stream gets a comment line.
        drain_s: how long running answers may take after SIGTERM before they end with an error.
        retry_after_s: what a client is told to wait while the server drains or its engine restarts.
    """

    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] | None = ()
    api_key: str | None = field(default=None, repr=False)
    max_connections: int = 2048
    max_head_bytes: int = 64 << 10
    max_body_bytes: int = 4 << 20
    max_held_bytes: int = 256 << 20
    free_held_bytes: int = 16 << 10
    max_strangers: int | None = None
    stranger_s: float = math.inf
    head_timeout_s: float = 20.0
    body_timeout_s: float = 60.0
    read_timeout_s: float = 120.0
    linger_s: float = 10.0
    linger_bytes: int = 64 << 20
    max_choices: int = 16
    max_prompts: int = 128
    max_sequences: int = 256
    max_messages: int = 4096
    max_tools: int = 512
    max_stops: int = 4
    max_stop_chars: int = 1024
    max_bias: int = 1024
    max_salt_chars: int = 256
    max_scores: int = 1 << 18
    inline_bytes: int = 64 << 10
    inline_chars: int = 2048
    long_chars: int = 16384
    max_long_prompts: int = 32
    keepalive_s: float = 15.0
    drain_s: float = 30.0
    retry_after_s: float = 5.0
