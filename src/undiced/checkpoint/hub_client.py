"""The hub itself, asked through huggingface_hub: what a repository holds, and the bytes of a file.

Knows the library and turns its errors into ours; keeps nothing on the disk. What the hub says is checked as any input.
Endpoint (HF_ENDPOINT), token (HF_TOKEN), proxies and certificates are the library's business.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from undiced.checkpoint.hub_ref import COMMIT, HubRef
from undiced.core.errors import FetchError, ModelNotFoundError, UndicedError
from undiced.core.quote import quoted

if TYPE_CHECKING:
    from huggingface_hub import HfApi

INSTALL = "Install it: pip install 'undiced[hub]'."
_SHA256, _SHA1 = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")
_PATIENCE_S = 20.0  # without a byte
_PAUSE_S, _TRIES, _PARTIAL = 1.0, 5, 206
_MOST_BYTES = 1 << 43  # ours: 8 TiB of one file


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository. `checksum`: the SHA-256 of a large one, git's SHA-1 of a small one."""

    name: str
    nbytes: int
    checksum: str
    is_large: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """What a repository holds at a commit; files whose names, sizes or checksums make no sense are left out."""

    commit: str
    files: Mapping[str, HubFile]


@dataclass(slots=True)
class Stream:
    """The file that bytes are written to: never more than it may have, and each told."""

    out: IO[bytes]
    file: HubFile
    told: Callable[[int], None]

    def write(self, data: bytes) -> None:
        """Take what fits; raises FetchError for more."""
        if self.out.tell() + len(data) > self.file.nbytes:
            raise FetchError(
                f"{quoted(self.file.name)} is longer than the hub says.",
                remedy="Fetch it again, or tell its publisher.",
            )
        self.out.write(data)
        self.told(self.out.tell())

    def tell(self) -> int:
        """Bytes so far."""
        return self.out.tell()

    def start_over(self) -> None:
        """Drop everything so far."""
        self.out.seek(0)
        self.out.truncate()


def ask(ref: HubRef) -> Listing:
    """The commit that a revision leads to, and its files.

    Raises FetchError or ModelNotFoundError, each with a remedy.
    """
    with _explained(ref):
        info = _api().model_info(
            ref.repo,
            revision=None if ref.revision == "main" else ref.revision,
            files_metadata=True,
            timeout=_PATIENCE_S,
        )
        files = [
            _checked(each.rfilename, each.size, each.lfs.sha256 if each.lfs else None, each.blob_id)
            for each in info.siblings or ()
        ]
        commit = str(info.sha)
    if not COMMIT.fullmatch(commit):
        raise _not_understood(ref)
    return Listing(commit, {file.name: file for file in files if file is not None})


def bring(ref: HubRef, commit: str, file: HubFile, out: Stream) -> None:
    """Append a file's bytes from where `out` stands. Connections that break are gone on with, until five in a row bring
    nothing. Raises FetchError with a remedy.
    """
    with _explained(ref, file.name):
        tries = _TRIES
        while True:
            before = out.tell()
            try:
                _stream(ref, commit, file, out)
            except Exception as error:
                tries = _TRIES if out.tell() > before else tries - 1
                if not tries or not _passes(error):
                    raise
                time.sleep(_PAUSE_S)
            else:
                return


def _stream(ref: HubRef, commit: str, file: HubFile, out: Stream) -> None:
    """One connection. A server that does not know ranges begins from the start."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        build_hf_headers,
        get_session,
        hf_raise_for_status,
    )

    url = hf_hub_url(ref.repo, file.name, revision=commit, endpoint=_endpoint())
    headers = {**build_hf_headers(library_name="undiced"), "accept-encoding": "identity"}
    if out.tell():
        headers["range"] = f"bytes={out.tell()}-"
    with get_session().stream("GET", url, headers=headers, timeout=_PATIENCE_S, follow_redirects=True) as response:
        hf_raise_for_status(response)
        if response.status_code != _PARTIAL:
            out.start_over()
        for chunk in response.iter_bytes():
            out.write(chunk)
    if out.tell() < file.nbytes:
        raise EOFError("the connection ended early")


def _passes(error: Exception) -> bool:
    """Whether it may go better the next time: broken connections, and servers in trouble."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return bool(status >= 500)
    return not isinstance(error, (UndicedError, OSError, ValueError, TypeError))


def _api() -> HfApi:
    from huggingface_hub import HfApi

    return HfApi(endpoint=_endpoint(), library_name="undiced")


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or None


def _checked(name: object, nbytes: object, sha256: object, sha1: object) -> HubFile | None:
    if not isinstance(name, str) or not isinstance(nbytes, int) or not 0 <= nbytes <= _MOST_BYTES or not _inside(name):
        return None
    if isinstance(sha256, str) and _SHA256.fullmatch(sha256):
        return HubFile(name, nbytes, sha256, is_large=True)
    if isinstance(sha1, str) and _SHA1.fullmatch(sha1):
        return HubFile(name, nbytes, sha1, is_large=False)
    return None


def _inside(name: str) -> bool:
    """Whether a path stays in its repository."""
    parts = name.split("/")
    return name.isprintable() and len(name) <= 500 and "\\" not in name and not {"", ".", ".."} & set(parts)


@contextmanager
def _explained(ref: HubRef, file: str = "") -> Iterator[None]:
    """Turn the library's errors into ours; it is quiet meanwhile, because every command has a bar of its own."""
    try:
        import huggingface_hub  # noqa: F401
    except ImportError as error:
        raise FetchError(f"{ref} is at the hub, and huggingface_hub is not installed.", remedy=INSTALL) from error
    log = logging.getLogger("huggingface_hub")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    except UndicedError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None and not _is_http(error):
            raise  # the disk's
        raise _meaning(error, ref, file) from error
    finally:
        log.setLevel(level)


def _is_http(error: Exception) -> bool:
    return isinstance(error, ConnectionError) or hasattr(error, "response")


def _meaning(error: Exception, ref: HubRef, file: str) -> UndicedError:
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    what = f"{quoted(file)} of {ref.repo}" if file else ref.repo
    status = getattr(getattr(error, "response", None), "status_code", None)
    has_token = _has_token()
    if isinstance(error, GatedRepoError):
        remedy = "Its publisher has to let this account in." if has_token else "Then set HF_TOKEN to a token of yours."
        return FetchError(f"{ref.repo} is gated.", remedy=f"Accept its terms on its page at the hub. {remedy}")
    if isinstance(error, RevisionNotFoundError):
        return ModelNotFoundError(
            f"{ref.repo} has no revision {quoted(ref.revision)}.",
            remedy="Name a branch, a tag or a commit that it has.",
        )
    if isinstance(error, (RepositoryNotFoundError, HFValidationError)) or status == 404:
        hint = (
            "is it spelled so, and may the token of HF_TOKEN read it?" if has_token else "a private one needs HF_TOKEN."
        )
        return ModelNotFoundError(f"The hub shows no {what}.", remedy=f"Check the name; {hint}")
    if status in (401, 403):
        return FetchError(f"The hub refuses {what} ({status}).", remedy="Set HF_TOKEN to a token that may read it.")
    if status == 429:
        return FetchError("The hub takes no more requests for now (429).", remedy="Wait a while, or set HF_TOKEN.")
    if status is not None:
        return FetchError(f"The hub failed at {what} ({status}).", remedy="Try again later.")
    if isinstance(error, (TypeError, KeyError, AttributeError, json.JSONDecodeError)):
        return _not_understood(ref)
    reason = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
    return FetchError(
        f"The hub could not be read for {what}: {reason}.",
        remedy="Check the network and HF_ENDPOINT; the same command goes on where it stopped.",
    )


def _not_understood(ref: HubRef) -> FetchError:
    return FetchError(f"The answer about {ref.repo} is not a hub's.", remedy="Check HF_ENDPOINT.")


def _has_token() -> bool:
    from huggingface_hub import get_token

    return bool(get_token())
