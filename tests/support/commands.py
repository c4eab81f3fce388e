"""Commands as people type them, in this process."""

from typer.testing import CliRunner

from undiced.cli.app import app
from undiced.core.errors import UndicedError


def run(*arguments):
    """What a command prints; its refusal is raised, and any other failure fails the test."""
    done = CliRunner().invoke(app, arguments)
    if isinstance(done.exception, UndicedError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout
