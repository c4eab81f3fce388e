"""Commands of accounts on a database in a folder: what they print, what they refuse, what they leave behind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.account_commands import Typed, rows
from support.markdown import ROOT, blocks
from support.screen import seen

# Keys and their ids, ends of secrets, times, who is logged in: these differ each time.
DRAWN = re.compile(
    r"\buk-[0-9A-Za-z]{12}-[\w-]{43}-\w{6}\b|\b(?=\w*[A-Z0-9])[0-9A-Za-z]{12}\b|\.\.\.[\w-]{4}"
    r"|\d{4}-\d\d-\d\d \d\d:\d\d|operator:\S+ *"
)
SECRET = r"uk-[0-9A-Za-z]{12}-[\w-]{43}-\w{6}"
KEPT = re.compile(r"KEY=\$\((.*)\)")


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
    acme("key create --name ci")
    before = acme("key show ci --json").json
    with monkeypatch.context() as patch:
        patch.setattr("typer.echo", full)
        assert acme("key rotate ci").status == 1
    assert acme("key list --json").json == [before], "it goes on as if nothing had been tried"
    assert acme("key rotate ci").status == 0


def test_lists_go_on_where_a_page_ended(acme: Typed) -> None:
    made = {acme("key create --json").json["id"] for _ in range(3)}
    first = acme("key list --limit 2 --json")
    after = first.json[-1]["id"]
    assert first.err == f"There are more: the same with --after {after}\n"
    last = acme(f"key list --limit 1 --after {after} --json")
    assert {each["id"] for each in first.json + last.json} == made and last.err == ""
    for at in range(3):
        acme(f"member create m{at}@example.com --role billing")
        acme(f"member invite i{at}@example.com --role billing")
        acme(f"project create p{at}")
    for at in range(2):
        acme(f"org create org{at}")
    for listed in ("member list --org acme", "member invitations --org acme", "project list --org acme", "org list"):
        whole = acme(f"{listed} --json")
        first = acme(f"{listed} --limit 2 --json")
        after = first.json[-1]["id"]
        assert first.err == f"There are more: the same with --after {after}\n" and whole.err == ""
        rest = acme(f"{listed} --after {after} --json")
        assert first.json + rest.json == whole.json and len(whole.json) >= 3, listed
        assert rest.err == ""
    assert "Nothing in the list" in acme("member list --org acme --after nobody").err


def test_the_audit_goes_on_where_a_page_ended(acme: Typed) -> None:
    for _ in range(3):
        acme("key create")
    entries = acme("audit --limit 4 --json")
    assert f"--before {entries.json[-1]['seq']}\n" in entries.err
    older = acme(f"audit --before {entries.json[-1]['seq']} --json")
    assert [each["seq"] for each in entries.json + older.json] == [5, 4, 3, 2, 1] and older.err == ""


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
    first, second = (acme("member invite zoe@example.com --role billing --json").json["id"] for _ in range(2))
    assert acme("member uninvite zoe@example.com").status == 2
    assert acme(f"member uninvite {first}").status == 0
    assert second in acme("member uninvite Zoe@example.com").out


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
    ("key create --project ''", 1, "undiced project list"),
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
