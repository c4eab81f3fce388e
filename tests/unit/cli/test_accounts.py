"""Commands of accounts on a database in a folder: what they print, what they refuse, what they leave behind."""

from __future__ import annotations

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.account_commands import Typed, typing
from support.markdown import ROOT, blocks
from support.screen import seen

# Keys and their ids, ends of secrets, times, who is logged in: these differ each time.
DRAWN = re.compile(
    r"\buk-[0-9A-Za-z]{12}-[\w-]{43}-\w{6}\b|\b(?=\w*[A-Z0-9])[0-9A-Za-z]{12}\b|\.\.\.[\w-]{4}"
    r"|\d{4}-\d\d-\d\d \d\d:\d\d|operator:\S+ *"
)
SECRET = r"uk-[0-9A-Za-z]{12}-[\w-]{43}-\w{6}"
KEPT = re.compile(r"KEY=\$\((.*)\)")


@pytest.fixture
def place(tmp_path: Path, sqlite_template: Path) -> Path:
    """A database with the schema and nothing else."""
    return shutil.copy(sqlite_template, tmp_path / "accounts.db")


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: Path) -> Typed:
    return typing(monkeypatch, capsys, str(place))


@pytest.fixture
def acme(typed: Typed) -> Typed:
    """There is an organization."""
    assert typed("org create acme").status == 0
    return typed


def rows(place: Path) -> list[str]:
    """Everything in a database, to see that nothing changed."""
    with closing(sqlite3.connect(place)) as database:
        return list(database.iterdump())


def test_the_page_s_session_shows_what_the_page_says(typed: Typed, tmp_path: Path) -> None:
    for command, shown in blocks(ROOT / "docs" / "accounts.md")[0].commands():
        kept = KEPT.fullmatch(command)
        said = typed((kept[1] if kept else command).removeprefix("undiced "))
        assert said.status == 0, said.err
        told = said.err if kept else said.out + said.err
        assert plain(told.replace(str(tmp_path), "/srv/undiced")) == plain(shown), command


def plain(text: str) -> list[str]:
    """Lines without what is drawn; in one order, for what is made in one second has none."""
    return sorted(DRAWN.sub("#", line.rstrip()) for line in text.splitlines() if line.strip())


def test_a_key_is_alone_on_the_output_and_the_list_shows_its_end_alone(acme: Typed) -> None:
    made = acme("key create --name ci")
    assert re.fullmatch(f"{SECRET}\n", made.out) and "shown once" in made.err and made.out.strip() not in made.err
    secret = made.out.strip()
    body = secret.rsplit("-", 1)[0]
    for line in ("key list", "key list --all", "key list --json", "key show ci", "key show ci --json", "audit --json"):
        shown = acme(line)
        assert shown.status == 0 and body[-4:] in shown.out
        assert body[-5:] not in shown.out and secret[16:40] not in shown.out + shown.err
    asked = acme("key create --json").json
    assert asked["secret"].startswith(f"uk-{asked['id']}-") and asked["last_four"] == asked["secret"][-11:-7]


def test_keys_are_what_was_ordered(acme: Typed) -> None:
    acme("project create web"), acme("member create ada@example.com --role org_admin")
    ordered = "--name page --project web --scope inference --scope tokens --model a --model b --expires 90d"
    made = acme(f"key create {ordered} --json").json
    assert made["kind"] == "inference" and made["scopes"] == ["inference", "tokens"] and made["models"] == ["a", "b"]
    assert made["expires"] - made["created"] in range(90 * 86_400 - 1, 90 * 86_400 + 2)
    usual = acme("key create --json").json
    names = {each["id"]: each["name"] for each in acme("project list --json").json}
    assert names[made["project_id"]] == "web" and names[usual["project_id"]] == "default" and not usual["models"]
    management = acme("key create --kind management --member ada@example.com --json").json
    assert management["member_id"] and management["project_id"] is None and "keys:write" in management["scopes"]
    operators = acme("key create --operator --json").json
    assert (operators["org_id"], operators["kind"]) == (None, "management")
    assert [each["id"] for each in acme("key list --operator --json").json] == [operators["id"]]
    shown = acme("key show page").out
    assert "belongs to     acme/web" in shown and "models         a, b" in shown and "works" in shown


def test_a_key_is_rotated_and_the_old_one_goes_on_for_a_while(acme: Typed) -> None:
    old = acme("key create --name ci --json").json
    new = acme("key rotate ci --overlap 24h --json").json
    assert new["name"] == "ci" and new["id"] != old["id"]
    listed = {each["id"]: each for each in acme("key list --json").json}
    assert listed[old["id"]]["replaced_by"] == new["id"] and listed[old["id"]]["overlap_until"] > old["created"]
    last = acme("key rotate ci --json").json["id"], acme("key list --json").json
    assert {each["id"] for each in last[1]} == {old["id"], last[0]}, "the one in between ended at once"
    states = {line.split()[0]: line.split()[-1] for line in acme("key list --all").out.splitlines()[1:]}
    assert states == {old["id"]: "rotated", new["id"]: "rotated", last[0]: "works"}
    several = acme("key revoke ci --yes")
    assert several.status == 2 and old["id"] in several.err and last[0] in several.err
    assert acme(f"key revoke {old['id']} --yes").status == 0 and acme("key revoke ci --yes").status == 0
    assert acme("key list --json").json == []


def test_a_key_is_found_by_id_name_or_text_and_a_mistyped_text_is_not_repeated(acme: Typed) -> None:
    text = acme("key create --name ci").out.strip()
    found = [acme(f"key show {ref} --json").json["id"] for ref in ("ci", text[3:15], text)]
    assert set(found) == {text[3:15]}
    wrong = acme(f"key show {text[:-1]}")
    assert wrong.status == 2 and text[20:40] not in wrong.err and "12 characters" in wrong.err
    assert acme("key show nobody").status == 1


def test_a_key_that_can_not_be_printed_is_ended(acme: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("typer.echo", full)
        assert acme("key create --name lost").status == 1
    assert acme("key list --json").json == [] and "revoked" in acme("key list --all").out


def test_members_have_roles_of_an_organization_or_of_a_project(acme: Typed) -> None:
    acme("project create web")
    assert acme("member create Ada@example.com --role org_admin").out == "ada@example.com: org_admin.\n"
    assert acme("member create ben@example.com --role member").out == "ben@example.com: member of default.\n"
    given = acme("member grant ben@example.com --role project_admin --project web").out
    assert given == "ben@example.com: member of default, project_admin of web.\n"
    assert acme("member withdraw ben@example.com --role member").out == "ben@example.com: project_admin of web.\n"
    assert "ben@example.com +project_admin" in acme("audit").out and "ben@example.com -member" in acme("audit").out
    assert acme("member archive ben@example.com --yes").status == 0
    assert [each["email"] for each in acme("member list --json").json] == ["ada@example.com"]
    assert "ben@example.com" in acme("member list --all").out
    assert "roles          org_admin" in acme("member show ada@example.com").out


def test_an_invitation_is_accepted_once_from_the_input_or_as_a_word(acme: Typed) -> None:
    text = acme("member invite eve@example.com --role member --expires 48h").out
    assert re.fullmatch(r"ui-.*\n", text) and "eve@example.com" in acme("member invitations").out
    assert acme("member accept", given=text).out == "eve@example.com is a member of acme: member of default.\n"
    again = acme(f"member accept {text.strip()}")
    assert again.status == 2 and "not valid" in again.err and text.strip() not in again.err
    assert acme("member invitations").out == "" and "accepted" in acme("member invitations --all").out
    ended = acme("member invite zoe@example.com --role billing --json").json
    assert acme(f"member uninvite {ended['id']}").status == 0
    assert acme("member accept", given=ended["secret"]).status == 2


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "yess\n"])
def test_what_ends_for_good_is_asked_for_on_a_terminal(acme: Typed, place: Path, answer: str) -> None:
    acme("key create --name ci")
    before = rows(place)
    for line in ("key revoke ci", "org archive acme", "project archive default"):
        said = acme(line, given=answer, terminal=True)
        assert said.status == 1 and "[y/N]" in said.err and "Nothing was changed." in said.err and said.out == ""
    assert rows(place) == before
    assert acme("key revoke ci", given="y\n", terminal=True).out.startswith("Revoked the key")


def test_what_ends_for_good_needs_a_yes_where_nobody_can_be_asked(acme: Typed, place: Path) -> None:
    acme("key create --name ci"), acme("member create ada@example.com --role billing")
    before = rows(place)
    for line in ("key revoke ci", "org archive acme", "project archive default", "member archive ada@example.com"):
        said = acme(line, given="y\n")
        assert said.status == 2 and "Add --yes." in said.err and "[y/N]" not in said.err
    assert rows(place) == before


REFUSED = [
    ("org create acme", 1, "'acme' already"),
    ("org create Acme", 2, "can't be a name"),
    ("org show nobody", 1, "undiced org list"),
    ("org archive nobody --yes", 1, "undiced org list"),
    ("project create default", 1, "'default' already"),
    ("project create web --org nobody", 1, "undiced org list"),
    ("project show web", 1, "undiced project list"),
    ("member create ada@example.com --role member", 1, "undiced member grant"),
    ("member create ada --role member", 2, "ada@example.com"),
    ("member create x@example.com --role boss", 2, "'org_admin'"),
    ("member create x@example.com --role org_admin --project default", 2, "Leave the project out"),
    ("member create x@example.com --role member --project web", 1, "undiced project list"),
    ("member grant x@example.com --role billing", 1, "undiced member list"),
    ("member invite x@example.com --role member --expires 91d", 2, "90d at most"),
    ("member uninvite nothing", 1, "undiced member invitations"),
    ("member accept ui-nothing", 2, "Ask for another one"),
    ("key create --kind console", 2, "'management'"),
    ("key create --org nobody", 1, "undiced org list"),
    ("key create --project web", 1, "undiced project list"),
    ("key create --member x@example.com", 1, "undiced member list"),
    ("key create --scope keys:write", 2, "Use inference"),
    ("key create --scope inference --kind management", 2, "Use orgs:read"),
    ("key create --expires 2020-01-01", 2, "has passed"),
    ("key create --expires soon", 2, "2027-01-01T12:00Z"),
    ("key create --operator --org acme", 2, "Leave --org out"),
    ("key create --operator --kind inference", 2, "Name an organization"),
    ("key create --model ''", 2, "GET /v1/models"),
    ("key rotate nobody", 1, "undiced key list"),
    ("key rotate ci --overlap 31d", 2, "30d at most"),
    ("key rotate ci --overlap 24", 2, "no duration"),
    ("key rotate ci --expires 2020-01-01", 2, "has passed"),
    ("key revoke nobody --yes", 1, "undiced key list"),
    ("audit --org nobody", 1, "undiced org list"),
    ("audit --limit 0", 2, "1<=x<=1000"),
]


def test_what_is_refused_says_what_to_do_and_changes_nothing(acme: Typed, place: Path) -> None:
    acme("member create ada@example.com --role org_admin"), acme("key create --name ci")
    before = rows(place)
    for line, status, told in REFUSED:
        said = acme(line)
        assert said.status == status and told in said.err and said.out == "", (line, said)
        assert "Traceback" not in said.err and said.err.count("\n") == (1 if said.err.startswith("error: ") else 4), (
            said
        )
    assert rows(place) == before


@pytest.mark.parametrize("number", [0, 1, 11])
def test_what_is_refused_is_an_object_for_scripts(acme: Typed, number: int) -> None:
    line, status, _ = REFUSED[number]
    said = acme(f"{line} --json")
    error = said.json["error"]
    assert said.status == status and error["message"] and error["remedy"]
    assert (error["code"] == "usage") is (status == 2)


def test_several_organizations_want_one_to_be_named(acme: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    acme("org create beta")
    said = acme("key create")
    assert said.status == 2 and "acme, beta" in said.err and "--org" in said.err
    assert acme("key create --org beta").status == 0
    monkeypatch.setenv("UNDICED_ORG", "beta")
    assert "beta/default" in acme("key create").err


def test_tables_fit_a_terminal(acme: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    long = "name-" * 12 + "end"  # 63 characters
    acme(f"project create {long}"), acme(f"member create {long}@example.com --role project_admin --project {long}")
    acme(f"key create --kind management --name {long} --project {long} --expires 90d"), acme("key create --operator")
    acme(f"member invite b{long}@example.com --role project_admin --project {long}")
    for line in ("project list --all", "member list", "member list --all", "member invitations --all",
                 "key list", "key list --all", "audit"):  # fmt: skip
        shown = seen(acme(line).out.replace("\n", "\r\n"))
        assert "name-" in shown and max(map(len, shown.splitlines())) <= 80, shown


@pytest.mark.parametrize(
    "wrong", ["mysql://x/y", "", "postgresql://u:secret@127.0.0.1:1/x", "/nowhere/accounts.db", "/tmp"]
)
def test_a_database_that_is_none_is_one_line_with_a_remedy(typed: Typed, wrong: str) -> None:
    for line in ("key list", "org create acme", "db check", "db upgrade", "db backup copy.db"):
        said = typed(f"{line} --db '{wrong}'")
        assert said.status == 1 and said.err.startswith("error: ") and said.err.count("\n") == 1, said
        assert "secret" not in said.err


def test_only_a_command_that_makes_accounts_makes_a_database(typed: Typed, tmp_path: Path) -> None:
    for line in ("org list", "key create", "audit", "db check", "db backup copy.db"):
        said = typed(f"{line} --db {tmp_path}/new.db")
        assert said.status == 1 and "undiced org create NAME" in said.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["accounts.db"]
    assert typed(f"org create acme --db {tmp_path}/new.db").status == 0


def test_another_program_s_file_is_left_alone(typed: Typed, tmp_path: Path) -> None:
    text, other = tmp_path / "text.db", tmp_path / "other.db"
    text.write_text("Dear diary" * 100)
    with closing(sqlite3.connect(other)) as database:
        database.execute("CREATE TABLE birds (name)")
    before = text.read_bytes(), rows(other)
    for line in ("key list", "org create acme", "db check", "db upgrade", "db backup copy.db"):
        for file in (text, other):
            said = typed(f"{line} --db {file}")
            assert said.status == 1 and "--db" in said.err and said.err.count("\n") == 1, said
    assert (text.read_bytes(), rows(other)) == before


def test_a_database_of_another_version_is_told_and_an_older_one_upgraded(
    acme: Typed, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("undiced.account.schema.HEAD", "0002")
    monkeypatch.setattr("undiced.account.schema.known", lambda: frozenset(("0001", "0002")))
    said = acme("key list")
    assert said.status == 1 and "older schema (0001" in said.err and "undiced db upgrade" in said.err
    checked = acme("db check")
    assert (
        checked.status == 1 and "older schema" in checked.out and "undiced db upgrade" in " ".join(checked.out.split())
    )
    monkeypatch.undo()
    with closing(sqlite3.connect(place)) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    before = rows(place)
    for line in ("key list", "org create beta", "db upgrade"):
        said = acme(f"{line} --db {place}")
        assert said.status == 1 and "newer schema (9999" in said.err and "Install" in said.err
    assert rows(place) == before


def test_a_wrong_pepper_is_told_and_nothing_is_done(acme: Typed, place: Path, tmp_path: Path) -> None:
    pepper, other = Path(f"{place}.pepper"), tmp_path / "other"
    other.write_text("x" * 64)
    other.chmod(0o600)
    before = rows(place)
    for line in ("key create", "org list"):
        said = acme(f"{line} --pepper-file {other}")
        assert said.status == 1 and "is not the one of the keys" in said.err and "UNDICED_PEPPER" in said.err
    checked = acme(f"db check --pepper-file {other} --json")
    assert checked.status == 1 and checked.json["fine"] is False
    assert [each["what"] for each in checked.json["findings"] if each["remedy"]] == ["pepper"]
    assert acme("db check --json").json["counts"]["organizations"] == 1
    pepper.chmod(0o644)
    assert "chmod 600" in acme("key list").err
    pepper.unlink()
    said = acme("key list")
    assert said.status == 1 and "is not there" in said.err and not pepper.exists() and rows(place) == before


def test_a_lock_that_another_holds_is_told(acme: Typed, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("undiced.account.database._BUSY_MS", 20)
    with closing(sqlite3.connect(place, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        said = acme("key create")
        assert said.status == 1 and "holds a lock" in said.err and said.err.count("\n") == 1 and said.out == ""
        assert acme("key list").status == 0, "who reads does not wait"
    assert acme("key create").status == 0


def test_a_damaged_database_is_told_by_its_check(acme: Typed, place: Path) -> None:
    for number in range(30):
        acme(f"project create p{number}") if number < 2 else None
    with closing(sqlite3.connect(place)) as database:
        root = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'projects'").fetchone()[0]
        size = database.execute("PRAGMA page_size").fetchone()[0]
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with place.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\x0d" + bytes(6) + b"\xff" * 40)
    checked = acme("db check")
    assert checked.status == 1 and "Restore a copy" in " ".join((checked.out + checked.err).split())
    assert acme("db check --json").status == 1


def test_a_row_that_refers_to_nothing_is_found(acme: Typed, place: Path) -> None:
    with closing(sqlite3.connect(place)) as database:
        database.execute("INSERT INTO projects (id, org_id, name, created) VALUES ('prj_x', 'org_x', 'lost', 1)")
        database.commit()
    checked = acme("db check --json")
    assert checked.status == 1
    assert [each["what"] for each in checked.json["findings"] if each["remedy"]] == ["references"]


def test_a_backup_is_a_whole_database_and_an_interrupted_one_is_none(
    acme: Typed, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy.db"
    with monkeypatch.context() as patch:
        patch.setattr("undiced.cli.terminal.Bar.share", interrupted)
        assert acme(f"db backup {copy}").status == 130
    assert not any("copy" in path.name for path in tmp_path.iterdir())
    made = acme(f"db backup {copy} --json").json
    assert made["bytes"] == copy.stat().st_size and rows(copy) == rows(place)
    assert acme(f"db check --db {copy} --pepper-file {place}.pepper").status == 0
    again = acme(f"db backup {copy}")
    assert again.status == 2 and "Name another one" in again.err
    assert acme(f"db backup {tmp_path}/no/folder/copy.db").status == 1


def test_an_interrupted_upgrade_changes_nothing(typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = tmp_path / "new.db"
    with monkeypatch.context() as patch:
        patch.setattr("undiced.cli.terminal.Bar.share", interrupted)
        assert typed(f"db upgrade --db {new}").status == 130
    assert rows(new) == ["BEGIN TRANSACTION;", "COMMIT;"]
    assert "it was empty" in typed(f"db upgrade --db {new}").out
    assert typed(f"db upgrade --db {new} --json").json["before"] == "0001"


def test_an_interrupted_check_ends(acme: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("undiced.account.check._STEPS", 1)
    asked: list[str] = []

    def share(_: object, done: float, what: str) -> None:
        asked.append(what)
        if not what:  # within SQLite
            raise KeyboardInterrupt

    monkeypatch.setattr("undiced.cli.terminal.Bar.share", share)
    assert acme("db check").status == 130 and asked == ["Checking pages", ""]


def interrupted(*_: object) -> None:
    """Somebody presses Ctrl-C."""
    raise KeyboardInterrupt


def test_a_variable_that_may_have_been_meant_for_the_database_is_told(
    acme: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNDICED_BD", "other.db")
    assert "UNDICED_BD, which is no option. Did you mean UNDICED_DB" in acme("org list").err


def test_the_usual_place_is_the_user_s_own(typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNDICED_DB")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    folder = tmp_path / "data" / "undiced"
    assert typed("key list").status == 1 and not folder.exists()
    assert str(folder / "accounts.db") in typed("org create acme").out
    assert folder.stat().st_mode & 0o077 == 0


def test_commands_work_on_both_databases(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    typed = typing(monkeypatch, capsys, url)
    monkeypatch.setenv("UNDICED_PEPPER_FILE", str(tmp_path / "pepper"))
    key = [typed(line) for line in ("org create acme", "key create --name ci")][1].out.strip()
    typed("key rotate ci --overlap 1h"), typed(f"key revoke {key} --yes")
    assert [each["action"] for each in typed("audit --json").json] == [
        "key.revoke", "key.create", "key.rotate", "key.create", "project.create", "org.create"
    ]  # fmt: skip
    checked = typed("db check --json").json
    assert checked["fine"] and checked["counts"]["keys"] == 2
    copied = typed(f"db backup {tmp_path}/copy.db")
    assert copied.status == 0 or "pg_dump" in copied.err
