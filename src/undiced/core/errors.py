"""Every error a user can meet: a code, an HTTP status, a message and a remedy.

Knows nothing of HTTP or terminals: `api` turns these into responses, `cli` into red text and an exit code.
"""

from __future__ import annotations

from undiced.core.printable import printable


class UndicedError(Exception):
    """Base of all errors raised on purpose.

    Attributes:
        code: stable machine-readable identifier, as OpenAI-compatible clients expect it.
        status: the HTTP status that fits.
        kind: the `type` member of an OpenAI error object.
        remedy: one sentence that says what to do about it; may be empty.
        param: the offending request field, or None.
    """

    code = "internal_error"
    status = 500
    kind = "server_error"

    def __init__(self, message: str, *, remedy: str = "", param: str | None = None) -> None:
        message = printable(message)  # it may quote a file or a request
        super().__init__(message)
        self.message = message
        self.remedy = printable(remedy)
        self.param = param

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".rstrip()


class InvalidRequestError(UndicedError):
    """A request that can never succeed as it stands."""

    code = "wrong_api_format"
    status = 400
    kind = "invalid_request_error"


class KeyRefusedError(InvalidRequestError):
    """A request without a key that opens this, or with another one."""

    code = "wrong_api_key"
    status = 401
    kind = "invalid_request_error"


class ContextLengthError(InvalidRequestError):
    """Prompt plus requested completion exceed the context the server was started with."""

    code = "context_length_exceeded"


class NoChatTemplateError(InvalidRequestError):
    """A base model was asked to chat."""

    code = "no_chat_template"


class ModelNotFoundError(UndicedError):
    """A model reference that names nothing we can find. `ref`: what was to be opened as a model."""

    code = "model_not_found"
    status = 404
    kind = "not_found_error"

    def __init__(self, message: str, *, remedy: str = "", param: str | None = None, ref: str = "") -> None:
        super().__init__(message, remedy=remedy, param=param)
        self.ref = ref


class QueueFullError(UndicedError):
    """The bounded queue is full; retry after `retry_after_s` seconds."""

    code = "queue_exceeded"
    status = 429
    kind = "too_many_requests_error"

    def __init__(self, message: str, *, retry_after_s: float, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after_s = retry_after_s


class CheckpointError(UndicedError):
    """A model file that is damaged, truncated, hostile or not what it claims to be."""

    code = "bad_checkpoint"
    status = 400
    kind = "invalid_request_error"


class UnsupportedError(UndicedError):
    """An architecture, number format or tokenizer that we name but do not run."""

    code = "unsupported"
    status = 400
    kind = "invalid_request_error"


class FetchError(UndicedError):
    """A packaged model could not be downloaded or verified."""

    code = "fetch_failed"
    status = 502


class CompileError(UndicedError):
    """A model does not fit a machine, or a program breaks one of its rules."""

    code = "does_not_fit"
    status = 400
    kind = "invalid_request_error"


class ProgramFileError(UndicedError):
    """A saved program that is damaged or of another version."""

    code = "bad_program_file"
    status = 400
    kind = "invalid_request_error"


class CannotWriteError(UndicedError):
    """A file or an output that the system does not let us write."""

    code = "system"


class EngineError(UndicedError):
    """The engine failed while it worked on a request."""

    code = "engine_failure"


class TokenizerError(UndicedError):
    """The model's tokenizer gave up on a text, as on one that its pattern has no end with; other texts go on."""

    code = "tokenizer_failure"


class NonFiniteLogitsError(EngineError):
    """The model computed infinity or NaN for one sequence; the engine and all other sequences go on."""

    code = "non_finite_logits"


class NothingAllowedError(InvalidRequestError):
    """What a request forbids leaves no token to choose from."""

    code = "no_token_allowed"


class UnavailableError(UndicedError):
    """The server is starting, draining or restarting its engine; likely for `retry_after_s` seconds more, if known."""

    code = "service_unavailable"
    status = 503

    def __init__(
        self, message: str, *, remedy: str = "", param: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, remedy=remedy, param=param)
        self.retry_after_s = retry_after_s


class ShuttingDownError(UnavailableError):
    """The server takes no more requests and ends those that run."""

    def __init__(
        self,
        message: str = "The server is shutting down.",
        *,
        remedy: str = "Try again in a few seconds.",
        param: str | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy, param=param)


class KernelError(UndicedError):
    """A kernel for the fabric that breaks a rule: of its language, of the machine, or by never coming to its end."""

    code = "bad_kernel"
    status = 400
    kind = "invalid_request_error"
