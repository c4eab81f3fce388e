"""Who makes room where places are few: strangers first, then organizations that hold many."""

from __future__ import annotations

from types import SimpleNamespace

from undiced.api.caller import CALLER
from undiced.api.strangers import Strangers


class Client:
    """A connection: of an organization once it was let in. `waits`: for an answer."""

    def __init__(self, org: str | None = None, *, waits: bool = False) -> None:
        scope = {} if org is None else {CALLER: SimpleNamespace(org_id=org)}
        self.exchange = SimpleNamespace(scope=scope, complete=waits, ended=False)
        self.went = False

    def give_way(self) -> None:
        self.went = True


def let_in(strangers: Strangers, *orgs: str, waits: bool = False) -> list[Client]:
    clients = [Client(org, waits=waits) for org in orgs]
    for client in clients:
        strangers.came(client)
        strangers.answered(client)
    return clients


def test_an_organization_that_has_more_than_its_part_gives_way_with_what_was_silent_longest() -> None:
    strangers = Strangers(2)
    acme, (globex,) = let_in(strangers, "acme", "acme", "acme", "acme"), let_in(strangers, "globex")
    strangers.answered(acme[0])
    assert strangers.make_room()
    assert [client.went for client in (*acme, globex)] == [False, True, False, False, False]
    assert strangers.make_room()
    assert [client.went for client in (*acme, globex)] == [False, True, True, False, False]
    assert not strangers.make_room()


def test_while_strangers_have_their_part_who_comes_gets_one_of_their_places_and_nobody_elses() -> None:
    strangers, silent = Strangers(1), Client()
    acme = let_in(strangers, "acme", "acme")
    strangers.came(silent)
    assert strangers.make_room()
    assert not any(client.went for client in (*acme, silent))
    strangers.came(Client())
    assert silent.went


def test_who_waits_for_an_answer_keeps_its_place() -> None:
    strangers = Strangers(1)
    clients = let_in(strangers, "acme", "acme", waits=True)
    assert not strangers.make_room()
    (idle,) = let_in(strangers, "acme")
    assert strangers.make_room()
    assert [client.went for client in (*clients, idle)] == [False, False, True]


def test_who_left_makes_no_room() -> None:
    strangers = Strangers(1)
    for client in let_in(strangers, "acme", "acme"):
        strangers.left(client)
    assert not strangers.make_room()


def test_where_strangers_may_have_all_places_nobody_is_closed_for_others() -> None:
    strangers = Strangers(None)
    let_in(strangers, "acme", "acme", "acme")
    assert not strangers.make_room()


def test_a_stranger_whose_key_was_refused_stays_one() -> None:
    strangers, refused = Strangers(1), Client()
    strangers.came(refused)
    strangers.answered(refused)
    assert refused in strangers
    strangers.came(Client())
    assert refused.went
