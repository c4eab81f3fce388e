"""The management API: limits, prices, credit and budgets, and what was used, in OpenAI's shapes too."""

from __future__ import annotations

import time

import pytest
from managed import ROOT, Client
from support.installation import OPERATOR

from undiced.api.management.money_bodies import MONEY_BODIES


def test_a_price_that_has_not_begun_can_be_taken_back(operator, admin):
    now = operator.post(f"{ROOT}/prices", {"model": "m", "input": 1, "output": 2})
    later = {"model": "m", "input": 3, "output": 4, "valid_from": now["valid_from"] + 1000}
    made = operator.post(f"{ROOT}/prices", later)
    assert admin.refused("POST", f"{ROOT}/prices:cancel", {"model": "m"})[0] == 403
    assert operator.post(f"{ROOT}/prices:cancel", {"model": "m"})["id"] == made["id"]
    assert operator.get(f"{ROOT}/prices")["data"] == [now]
    for model in ("m", "unknown"):
        assert operator.refused("POST", f"{ROOT}/prices:cancel", {"model": model})[::2] == (400, "model")
    assert operator.get(f"{ROOT}/audit?limit=1")["data"][0]["action"] == "price.cancel"


RATES = {
    "input": 1, "output": 2, "cached_input": 3, "batch_permille": 4, "flex_permille": 5, "priority_permille": 6,
}  # fmt: skip
SAVED = [  # what is sent, every field of it but whose it is, and what of it is told otherwise
    ("limits", {"limit": "tpm", "capacity": 7, "model": "m"}, {"metric": "tokens", "window_s": 60}),
    ("budgets", {"amount": 8, "stops": False}, {}),
    ("credits", {"amount": 9, "currency": "USD", "expires": 4_000_000_000, "note": "for May"}, {}),
    ("prices", {"model": "saved", "currency": "USD", "valid_from": 3_000_000_000, **RATES}, {"rates": RATES}),
]


@pytest.mark.parametrize("of", ["project", "key"])
@pytest.mark.parametrize(("what", "sent", "otherwise"), SAVED, ids=[what for what, *_ in SAVED])
def test_every_field_about_limits_and_money_is_saved(house, operator, what, sent, otherwise, of):
    org = f"{ROOT}/orgs/globex"
    place, model = (ROOT, f"saved-{of}") if what == "prices" else (org, "m")
    sent = sent | ({"model": model} if "model" in sent else {})
    body = next(each for each in MONEY_BODIES if each.__name__ == f"New{what.title()[:-1]}")
    assert {*sent, "project", "key"} >= {*body.__struct_fields__}
    if "project" in body.__struct_fields__:
        projects = {each["name"]: each["id"] for each in operator.get(f"{org}/projects")["data"]}
        subject = projects["default"] if of == "project" else house.fresh("globex")[0].id
        sent, otherwise = {**sent, of: subject}, {**otherwise, "subject": of, "subject_id": subject}
    made = operator.post(f"{place}/{what}", sent)
    query = f"?{of}={subject}" if what == "limits" else ""
    (told,) = [each for each in operator.get(f"{place}/{what}{query}")["data"] if each == made]
    kept = {name: value for name, value in sent.items() if name in told} | otherwise
    assert told == {**told, **kept}
    assert sent.keys() - kept.keys() - RATES.keys() <= {"limit", "currency", of}


@pytest.mark.parametrize("path", ["/v1/organization/usage/completions", "/v1/organization/costs"])
def test_openais_usage_says_what_it_does_not_know_and_shows_nobody_elses(house, app, operator, admin, path):
    def refused(query: str, by: Client = admin) -> str | None:
        status, _, param = by.refused("GET", f"{path}?{query}")
        assert status == 400
        return param

    assert refused("limit=2") == "start_time"
    assert refused("start_time=9&end_time=8") == refused("start_time=90000&end_time=86400") == "end_time"
    assert refused("start_time=9&group_by[]=user_id") == "group_by"
    assert refused("start_time=9&bucket_width=1w") == "bucket_width"
    assert refused("start_time=9&limit=181") == "limit"
    for page in ("page_", "page_86401", "86400", "page_99999999999999"):
        assert refused(f"start_time=9&page={page}") == "page"
    assert refused("start_time=9&batch=true") == "batch"
    assert refused("start_time=9&org=globex") == "org"
    assert refused("start_time=9&project_ids=nowhere") == "project"
    assert refused("start_time=9&project_ids=default", operator) == "org"
    assert operator.get(f"{path}?start_time=9&org=acme&project_ids=default&limit=1")["next_page"] == "page_86400"
    house.accounts.projects.create(OPERATOR, "acme", f"p{len(path)}")
    own = Client(app, house.key("acme", "management", project=f"p{len(path)}"))
    assert own.get(f"{path}?start_time={int(time.time())}")["data"][0]["results"] == []
    assert refused("start_time=9&project_ids=default", own) == "project"
