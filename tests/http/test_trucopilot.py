"""What phones and applications of an organisation call, row by row; every answer is described."""

from __future__ import annotations

import json
from typing import Any, Final

import falcon.testing
import pytest
from support.trucopilot import HEADERS, ORG, OWNER, SECRET, Surface

from signalbox.domain.errors import (
    IdempotencyConflict,
    QueueFull,
    TenantErased,
    TextTooLong,
)
from signalbox.domain.phone import SimCard
from signalbox.domain.phone_message import ReportStatus
from signalbox.projections.phone_views import NumberQuery
from signalbox.projections.phones import SimsView

Client = falcon.testing.TestClient

ONE: Final = {"address": "+15551112222", "body": "hi", "date": 1700000000000}
AUTH: Final = {"org_id": ORG, "secret_key": SECRET}
MESSAGES: Final = f"/messages/{ORG}"
SEND: Final = f"/send/{ORG}"
HOOKS: Final = f"/webhooks/{ORG}"
HOOK: Final = "https://example.com/hooks/sms"


@pytest.fixture
def surface() -> Surface:
    return Surface()


def store(client: Client, *messages: object, **body: object) -> falcon.testing.Result:
    return client.simulate_post("/webhook", json={**AUTH, "messages": [*messages], **body})


def send(client: Client, headers: dict[str, str] = HEADERS, **body: object) -> Any:  # noqa: ANN401
    return client.simulate_post(SEND, json=body, headers=headers)


def listed(client: Client, **params: object) -> Any:  # noqa: ANN401  (JSON)
    return client.simulate_get(MESSAGES, headers=HEADERS, params=params).json


def failure(answer: falcon.testing.Result) -> tuple[int, str]:
    """Return status and sentence of a failure, which must be told as all are."""
    body = answer.json
    assert body["ok"] is False
    assert body["detail"] == body["error"]
    assert body["code"]
    return answer.status_code, body["error"]


def test_the_gateway_runs(client: Client) -> None:
    assert client.simulate_get("/health").json == {"status": "ok", "ok": True}


def test_on_a_port_of_its_own_it_says_no_more_than_the_reference() -> None:
    assert Surface(alone=True).client().simulate_get("/health").json == {"status": "ok"}


def test_the_first_text_claims_the_organisation() -> None:
    surface = Surface(claimed=False)
    answer = store(surface.client(), ONE)
    assert answer.json == {"ok": True, "org_id": ORG, "stored": 1}
    assert surface.orgs.secrets == {ORG: SECRET}
    assert surface.messages.asked_by == [OWNER]


def test_no_text_at_all_claims_it_too() -> None:
    surface = Surface(claimed=False)
    assert store(surface.client()).json == {"ok": True, "org_id": ORG, "stored": 0}
    assert surface.orgs.secrets == {ORG: SECRET}


@pytest.mark.parametrize(
    "body",
    [
        {**AUTH},
        {**AUTH, "messages": {}},
        {**AUTH, "messages": [{}]},
        {**AUTH, "messages": [ONE] * 501},
        {"org_id": "a b", "secret_key": SECRET, "messages": [ONE]},
        {"org_id": ORG, "secret_key": "short", "messages": [ONE]},
    ],
)
def test_nothing_is_claimed_by_a_request_that_makes_no_sense(body: dict[str, object]) -> None:
    surface = Surface(claimed=False)
    assert surface.client().simulate_post("/webhook", json=body).status_code == 422
    assert surface.orgs.secrets == {}


def test_a_text_is_stored_with_all_that_is_known_of_it(client: Client, surface: Surface) -> None:
    text = {**ONE, "sim_slot": 1, "sim_number": "+15550001111", "id": "123"}
    assert store(client, text).json["stored"] == 1
    assert listed(client) == {
        "org_id": ORG,
        "count": 1,
        "messages": [
            {
                "id": 1,
                "direction": "in",
                "address": "+15551112222",
                "body": "hi",
                "sim_slot": 1,
                "sim_number": "+15550001111",
                "status": "received",
                "device_ts": 1700000000000,
                "created_at": "2026-04-20T14:30:00Z",
                "sent_at": None,
                "error": None,
            }
        ],
    }
    (message,) = surface.messages.found.values()
    assert message.received_at_s == 1_700_000_000.0


def test_who_it_is_may_be_in_the_headers(client: Client) -> None:
    headers = {"X-Org-Id": ORG, "X-Secret-Key": SECRET}
    answer = client.simulate_post("/webhook", json={"messages": [ONE]}, headers=headers)
    assert answer.json == {"ok": True, "org_id": ORG, "stored": 1}


def test_the_same_text_is_stored_once(client: Client) -> None:
    answer = store(client, ONE, {**ONE, "id": 7}, {**ONE, "body": "other"})
    assert answer.json == {"ok": True, "org_id": ORG, "stored": 2, "duplicates": 1}
    assert store(client, ONE).json == {"ok": True, "org_id": ORG, "stored": 0, "duplicates": 1}


@pytest.mark.parametrize(
    ("ids", "stored"),
    [
        ([1, 2, 3], 3),
        ([1, 2, "1", 2], 2),
        ([1, None, 2], 2),
        ([None, 1, 2], 2),
        ([None, 1], 1),
        ([None, None], 1),
        (["", "", 1], 1),
        ([0, 1], 2),
    ],
)
def test_of_one_request_texts_alike_with_ids_of_their_own_are_several(
    client: Client, ids: list[object], stored: int
) -> None:
    texts = [{**ONE, "id": one} for one in ids]
    assert store(client, *texts, {**ONE, "body": "other", "id": 9}).json["stored"] == stored + 1
    assert store(client, *texts).json["stored"] == 0
    assert store(client, ONE).json["stored"] == 0


def test_a_bad_text_does_not_keep_the_others_back(client: Client) -> None:
    answer = store(client, {"address": "x"}, ONE, "text")
    assert answer.json == {
        "ok": True,
        "org_id": ORG,
        "stored": 1,
        "rejected": [
            {"index": 0, "error": "body: required"},
            {"index": 2, "error": "expected object, got str"},
        ],
    }


def test_nothing_but_bad_texts_is_refused(client: Client, surface: Surface) -> None:
    answer = store(client, {**ONE, "date": -1}, {**ONE, "sim_slot": 8})
    assert failure(answer) == (422, "messages[0].date: expected a time in ms since 1970")
    assert [one["index"] for one in answer.json["errors"]] == [0, 1]
    assert surface.messages.found == {}


@pytest.mark.parametrize(
    ("given", "device_ts"),
    [
        (1700000000000, 1700000000000),
        ("1700000000000", 1700000000000),
        (1700000000000.0, 1700000000000),
        (1700000000, 1700000000000),
        ("1700000000", 1700000000000),
        (0, 0),
        (253_402_300_799_999, 253_402_300_799_999),
    ],
)
def test_a_date_is_ms_or_seconds(client: Client, given: object, device_ts: int) -> None:
    assert store(client, {**ONE, "date": given}).json["stored"] == 1
    assert listed(client)["messages"][0]["device_ts"] == device_ts


@pytest.mark.parametrize(
    "text",
    [
        {**ONE, "address": ""},
        {**ONE, "address": "x" * 65},
        {**ONE, "address": None},
        {**ONE, "body": "x" * 10_001},
        {**ONE, "body": 7},
        {**ONE, "date": "yesterday"},
        {**ONE, "date": "٣٣٣٣٣٣٣٣٣٣٣"},
        {**ONE, "date": True},
        {**ONE, "date": None},
        {**ONE, "date": 253_402_300_800_000},
        {**ONE, "sim_slot": -1},
        {**ONE, "sim_slot": "0"},
        {**ONE, "sim_number": "1" * 33},
        {**ONE, "id": []},
        None,
        [],
    ],
)
def test_texts_that_can_t_be_taken(client: Client, text: object) -> None:
    assert store(client, text).status_code == 422
    assert store(client, text, ONE).json["stored"] == 1


@pytest.mark.parametrize(
    "text",
    [
        {**ONE, "address": "SUPPORT"},
        {**ONE, "address": "121"},
        {**ONE, "address": "Müller & Söhne"},
        {**ONE, "body": ""},
        {**ONE, "body": "x" * 10_000},
        {**ONE, "sim_slot": None, "sim_number": None, "id": None},
        {**ONE, "id": 9},
        {**ONE, "unasked": {"for": 1}},
    ],
)
def test_texts_that_can(client: Client, text: object) -> None:
    assert store(client, text).json["stored"] == 1


def test_what_can_t_be_stored_of_a_text_is_replaced(client: Client) -> None:
    body = json.dumps({**AUTH, "messages": [{**ONE, "address": "a\0\n", "body": "x\0\ud800y"}]})
    assert client.simulate_post("/webhook", body=body).json["stored"] == 1
    (message,) = listed(client)["messages"]
    assert (message["address"], message["body"]) == ("a\ufffd\ufffd", "x\ufffd\ufffdy")


def test_a_text_goes_out_as_a_ticket(client: Client, surface: Surface) -> None:
    answer = send(client, to="+15553334444", body="sent from API")
    assert answer.json == {
        "ok": True,
        "device_online": False,
        "queued": 1,
        "results": [{"id": 1, "to": "+15553334444", "status": "queued"}],
    }
    assert surface.messages.asked_by == [OWNER]
    (shown,) = listed(client, direction="out")["messages"]
    assert shown == {
        "id": 1,
        "direction": "out",
        "address": "+15553334444",
        "body": "sent from API",
        "sim_slot": None,
        "sim_number": None,
        "status": "queued",
        "device_ts": None,
        "created_at": "2026-04-20T14:30:00Z",
        "sent_at": None,
        "error": None,
    }


def test_it_is_sending_once_a_phone_has_it(client: Client, surface: Surface) -> None:
    surface.phone()
    surface.messages.at_once = {"1"}
    answer = send(client, to="+15553334444", body="a")
    assert answer.json["device_online"] is True
    assert answer.json["results"][0]["status"] == "sending"
    assert listed(client)["messages"][0]["status"] == "sending"


def test_it_waits_where_the_phone_is_busy(client: Client, surface: Surface) -> None:
    surface.phone()
    answer = send(client, to="+15553334444", body="a")
    assert answer.json["device_online"] is True
    assert answer.json["results"][0]["status"] == "queued"


def test_several_are_taken_on_in_order(client: Client) -> None:
    messages = [{"to": "+1 (555) 333-4444", "body": "a"}, {"to": "*100#", "body": "b"}]
    answer = send(client, sim="+15550001111", messages=messages)
    assert answer.json["queued"] == 2
    assert answer.json["results"] == [
        {"id": 1, "to": "+15553334444", "status": "queued"},
        {"id": 2, "to": "*100#", "status": "queued"},
    ]
    assert {one["sim_number"] for one in listed(client)["messages"]} == {"+15550001111"}


def test_one_bad_text_holds_all_of_them(client: Client, surface: Surface) -> None:
    messages = [{"to": "+1555", "body": "a"}, {"to": "nobody", "body": "b"}, {"to": "+1555"}, 7]
    answer = send(client, messages=messages)
    assert failure(answer) == (422, "messages[1].to: expected 3 to 20 digits")
    assert answer.json["errors"] == [
        {"index": 1, "error": "to: expected 3 to 20 digits"},
        {"index": 2, "error": "body: required"},
        {"index": 3, "error": "expected object, got int"},
    ]
    assert surface.messages.found == {}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, "to: required"),
        ({"to": "+1555"}, "body: required"),
        ({"body": "a"}, "to: required"),
        ({"to": 1555, "body": "a"}, "to: expected str, got int"),
        ({"to": "+1555", "body": None}, "body: expected str, got null"),
        ({"to": "+1555", "body": ""}, "body: expected some text"),
        ({"to": "+1555", "body": " \n"}, "body: expected some text"),
        ({"to": "+1555", "body": "x" * 1_601}, "body: expected 1600 characters at most"),
        ({"to": "", "body": "a"}, "to: expected 3 to 20 digits"),
        ({"to": "12", "body": "a"}, "to: expected 3 to 20 digits"),
        ({"to": "1" * 21, "body": "a"}, "to: expected 3 to 20 digits"),
        ({"to": "٣٣٣٣", "body": "a"}, "to: expected 3 to 20 digits"),
        ({"to": "++155", "body": "a"}, "to: expected 3 to 20 digits"),
        ({"to": "+1555", "body": "a", "messages": []}, None),
        (
            {"to": "+1555", "body": "a", "messages": [{"to": "+1555", "body": "a"}]},
            "expected either to and body, or messages",
        ),
        ({"messages": []}, None),
        ({"messages": [{"to": "+1555", "body": "a"}] * 501}, None),
        ({"messages": {"to": "+1555", "body": "a"}}, None),
        ({"to": "+1555", "body": "a", "sim": -1}, None),
        ({"to": "+1555", "body": "a", "sim": 100}, None),
        ({"to": "+1555", "body": "a", "sim": True}, None),
        ({"to": "+1555", "body": "a", "sim": 1.5}, None),
        (
            {"to": "+1555", "body": "a", "sim": "the first"},
            "sim: expected the index of a slot, or a number",
        ),
        ({"to": "+1555", "body": "a", "sim": "1" * 33}, None),
        ({"to": "+1555", "body": "a", "secret_key": 7}, None),
    ],
)
def test_texts_that_can_t_be_sent(
    client: Client, surface: Surface, body: dict[str, object], error: str | None
) -> None:
    status, told = failure(send(client, **body))
    assert status == 422
    assert error in {None, told}
    assert surface.messages.found == {}


@pytest.mark.parametrize("text", ["a\\u0000b", "a\\ud800b"])
def test_what_can_t_be_stored_of_a_text_that_goes_out_is_refused(client: Client, text: str) -> None:
    body = f'{{"to":"+15553334444","body":"{text}"}}'
    answer = client.simulate_post(SEND, body=body, headers=HEADERS)
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("sim", "slot", "number"),
    [
        (0, 0, None),
        ("1", 1, None),
        ("+15550001111", None, "+15550001111"),
        (None, None, None),
        ("", None, None),
    ],
)
def test_a_sim_is_a_slot_or_a_number(
    client: Client, sim: object, slot: int | None, number: str | None
) -> None:
    send(client, to="+1555", body="a", sim=sim)
    (message,) = listed(client)["messages"]
    assert (message["sim_slot"], message["sim_number"]) == (slot, number)


@pytest.mark.parametrize(
    ("sim", "online"),
    [
        (None, True),
        (0, True),
        (1, False),
        ("15550001111", True),
        ("+1 555 000 1111", True),
        ("+15550002222", False),
    ],
)
def test_a_phone_is_online_if_it_has_the_sim(
    client: Client, surface: Surface, sim: object, *, online: bool
) -> None:
    surface.phone(SimCard(0, "+15550001111"))
    assert send(client, to="+1555", body="a", sim=sim).json["device_online"] is online


def test_a_phone_that_has_not_told_its_sims_may_have_it(client: Client, surface: Surface) -> None:
    surface.phone(told=False)
    assert send(client, to="+1555", body="a", sim=1).json["device_online"] is True


def test_a_repeated_request_finds_its_tickets(client: Client) -> None:
    headers = {**HEADERS, "Idempotency-Key": "order-7"}
    first = send(client, headers, to="+1555", body="a")
    assert send(client, headers, to="+1555", body="a").json == first.json
    assert listed(client)["count"] == 1


@pytest.mark.parametrize("key", ["", "x" * 129, "a b", "ä"])
def test_a_key_is_visible_ascii(client: Client, key: str) -> None:
    headers = {**HEADERS, "Idempotency-Key": key}
    assert failure(send(client, headers, to="+1555", body="a"))[0] == 400


@pytest.mark.parametrize(
    ("refusal", "status", "code", "retry_after"),
    [
        (IdempotencyConflict(), 409, "idempotency_conflict", None),
        (QueueFull(10_000), 429, "queue_full", "60"),
        (TenantErased("org_myorg"), 403, "erased", None),
        (TextTooLong(11, 10), 422, "invalid", None),
    ],
)
def test_what_the_gateway_does_not_take_on(
    client: Client,
    surface: Surface,
    refusal: Exception,
    status: int,
    code: str,
    retry_after: str | None,
) -> None:
    surface.messages.refuse = refusal
    answer = send(client, to="+1555", body="a")
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert answer.json["error"] == str(refusal)
    assert answer.headers.get("Retry-After") == retry_after


def test_a_text_s_life_is_told(client: Client, surface: Surface) -> None:
    send(client, messages=[{"to": "+1555", "body": "a"}, {"to": "+1555", "body": "b"}])
    surface.store.now_s += 5
    sent = ReportStatus(status="sent", at_s=surface.store.now_s)
    surface.messages.report(OWNER, "1", sent, by="phone")
    failed = ReportStatus(status="failed", at_s=surface.store.now_s, error="no service")
    surface.messages.report(OWNER, "2", failed, by="phone")
    one, two = listed(client)["messages"]
    assert (one["status"], one["sent_at"], one["error"]) == ("sent", "2026-04-20T14:30:05Z", None)
    assert (two["status"], two["sent_at"], two["error"]) == ("failed", None, "no service")


def test_having_been_delivered_has_no_word_here(client: Client, surface: Surface) -> None:
    send(client, to="+1555", body="a")
    delivered = ReportStatus(status="delivered", at_s=surface.store.now_s)
    surface.messages.report(OWNER, "1", delivered, by="phone")
    assert listed(client)["messages"][0]["status"] == "sent"


@pytest.mark.parametrize(
    ("params", "query"),
    [
        ({}, NumberQuery(limit=100)),
        ({"limit": "7"}, NumberQuery(limit=7)),
        ({"limit": "1000"}, NumberQuery(limit=1_000)),
        ({"limit": "1001"}, NumberQuery(limit=1_000)),
        ({"limit": "9" * 20}, NumberQuery(limit=1_000)),
        ({"limit": "9" * 5_000}, NumberQuery(limit=1_000)),
        ({"limit": f"{'0' * 5_000}7"}, NumberQuery(limit=7)),
        ({"since_id": "0"}, NumberQuery(limit=100)),
        ({"since_id": "41"}, NumberQuery(limit=100, since_number=41)),
        ({"direction": "in"}, NumberQuery(limit=100, direction="inbound")),
        ({"direction": "out"}, NumberQuery(limit=100, direction="outbound")),
        ({"sim": "0"}, NumberQuery(limit=100, sim=0)),
        ({"sim": "+15550001111"}, NumberQuery(limit=100, sim="+15550001111")),
        ({"ids": "5,6"}, NumberQuery(limit=1_000, numbers=(5, 6))),
        ({"ids": "5", "limit": "1"}, NumberQuery(limit=1, numbers=(5,))),
        (
            {"updated_since": "2026-04-20T14:30:00Z"},
            NumberQuery(limit=100, updated_since_s=1_776_695_400.0),
        ),
        ({"order": "desc"}, NumberQuery(limit=100, newest_first=True)),
        ({"order": "asc"}, NumberQuery(limit=100)),
    ],
)
def test_which_messages_are_asked_for(
    client: Client, surface: Surface, params: dict[str, str], query: NumberQuery
) -> None:
    assert client.simulate_get(MESSAGES, headers=HEADERS, params=params).status_code == 200
    assert surface.messages.queries == [query]


def test_a_plus_that_the_query_lost_is_not_missed(client: Client, surface: Surface) -> None:
    answer = client.simulate_get(MESSAGES, headers=HEADERS, query_string="sim=+15550001111")
    assert answer.status_code == 200
    assert surface.messages.queries[0].sim in {" 15550001111", "+15550001111"}


@pytest.mark.parametrize(
    "params",
    [
        {"limit": "0"},
        {"limit": "0" * 20},
        {"limit": "-1"},
        {"limit": f"-{'9' * 20}"},
        {"limit": f"{'9' * 20}x"},
        {"limit": "ten"},
        {"limit": ""},
        {"limit": "٣"},
        {"since_id": "-1"},
        {"since_id": "x"},
        {"since_id": "9223372036854775808"},
        {"direction": "inbound"},
        {"direction": ""},
        {"sim": "none"},
        {"ids": ""},
        {"ids": "5,,6"},
        {"ids": "0"},
        {"ids": "5;6"},
        {"ids": ",".join(["5"] * 1_001)},
        {"updated_since": "yesterday"},
        {"order": "random"},
    ],
)
def test_queries_that_make_no_sense(client: Client, params: dict[str, str]) -> None:
    status, error = failure(client.simulate_get(MESSAGES, headers=HEADERS, params=params))
    assert status == 400
    assert error.startswith(next(iter(params)))


def test_messages_come_by_their_ids(client: Client) -> None:
    store(client, *({**ONE, "body": str(number)} for number in range(5)))
    assert [one["id"] for one in listed(client, since_id=2, limit=2)["messages"]] == [3, 4]
    assert [one["id"] for one in listed(client, order="desc")["messages"]] == [5, 4, 3, 2, 1]
    assert [one["id"] for one in listed(client, ids="4,2")["messages"]] == [2, 4]


def test_the_sims_are_listed(client: Client, surface: Surface) -> None:
    card, unknown = SimCard(0, "+15550001111", "SIM1", "AT&T"), SimCard(-1, "", "", "")
    known = [(card, surface.store.now_s), (unknown, surface.store.now_s)]
    surface.messages.shown_sims = SimsView(1, [card], known)
    sim = {"slot": 0, "number": "+15550001111", "label": "SIM1", "carrier": "AT&T"}
    seen = "2026-04-20T14:30:00Z"
    nothing = {"slot": None, "number": None, "label": "", "carrier": ""}
    assert client.simulate_get(f"/sims/{ORG}", headers=HEADERS).json == {
        "online_devices": 1,
        "live_sims": [sim],
        "known_sims": [{**sim, "last_seen": seen}, {**nothing, "last_seen": seen}],
    }


def test_a_webhook_is_configured_and_its_secret_shown_once(client: Client) -> None:
    assert client.simulate_get(HOOKS, headers=HEADERS).status_code == 404
    body = {"secret_key": SECRET, "url": HOOK, "events": ["inbound"]}
    answer = client.simulate_put(HOOKS, json=body)
    shown = {
        "ok": True,
        "url": HOOK,
        "events": ["inbound"],
        "enabled": True,
        "disabled_reason": None,
    }
    assert answer.json == {**shown, "secret": "whsec_1"}
    assert client.simulate_put(HOOKS, json=body).json == shown
    assert client.simulate_get(HOOKS, headers=HEADERS).json == shown
    again = client.simulate_put(HOOKS, json={**body, "new_secret": True})
    assert again.json["secret"] == "whsec_2"


def test_it_hears_of_everything_unless_it_says_what_of(client: Client) -> None:
    answer = client.simulate_put(HOOKS, json={"url": HOOK}, headers=HEADERS)
    assert answer.json["events"] == ["inbound", "status", "presence"]


def test_a_webhook_is_removed(client: Client) -> None:
    client.simulate_put(HOOKS, json={"url": HOOK}, headers=HEADERS)
    for _ in range(2):
        assert client.simulate_delete(HOOKS, headers=HEADERS).json == {"ok": True}
    assert failure(client.simulate_get(HOOKS, headers=HEADERS))[0] == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": "ftp://example.com"},
        {"url": HOOK, "events": []},
        {"url": HOOK, "events": ["all"]},
        {"url": f"{HOOK}/{'x' * 2_048}"},
    ],
)
def test_webhooks_that_can_t_be(client: Client, body: dict[str, object]) -> None:
    assert failure(client.simulate_put(HOOKS, json=body, headers=HEADERS))[0] == 422


@pytest.mark.parametrize("path", [MESSAGES, f"{MESSAGES}/{SECRET}", f"/sims/{ORG}", HOOKS, SEND])
def test_nobody_keeps_what_was_answered(client: Client, path: str) -> None:
    client.simulate_put(HOOKS, json={"url": HOOK}, headers=HEADERS)
    if path == SEND:
        answer = send(client, to="+1555", body="a")
    else:
        headers = {} if SECRET in path else HEADERS
        answer = client.simulate_get(path, headers=headers)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
