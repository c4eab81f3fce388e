"""The command line from outside: how fast it answers, what errors look like, what scripts can read."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from undiced.cli.app import app
from undiced.engine.level import LEVELS

RUN = [sys.executable, "-c", "from undiced.cli import main; main()"]
MODEL = "smollm2-135m"


def run(*arguments, typed="", **environment):
    clean = {key: value for key, value in os.environ.items() if key != "UNDICED_DEBUG"}
    return subprocess.run(
        [*RUN, *arguments], input=typed, capture_output=True, text=True, timeout=120, env={**clean, **environment}
    )


def test_help_lists_the_commands_and_costs_little():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = run("--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert found.returncode == 0
    assert all(name in found.stdout for name in ("serve", "chat", "generate", "models", "pull", "doctor"))
    assert spent_s < 0.35, "about 0.12 s on an idle machine; all commands would take 0.1 s more, a heavy import 1 s"


def test_help_imports_nothing_heavy():
    script = "import sys, undiced.cli.app; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "tokenizers", "starlette", "uvicorn", "rich", "msgspec", "asyncio", "undiced._native"} & set(
        loaded
    )


def test_version():
    from undiced import __version__

    assert run("--version").stdout.strip() == f"undiced {__version__}"


@pytest.mark.parametrize("command", ["serve", "generate", "chat", "pull", "doctor"])
def test_unknown_models_are_one_red_line_with_a_remedy(command):
    extra = ["--port", "0"] if command == "serve" else []
    found = run(command, "no-such-model", *extra)
    assert found.returncode == 1
    errors = [line for line in found.stderr.splitlines() if line]
    assert len(errors) == 1
    assert errors[0].startswith("error: ") and "no-such-model" in errors[0] and MODEL in errors[0]


@pytest.mark.parametrize("command", [["generate", "-p", "Hi"], ["doctor"], ["show"], ["pull"], ["run", "-p", "Hi"]])
def test_a_configuration_that_is_to_run_is_told_how_it_is_simulated(command, monkeypatch, capsys):
    from undiced.cli import app

    monkeypatch.setattr(sys, "argv", ["undiced", *command, "Llama-3.3-70B"])
    assert app.run() == 1
    told = capsys.readouterr().err
    assert "llama-3.3-70b is a configuration" in told and "`undiced simulate llama-3.3-70b`" in told
    assert "smollm2-135m, gemma3-270m, a GGUF file" in told and "Did you mean" not in told


def test_a_question_of_one_word_is_told_where_it_stands():
    assert "smollm2-135m Hi." in run("generate", "Hi").stderr


def test_errors_are_json_for_scripts_and_tracebacks_for_developers():
    found = run("generate", "no-such-model", "--json")
    error = json.loads(found.stdout)["error"]
    assert error["code"] == "model_not_found" and error["remedy"]
    assert "Traceback" in run("generate", "no-such-model", UNDICED_DEBUG="1").stderr


def test_wrong_command_lines_are_status_2():
    for arguments in (
        ["generate", "-n", "0"],
        ["serve", "--port", "99999"],
        ["nonsense"],
        ["generate", "--temperature", "9"],
    ):
        found = run(*arguments)
        assert (found.returncode, found.stdout) == (2, "")
        assert "Traceback" not in found.stderr


def test_a_port_in_use_is_found_before_the_model_is_opened():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = run("serve", "no-such-model", "--port", str(port))
    assert found.returncode == 1
    assert f"Port {port} on 127.0.0.1 is in use." in found.stderr and "--port" in found.stderr


def test_models_lists_the_catalog_with_licenses():
    rows = json.loads(run("models", "--json").stdout)
    by_name = {row["name"]: row for row in rows}
    assert by_name[MODEL]["default"] and by_name[MODEL]["license"] == "Apache-2.0"
    assert MODEL in run("models").stdout


def test_a_damaged_file_is_one_clear_error(tmp_path):
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF" + bytes(100))
    found = run("generate", str(path), "-p", "x")
    assert found.returncode == 1
    assert found.stderr.startswith("error: ") and found.stderr.count("\n") == 1


@pytest.mark.model
def test_generate_prints_text_or_json():
    asked = ["generate", MODEL, "--raw", "-p", "The capital of France is", "-n", "6", "--max-context", "256"]
    answer = json.loads(run(*asked, "--json").stdout)
    assert answer.keys() == {"text", "tokens", "tokens_per_second", "time_to_first_token_s", "finish_reason", "note"}
    assert (answer["tokens"], answer["finish_reason"]) == (6, "length")
    assert answer["tokens_per_second"] > 0 and answer["time_to_first_token_s"] > 0
    plain = run(*asked)
    assert plain.stdout == answer["text"] + "\n"
    assert "tokens/s" in plain.stderr
    assert "--max-tokens sets the limit" in plain.stderr and answer["note"] in plain.stderr
    short = ["generate", MODEL, "--raw", "--tokens", "6", "--max-context", "256"]
    assert run(*short, typed="The capital of France is").stdout == plain.stdout


@pytest.mark.model
def test_generate_answers_a_question_and_says_so_where_a_raw_text_ends_at_once():
    asked = ["generate", MODEL, "-p", "What is the capital of France?", "--max-context", "512"]
    answer = json.loads(run(*asked, "--json", "--seed", "1").stdout)
    assert answer["text"].strip() and answer["tokens"] > 1
    raw = run(*asked, "--raw")
    assert raw.stdout == "" and "leave out --raw" in raw.stderr


@pytest.mark.parametrize("option", ["--temperature", "--top-p", "--top-k", "--repeat-penalty", "--max-tokens"])
@pytest.mark.parametrize("command", ["chat", "generate"])
def test_sampling_options_are_everywhere_and_checked(command, option):
    found = CliRunner().invoke(app, [command, option, "-1"])
    assert found.exit_code == 2 and option in found.output


@pytest.mark.model
def test_chat_converses_resets_and_ends():
    typed = "Say hi.\n/reset\n/system Be brief.\n/nonsense\nSay hi.\n/exit\n"
    found = run("chat", MODEL, "--max-context", "512", "--temperature", "0", typed=typed)
    assert found.returncode == 0
    assert found.stderr.count("tokens/s") == 2
    assert "A new conversation." in found.stderr and "The system prompt is set." in found.stderr
    assert found.stderr.count("/reset           starts again") == 1


@pytest.mark.model
def test_chat_survives_a_message_that_is_too_long():
    found = run("chat", MODEL, "--max-context", "128", typed="word " * 400 + "\nSay hi.\n")
    assert found.returncode == 0
    assert found.stderr.count("error: ") == 1 and "larger --max-context (8192 at most" in found.stderr
    assert found.stderr.count("tokens/s") == 1


@pytest.mark.model
def test_chat_answers_lines_with_lines_of_json():
    found = run(
        "chat", MODEL, "--max-context", "256", "--json", typed="Say hi.\n/reset\n" + "x y " * 400 + "\nAgain.\n"
    )
    assert found.returncode == 0
    first, error, second = map(json.loads, found.stdout.splitlines())
    for answer in (first, second):
        assert answer["text"] and answer["tokens"] > 0 and answer["finish_reason"] in ("stop", "length")
    assert error["error"]["code"] == "context_length_exceeded" and error["error"]["remedy"]


@pytest.mark.model
def test_an_interruption_is_status_130_without_a_traceback():
    command = [*RUN, "generate", MODEL, "--raw", "-p", "0, 1, 0, 1, 0, 1, 0, 1,", "-n", "2000", "--max-context", "4096"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.read(1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in errors


@pytest.mark.model
def test_doctor_reports_measured_figures():
    found = json.loads(run("doctor", MODEL, "--json").stdout)
    assert found["packed_dir"].endswith("weights") and found["packed_bytes"] >= 0
    assert found["bytes_per_second"] > 1e8 and found["int8_ops_per_second"] > 1e8
    assert found["limit_tokens_per_second"] == pytest.approx(found["bytes_per_second"] / found["bytes_per_token"])
    assert found["share_of_limit"] == pytest.approx(found["tokens_per_second"] / found["limit_tokens_per_second"])
    assert found["isa"] in LEVELS


def test_doctor_tells_of_other_work_on_the_machine():
    from undiced.cli.bystanders import Bystanders
    from undiced.cli.doctor import disturbed

    others = Bystanders()
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(0.5)
        share = others.share()
    finally:
        busy.kill()
        busy.wait()
    assert share is not None and share > 0.1
    (said,) = disturbed(share, 0.4)
    assert "when the machine is idle" in said and disturbed(0.01, 0.8) == disturbed(None, None) == ()
    assert "small share" in disturbed(0.01, 0.3)[0]


def test_doctor_does_not_call_a_limit_reached_that_the_engine_misses():
    from undiced.cli.doctor import verdict

    assert verdict(0.95) == verdict(None) == "Nothing to improve."
    assert verdict(0.7) == "No setting would help: the engine itself leaves 30% of the limit."


def test_doctor_names_remedies():
    from undiced.cli.doctor import remedies

    said = remedies("portable", "portable", "never", 1, 2, here=False, model="m")
    assert len(said) == 4
    assert any("madvise" in line for line in said) and any("undiced pull m" in line for line in said)
    assert remedies("avx2", "avx2", "madvise", 2, 2, here=True, model="m") == ()
    (said,) = remedies("portable", "avx2", "madvise", 2, 2, here=True, model="m")
    assert "UNDICED_ISA=portable" in said and "unset" in said


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("generate", "-n", "x"), "'-n'"),
        (("generate", "--frob"), "--frob"),
        (("frob",), "frob"),
        (("simulate",), "MODEL"),
        (("validate", "--claims", "--calibrate"), "Several outputs"),
        (("serve", "--port", "abc"), "'--port' / '-p'"),
    ],
)
def test_wrong_command_lines_are_json_too(arguments, told):
    found = run(*arguments, "--json")
    assert found.returncode == 2 and "Traceback" not in found.stderr
    error = json.loads(found.stdout)["error"]
    assert error["code"] == "usage" and told in error["message"] and error["remedy"]
    assert error["message"] in found.stderr


HOSTILE = b"a\x1b[31m\x9d\x07b"


@pytest.mark.parametrize(
    "arguments",
    [[HOSTILE], [b"--" + HOSTILE], [b"models", HOSTILE], [b"serve", b"--port", HOSTILE], [b"compile", b"m", HOSTILE]],
)
@pytest.mark.parametrize("form", [[], [b"--json"]], ids=["plain", "json"])
def test_wrong_command_lines_are_shown_without_their_control_characters(arguments, form):
    found = subprocess.run([*RUN, *arguments, *form], capture_output=True, timeout=60)
    assert found.returncode == 2 and b"Traceback" not in found.stderr
    assert b"Error: " in found.stderr and not set(found.stderr + found.stdout) & {0x07, 0x1B, 0x9D}
    assert not form or json.loads(found.stdout)["error"]["code"] == "usage"


def test_what_a_parser_of_command_lines_shows_is_made_printable(capsys, monkeypatch):
    from undiced.cli import app

    class Misuse(Exception):
        exit_code = 2

        def format_message(self) -> str:
            return "No such thing: \x1b]0;title\x07"

        def show(self, file=None) -> None:
            print("Error:", self.format_message(), file=file or sys.stderr)

    def misused(**_: object) -> None:
        raise Misuse

    monkeypatch.setattr(app.typer.main, "get_command", lambda _: misused)
    monkeypatch.setattr(sys, "argv", ["undiced", "--json"])
    assert app.run() == 2
    shown = capsys.readouterr()
    assert shown.err == "Error: No such thing: \\x1b]0;title\\x07\n"
    assert json.loads(shown.out)["error"]["message"] == "No such thing: \\x1b]0;title\\x07"


def test_an_output_that_can_not_be_written_is_no_bug():
    with open("/dev/full", "w") as full:
        found = subprocess.run([*RUN, "models"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert found.returncode == 1 and "bug" not in found.stderr
    assert "No space left on device. Make room where the output goes" in found.stderr


def test_an_interruption_while_modules_load_has_no_traceback():
    script = """
import sys
class Interrupting:
    def find_spec(self, name, *_):
        if name == "undiced.cli.models":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
from undiced.cli import main
main()
"""
    found = subprocess.run([sys.executable, "-c", script, "models"], capture_output=True, text=True, timeout=60)
    assert (found.returncode, found.stderr) == (130, "")


def test_a_compiled_program_is_not_compiled_again(tmp_path):
    file = tmp_path / "program"
    assert run("compile", "smollm2-135m", "--machine", "toy-64x64", "--context", "64", "-o", str(file)).returncode == 0
    found = run("compile", str(file))
    assert found.returncode == 2 and "compiled already" in found.stderr and "simulate" in found.stderr
