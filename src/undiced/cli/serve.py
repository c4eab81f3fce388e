"""`undiced serve`: the composition of a server: what is said of models and of the door, and a life that follows."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import time
from pathlib import Path
from typing import Annotated

import typer

from undiced.cli.accounts import Place
from undiced.cli.config_file import config_option
from undiced.cli.environment import unknown_variables, unread
from undiced.cli.gathered import gathered
from undiced.cli.logs import LogFormat, LogLevel, log_to
from undiced.cli.options import DEFAULT_MODEL, Json, Models
from undiced.cli.serving.front import Front
from undiced.cli.serving.model_options import OF_A_MODEL, ModelOptions, wanted
from undiced.core.errors import InvalidRequestError
from undiced.core.exits import Exit

_log = logging.getLogger("undiced.serve")


_HUB_TOKEN = "HF_TOKEN"
_OF_ACCOUNTS = ("db", "pepper_file", "admin_host", "admin_port")
_SAID = ("COMMANDLINE", "DEFAULT_MAP")  # here, or in the file for --config; the environment is for other commands too


@gathered
def serve(
    given: typer.Context,
    *,
    model: Models = [DEFAULT_MODEL],  # noqa: B006  # the parser copies it
    config: Annotated[Path | None, config_option(OF_A_MODEL)] = None,
    front: Front,
    place: Place,
    common: ModelOptions,
    log_level: Annotated[LogLevel, typer.Option(help="What is logged: info has a line per request.")] = LogLevel.INFO,
    log_format: Annotated[LogFormat, typer.Option(help="How lines of the log look.")] = LogFormat.TEXT,
    as_json: Json = False,
) -> None:
    """Serve models: an OpenAI-compatible API and a chat page.

    Several share the machine, each with an engine of its own. A sampling number that a chat request leaves open is the
    model's own if it brings any, else OpenAI's default.
    """
    from undiced.cli.serving.desk import SECRETS, open_accounts
    from undiced.remote.spare import HOST, Spare

    signal.signal(signal.SIGTERM, _terminated)
    gc.disable()  # until the server is ready: all that comes into being stays
    spare = Spare(HOST, without=(*SECRETS, _HUB_TOKEN))  # imports what it needs while we do
    from undiced.cli.announcement import Announcement
    from undiced.cli.commands import all_built
    from undiced.cli.serving.served import opened
    from undiced.cli.voice import Voice

    began_s, voice = time.perf_counter(), Voice()
    log_to(voice, log_level, log_format)
    for name, near in unknown_variables(all_built()).items():
        _log.warning("%s", unread(name, near))
    try:
        _see_that_they_count(given, front)
        models = wanted(given, model, common)
        settings, tls = front.settings(), front.tls()
        with front.bind() as sock, contextlib.ExitStack() as held:
            desk, accounts = front.desk(), None
            if desk is not None:
                held.enter_context(desk.sock)
                accounts = held.enter_context(contextlib.closing(open_accounts(place)))
            for name in SECRETS:  # what reads them has; neither the engine nor a model's templates shall
                os.environ.pop(name, None)
            served = opened(models, quiet=as_json)
            spare.tell(served[0].spec)  # it loads while we import what is served around it
            from undiced.cli.serving.life import Life

            os.environ.pop(_HUB_TOKEN, None)  # what it opened is here; the engine shall not have it
            told = Announcement(voice, sock, began_s, settings, desk, secure=tls is not None, as_json=as_json)
            status = Life(served, settings, sock, tls, told, desk, accounts, spare).run()
    finally:
        gc.enable()
        spare.close()
        voice.close()
    raise typer.Exit(status)


def _terminated(*_: object) -> None:
    """SIGTERM before the event loop runs: nothing is left behind."""
    raise SystemExit(Exit.TERMINATED)


def _see_that_they_count(given: typer.Context, front: Front) -> None:
    """Raises InvalidRequestError: something is said of accounts that nobody is asked for."""
    for name in () if front.auth else _OF_ACCOUNTS:
        source = given.get_parameter_source(name)
        if source is not None and source.name in _SAID:
            option = f"--{name.replace('_', '-')}"
            raise InvalidRequestError(f"{option} does nothing without --auth.", remedy="Add that, or leave it out.")
