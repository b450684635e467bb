"""Sending and asking: the reference's bodies, and what is refused before it reaches the gateway."""

from dataclasses import replace

import falcon.testing
import pytest
from support.sms_proxy import APP_ID, INFO, MESSAGE_ID, ROW, SENT, USER, Surface

from signalbox.actors.sending import SendRequest
from signalbox.domain.errors import (
    IdempotencyConflict,
    LinkIsDisabled,
    Refused,
    RejectedByFilter,
    TenantErased,
    TextTooLong,
    UnknownLink,
)
from signalbox.eventstore.errors import Unavailable
from signalbox.projections.links import LinkRow

SEND = {
    "esme": 1,
    "source": "+123456789",
    "destination": "+987654321",
    "message": "Hello world",
    "transaction_id": "tx-001",
}


def send(
    client: falcon.testing.TestClient, headers: dict[str, str] | None = None, **changed: object
) -> falcon.testing.Result:
    body = {name: value for name, value in {**SEND, **changed}.items() if value is not ...}
    return client.simulate_post("/api/v1/sms/send", json=body, headers={**USER, **(headers or {})})


def test_a_submitted_message_is_answered_as_the_reference_shows(
    client: falcon.testing.TestClient,
) -> None:
    answer = send(client)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == {
        "success": True,
        "error": "",
        "esme": 1,
        "transaction_id": "tx-001",
        "message_id": MESSAGE_ID,
        "status": "submitted",
        "sms_ids": [f"{MESSAGE_ID}-1", f"{MESSAGE_ID}-2"],
        "task_id": 12345,
    }


def test_the_gateway_is_asked_for_what_the_caller_wrote(
    surface: Surface, client: falcon.testing.TestClient
) -> None:
    send(client, {"Idempotency-Key": "key-1", "X-Request-ID": "req-1"}, campaign="spring")
    assert surface.sending.requests == [
        SendRequest(
            link_id=1,
            app_id=APP_ID,
            source="+123456789",
            destination="+987654321",
            text="Hello world",
            transaction_id="tx-001",
            campaign="spring",
            idempotency_key="key-1",
            by="user-42",
            request_id="req-1",
        )
    ]


@pytest.mark.parametrize(
    ("changed", "campaign"),
    [({}, "tx-001"), ({"transaction_id": ...}, "app-7"), ({"campaign": "c"}, "c")],
)
def test_a_message_without_campaign_counts_for_its_transaction_or_application(
    surface: Surface, client: falcon.testing.TestClient, changed: dict[str, object], campaign: str
) -> None:
    send(client, None, **changed)
    assert surface.sending.requests[0].campaign == campaign


def test_a_waiting_message_is_a_success(
    surface: Surface, client: falcon.testing.TestClient
) -> None:
    surface.sending.outcome = replace(SENT, status="queued")
    answer = send(client)
    assert (answer.status_code, answer.json["success"], answer.json["status"]) == (
        200,
        True,
        "queued",
    )


def test_a_message_the_smsc_refused_is_a_failure_with_its_ids(
    surface: Surface, client: falcon.testing.TestClient
) -> None:
    error = "ESME_RINVDSTADR (0x0000000B)"
    surface.sending.outcome = replace(SENT, status="failed", error=error)
    answer = send(client)
    assert answer.status_code == 500
    assert answer.json["success"] is False
    assert answer.json["status"] == "failed"
    assert answer.json["error"] == error
    assert answer.json["message_id"] == MESSAGE_ID


@pytest.mark.parametrize(
    ("refusal", "status", "error"),
    [
        (UnknownLink(9), 400, "unknown esme"),
        (LinkIsDisabled(1), 500, "link disabled"),
        (TextTooLong(11, 10), 400, "message needs 11 parts, at most 10 are allowed"),
        (RejectedByFilter("casino"), 400, "rejected by filter casino"),
        (IdempotencyConflict(), 409, "idempotency key was used for a different request"),
        (TenantErased("app-7"), 403, "tenant was erased"),
    ],
)
def test_a_refused_message_is_answered_with_what_was_asked(
    surface: Surface,
    client: falcon.testing.TestClient,
    refusal: Refused,
    status: int,
    error: str,
) -> None:
    surface.sending.outcome = refusal
    answer = send(client)
    assert answer.status_code == status
    assert answer.json == {
        "success": False,
        "error": error,
        "esme": 1,
        "transaction_id": "tx-001",
        "status": "failed",
    }


def test_while_the_store_is_away_the_caller_may_try_again(
    surface: Surface, client: falcon.testing.TestClient
) -> None:
    surface.sending.outcome = Unavailable("host 10.0.0.1 is down", retry_after_s=3)
    answer = send(client)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    assert answer.json["error"] == "service unavailable, try again"


def test_nothing_of_an_accident_is_told(
    surface: Surface, client: falcon.testing.TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    surface.sending.outcome = RuntimeError("secret detail")
    answer = send(client, {"X-Request-ID": "req-9"})
    assert answer.status_code == 500
    assert answer.json["error"] == "internal error"
    assert answer.json["id"] == "req-9"
    assert "secret detail" not in answer.text
    (record,) = caplog.records
    assert (record.message, record.__dict__["request_id"]) == ("request failed", "req-9")


@pytest.mark.parametrize(
    "changed",
    [
        *({name: ...} for name in ("esme", "source", "destination", "message")),
        *({"esme": esme} for esme in (0, -1, True, "1", 1.0, None, 2**63)),
        *({name: 5} for name in ("source", "destination", "message", "transaction_id")),
        {"transaction_id": "t" * 65},
        {"campaign": "c" * 65},
        *({"destination": to} for to in ("", "12", "+12", "1" * 16, "+49 170", "49-170", "abc",
                                         "\u0661\u0662\u0663", "123\n", "++123")),
        *({"source": source} for source in ("", "+", "1" * 16, "Signalboxes!", "a" * 12, "Zug\xfc",
                                            " Zug", "Zug ", "a\r\nb", "abc\n")),
    ],
)  # fmt: skip
def test_a_send_with_a_bad_field_is_refused(
    surface: Surface, client: falcon.testing.TestClient, changed: dict[str, object]
) -> None:
    answer = send(client, None, **changed)
    assert answer.status_code == 400
    assert answer.json["success"] is False
    assert answer.json["error"].startswith("invalid ")
    assert surface.sending.requests == []


@pytest.mark.parametrize("source", ["1", "+123456789012345", "Signalbox", "Zug 4711", "A&B-C.d_e"])
@pytest.mark.parametrize("destination", ["123", "+123", "123456789012345"])
def test_the_addresses_of_the_reference_are_taken(
    client: falcon.testing.TestClient, source: str, destination: str
) -> None:
    assert send(client, source=source, destination=destination).status_code == 200


@pytest.mark.parametrize("key", ["", "with space", "k" * 129, "schl\xfcssel", "tab\tbed"])
def test_an_idempotency_key_is_visible_ascii(
    surface: Surface, client: falcon.testing.TestClient, key: str
) -> None:
    answer = send(client, {"Idempotency-Key": key})
    assert answer.status_code == 400
    assert answer.json["error"].startswith("invalid Idempotency-Key")
    assert surface.sending.requests == []


@pytest.mark.parametrize("key", ["k", "k" * 128, "!~"])
def test_an_idempotency_key_may_have_128_characters(
    surface: Surface, client: falcon.testing.TestClient, key: str
) -> None:
    assert send(client, {"Idempotency-Key": key}).status_code == 200
    assert surface.sending.requests[0].idempotency_key == key


def test_check_esme_tells_that_a_link_is_bound(client: falcon.testing.TestClient) -> None:
    answer = _ask(client, "check-esme", {"esme": 1})
    assert answer.status_code == 200
    assert answer.json == {"persist": True, "system_id": "my_system", "error": ""}


@pytest.mark.parametrize(
    ("row", "error"),
    [
        (replace(ROW, bind_state="down", reason="connection lost"), "connection lost"),
        (replace(ROW, bind_state="down"), "not connected"),
        (replace(ROW, bind_state="down", enabled=False), "link disabled"),
    ],
)
def test_check_esme_tells_why_a_link_is_not_bound(
    surface: Surface, client: falcon.testing.TestClient, row: LinkRow, error: str
) -> None:
    surface.reads.rows = [row]
    answer = _ask(client, "check-esme", {"esme": 1})
    assert answer.status_code == 200
    assert answer.json == {"persist": False, "system_id": "my_system", "error": error}


def test_check_esme_knows_no_other_link(client: falcon.testing.TestClient) -> None:
    answer = _ask(client, "check-esme", {"esme": 2})
    assert answer.status_code == 200
    assert answer.json == {"persist": False, "system_id": "", "error": "unknown esme"}


def test_info_tells_what_became_of_each_part(client: falcon.testing.TestClient) -> None:
    answer = _ask(client, "info", {"esme": 1, "message_id": MESSAGE_ID})
    assert answer.status_code == 200
    assert answer.json == {
        "message_id": MESSAGE_ID,
        "mode": "submit_sm",
        "parts": {"1": "delivered", "2": "submitted"},
        "delivered_count": 1,
        "sent_at": 1_700_000_000,
        "updated_at": 1_700_000_010,
        "transaction_id": "tx-001",
        "task_id": 12345,
        "status": "sending",
        "error": "",
        "carrier": 1,
        "long_mode": "udh8",
        "part_details": {
            "1": {"smsc_id": "a1", "error": ""},
            "2": {"smsc_id": "a2", "error": ""},
        },
    }


@pytest.mark.parametrize(
    "body",
    [
        {"esme": 2, "message_id": MESSAGE_ID},
        {"esme": 1, "message_id": "other"},
        {"esme": 1, "message_id": "'; DROP TABLE messages"},
    ],
)
def test_a_message_of_others_is_as_unknown_as_none(
    client: falcon.testing.TestClient, body: dict[str, object]
) -> None:
    assert INFO.app_id == APP_ID
    answer = _ask(client, "info", body)
    assert (answer.status_code, answer.json) == (
        404,
        {"success": False, "error": "message not found"},
    )


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("check-esme", {}),
        ("check-esme", {"esme": "1"}),
        ("check-esme", {"esme": True}),
        ("info", {"esme": 1}),
        ("info", {"message_id": MESSAGE_ID}),
        ("info", {"esme": 1, "message_id": ""}),
        ("info", {"esme": 1, "message_id": "m" * 256}),
        ("info", {"esme": 1, "message_id": 5}),
        ("info", {"esme": 1, "message_id": "a\0b"}),
    ],
)
def test_a_question_with_a_bad_field_is_refused(
    client: falcon.testing.TestClient, path: str, body: dict[str, object]
) -> None:
    answer = _ask(client, path, body)
    assert (answer.status_code, answer.json["success"]) == (400, False)


def _ask(
    client: falcon.testing.TestClient, path: str, body: dict[str, object]
) -> falcon.testing.Result:
    return client.simulate_post(f"/api/v1/sms/{path}", json=body, headers=USER)
