"""What the mail proxy's clients may write, and what they are told of the rest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.mail_proxy import ADMIN, NOW_S, Surface, message

from signalbox.http.mail_proxy.faults import FAULTS_MAX, INPUT_OCTETS_MAX

if TYPE_CHECKING:
    import falcon.testing

ACCOUNT: Final[dict[str, object]] = {"id": "a", "tenant_id": "acme", "host": "h", "port": 25}
ADD: Final = "/commands/add-messages"

Faults = list[tuple[str, list[str | int]]]


@pytest.fixture
def surface() -> Surface:
    surface = Surface()
    surface.tenant("acme")
    return surface


def post(surface: Surface, path: str, body: object) -> falcon.testing.Result:
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    return surface.client().simulate_post(path, body=octets, headers=ADMIN)


def faults(answer: falcon.testing.Result) -> Faults:
    assert answer.status_code == 422, answer.text
    return [(fault["type"], fault["loc"]) for fault in answer.json["detail"]]


def added(surface: Surface, **more: object) -> falcon.testing.Result:
    return post(surface, ADD, {"messages": [message("m-1", **more)]})


@pytest.mark.parametrize(
    ("octets", "place", "reason"),
    [
        (b"{not json", 1, "Expecting property name enclosed in double quotes"),
        (b'{"id": }', 7, "Expecting value"),
        (b'{"id": "a"} x', 12, "Extra data"),
        (b'{"id": "a', 7, "Unterminated string starting at"),
        (b"id=acme", 0, "Expecting value"),
        (b'{"id": "a", "id": "b"}', 0, "a name occurs twice"),
        (b'{"id": NaN}', 0, "NaN is not JSON"),
        (b'{"id": 99999999999999999999}', 0, "number out of range"),
        (b'{"id": "\\u0000"}', 0, "NUL in a string"),
        (b'{"id": "\\ud800"}', 0, "lone surrogate in a string"),
        (b"[" * 40 + b"]" * 40, 0, "nested too deeply"),
        (b"[" * 100_000, 0, "nested too deeply"),
        (b'{"id": ' + b"1" * 5_000 + b"}", 0, "not valid JSON"),
    ],
)
def test_what_is_no_json_is_told_with_its_place(
    surface: Surface, octets: bytes, place: int, reason: str
) -> None:
    answer = post(surface, "/tenant", octets)
    assert faults(answer) == [("json_invalid", ["body", place])]
    (fault,) = answer.json["detail"]
    assert (fault["msg"], fault["input"]) == ("JSON decode error", {})
    assert fault["ctx"] == {"error": reason}


def test_what_is_no_utf_8_is_no_body(surface: Surface) -> None:
    answer = post(surface, "/tenant", b'{"id": "\xff"}')
    assert answer.status_code == 400
    assert answer.json == {"detail": "There was an error parsing the body"}


@pytest.mark.parametrize("octets", [b"", b"null"])
@pytest.mark.parametrize("path", ["/tenant", "/account", ADD])
def test_a_body_is_needed(surface: Surface, path: str, octets: bytes) -> None:
    answer = post(surface, path, octets)
    expected = {"type": "missing", "loc": ["body"], "msg": "Field required", "input": None}
    assert (answer.status_code, answer.json) == (422, {"detail": [expected]})


@pytest.mark.parametrize("octets", [b"[]", b'"text"', b"5", b"true"])
def test_a_body_is_an_object(surface: Surface, octets: bytes) -> None:
    answer = post(surface, "/tenant", octets)
    assert faults(answer) == [("model_attributes_type", ["body"])]


def test_a_body_is_read_whatever_it_is_declared_as(surface: Surface) -> None:
    headers = {**ADMIN, "Content-Type": "application/x-www-form-urlencoded"}
    client = surface.client()
    assert client.simulate_post("/tenant", body='{"id": "b"}', headers=headers).status_code == 200
    answer = client.simulate_post("/tenant", body="id=b", headers=headers)
    assert faults(answer) == [("json_invalid", ["body", 0])]


def test_what_is_too_large_is_413() -> None:
    surface = Surface(body_octets_max=100)
    answer = post(surface, "/tenant", {"id": "a" * 100})
    assert (answer.status_code, answer.json) == (413, {"detail": "request body too large"})


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ({"port": "25"}, ("port", 25)),
        ({"port": " 2_5 "}, ("port", 25)),
        ({"port": "25.0"}, ("port", 25)),
        ({"port": 25.0}, ("port", 25)),
        ({"port": True}, ("port", 1)),
        ({"port": 70_000}, ("port", 70_000)),
        ({"use_tls": "no"}, ("use_tls", False)),
        ({"use_tls": "YES"}, ("use_tls", True)),
        ({"use_tls": 0}, ("use_tls", False)),
        ({"use_tls": 1.0}, ("use_tls", True)),
        ({"use_tls": None}, ("use_tls", None)),
        ({"limit_per_minute": -1}, ("limit_per_minute", -1)),
        ({"limit_behavior": None}, ("limit_behavior", "defer")),
        ({"is_pec_account": "on"}, ("is_pec", True)),
        ({"imap_port": None}, ("imap_port", 993)),
        ({"ip_pool": "pool"}, ("ip_pool", "pool")),
    ],
)
def test_values_are_taken_as_clients_write_them(
    surface: Surface, given: dict[str, object], stored: tuple[str, object]
) -> None:
    assert post(surface, "/account", {**ACCOUNT, **given}).json == {"ok": True}
    account = surface.tenants.states["acme"].accounts["a"]
    assert getattr(account, stored[0]) == stored[1]


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        ({"port": "abc"}, "int_parsing", ", unable to parse string as an integer"),
        ({"port": 25.5}, "int_from_float", ", got a number with a fractional part"),
        ({"port": [25]}, "int_type", ""),
        ({"port": None}, "int_type", ""),
        ({"ttl": None}, "int_type", ""),
    ],
)
def test_what_is_no_integer_is_told(
    surface: Surface, given: dict[str, object], kind: str, said: str
) -> None:
    answer = post(surface, "/account", {**ACCOUNT, **given})
    ((name, value),) = given.items()
    assert faults(answer) == [(kind, ["body", name])]
    (fault,) = answer.json["detail"]
    assert fault["msg"] == f"Input should be a valid integer{said}"
    assert fault["input"] == value


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"use_tls": "perhaps"}, "bool_parsing"),
        ({"use_tls": 2}, "bool_parsing"),
        ({"use_tls": []}, "bool_type"),
        ({"host": None}, "string_type"),
        ({"host": 5}, "string_type"),
        ({"id": "x" * 513}, "string_too_long"),
        ({"id": "ü" * 300}, "value_error"),
        ({"port": 2**31}, "value_error"),
    ],
)
def test_what_is_something_else_is_told(
    surface: Surface, given: dict[str, object], kind: str
) -> None:
    ((name, _),) = given.items()
    assert faults(post(surface, "/account", {**ACCOUNT, **given})) == [(kind, ["body", name])]


def test_what_is_right_stays_as_it_is_beside_what_is_written_otherwise(surface: Surface) -> None:
    limits = {"hourly": 5, "daily": "10", "soft": True, "factor": 1.5, "none": None}
    given = {"id": "b", "active": "off", "rate_limits": limits}
    given["large_file_config"] = {"max_size_mb": " 2.5 ", "file_ttl_days": "7"}
    assert post(surface, "/tenant", given).status_code == 200
    tenant = surface.tenants.states["b"]
    assert (tenant.active, tenant.rate_limits) == (False, limits)
    assert type((tenant.rate_limits or {})["soft"]) is bool
    assert (tenant.large_files.max_size_mb, tenant.large_files.file_ttl_days) == (2.5, 7)
    given["large_file_config"] = {"max_size_mb": 3}
    assert post(surface, "/tenant", given).status_code == 200
    assert surface.tenants.states["b"].large_files.max_size_mb == 3.0


def test_headers_hold_anything(surface: Surface) -> None:
    headers = {"X-Num": 7, "X-Null": None, "X-List": [1, {"a": "b"}]}
    assert added(surface, headers=headers, priority="3").json["queued"] == 1
    assert stored(surface)["message"]["headers"] == headers


def test_what_no_kind_of_number_is_told_for_each(surface: Surface) -> None:
    answer = post(surface, "/tenant", {"id": "b", "rate_limits": {"hourly": {}}})
    place: list[str | int] = ["body", "rate_limits", "hourly"]
    assert faults(answer) == [
        ("int_type", [*place, "int"]),
        ("float_type", [*place, "float"]),
        ("string_type", [*place, "str"]),
        ("bool_type", [*place, "bool"]),
    ]


def test_all_that_is_wrong_is_told_at_once_of_query_and_body(surface: Surface) -> None:
    answer = post(surface, "/commands/cleanup-messages", {"older_than_seconds": "soon"})
    assert faults(answer) == [
        ("missing", ["query", "tenant_id"]),
        ("int_parsing", ["body", "older_than_seconds"]),
    ]
    assert answer.json["detail"][0]["input"] is None


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("/accounts", ("missing", ["query", "tenant_id"])),
        ("/messages?active_only=true", ("missing", ["query", "tenant_id"])),
        ("/messages?tenant_id=acme&active_only=x", ("bool_parsing", ["query", "active_only"])),
        ("/tenants?active_only=", ("bool_parsing", ["query", "active_only"])),
        ("/messages?tenant_id=acme&limit=-1", ("greater_than_equal", ["query", "limit"])),
        ("/command-log?limit=x", ("int_parsing", ["query", "limit"])),
        ("/command-log?since_ts=1.5", ("int_parsing", ["query", "since_ts"])),
        ("/command-log?tenant_id=%00", ("value_error", ["query", "tenant_id"])),
    ],
)
def test_a_query_that_makes_no_sense_is_told(
    surface: Surface, path: str, fault: tuple[str, list[str]]
) -> None:
    assert faults(surface.client().simulate_get(path, headers=ADMIN)) == [fault]


def test_a_comma_in_a_query_parts_nothing(surface: Surface) -> None:
    surface.tenant("a,b")
    answer = surface.client().simulate_get("/accounts?tenant_id=a,b", headers=ADMIN)
    assert [one["tenant_id"] for one in answer.json["accounts"]] == ["a,b"]


def test_of_a_query_that_is_there_twice_the_last_counts(surface: Surface) -> None:
    path = "/accounts?tenant_id=ghost&tenant_id=acme"
    answer = surface.client().simulate_get(path, headers=ADMIN)
    assert [one["id"] for one in answer.json["accounts"]] == ["smtp1"]


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"subject": ""}, ("string_too_short", ["subject"])),
        ({"subject": None}, ("string_type", ["subject"])),
        ({"body": None}, ("string_type", ["body"])),
        ({"cc": 5}, ("list_type", ["cc", "list[str]"])),
        ({"headers": []}, ("dict_type", ["headers"])),
        ({"priority": "urgent"}, ("int_parsing", ["priority", "int"])),
        ({"priority": 1.5}, ("int_from_float", ["priority", "int"])),
        ({"deferred_ts": "2026-11-21"}, ("int_parsing", ["deferred_ts"])),
        ({"deferred_ts": 1.5}, ("int_from_float", ["deferred_ts"])),
        ({"batch_code": "x" * 65}, ("string_too_long", ["batch_code"])),
        ({"attachments": {}}, ("list_type", ["attachments"])),
    ],
)
def test_one_mail_whose_form_is_wrong_keeps_all_back(
    surface: Surface, more: dict[str, object], fault: tuple[str, list[str | int]]
) -> None:
    messages = [message("good"), message("bad", **more)]
    answer = post(surface, ADD, {"messages": messages})
    kind, place = fault
    assert (kind, ["body", "messages", 1, *place]) in faults(answer)
    assert surface.mails.states == {}


def test_no_kind_of_addresses_fits(surface: Surface) -> None:
    place: list[str | int] = ["body", "messages", 0, "to"]
    assert faults(added(surface, to=[1])) == [
        ("string_type", [*place, "list[str]", 0]),
        ("string_type", [*place, "str"]),
    ]


@pytest.mark.parametrize("name", ["id", "tenant_id", "account_id", "from", "to", "subject"])
def test_these_a_mail_must_have(surface: Surface, name: str) -> None:
    given = message("m-1")
    del given[name]
    answer = post(surface, ADD, {"messages": [given]})
    assert faults(answer) == [("missing", ["body", "messages", 0, name])]
    assert answer.json["detail"][0]["input"] == given


@pytest.mark.parametrize(
    ("attachment", "fault"),
    [
        ({"filename": ""}, ("string_too_short", ["filename"])),
        ({"filename": "f" * 256}, ("string_too_long", ["filename"])),
        ({"storage_path": ""}, ("string_too_short", ["storage_path"])),
        ({"fetch_mode": "ftp"}, ("enum", ["fetch_mode"])),
        ({"content_md5": "abc"}, ("string_pattern_mismatch", ["content_md5"])),
        ({"more": 1}, ("extra_forbidden", ["more"])),
        ({"auth": {"method": "digest"}}, ("enum", ["auth", "method"])),
        ({"auth": {"more": 1}}, ("extra_forbidden", ["auth", "more"])),
        ({"auth": 5}, ("model_attributes_type", ["auth"])),
    ],
)
def test_attachments_are_looked_at_closely(
    surface: Surface, attachment: dict[str, object], fault: tuple[str, list[str]]
) -> None:
    given = {"filename": "f", "storage_path": "doc_id=1", **attachment}
    place: list[str | int] = ["body", "messages", 0, "attachments", 0, *fault[1]]
    assert faults(added(surface, attachments=[given])) == [(fault[0], place)]


def test_a_fault_tells_the_words_that_are_possible(surface: Surface) -> None:
    given = {"filename": "f", "storage_path": "p", "fetch_mode": "ftp"}
    (fault,) = added(surface, attachments=[given]).json["detail"]
    words = "'endpoint', 'http_url', 'base64' or 'filesystem'"
    assert (fault["msg"], fault["ctx"]) == (f"Input should be {words}", {"expected": words})


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"rate_limits": {"hourly": {}}}, "rate_limits"),
        ({"rate_limits": []}, "rate_limits"),
        ({"client_auth": []}, "client_auth"),
        ({"client_auth": {"token": 5}}, "client_auth"),
        ({"large_file_config": {"max_size_mb": "many"}}, "large_file_config"),
        ({"large_file_config": {"max_size_mb": []}}, "large_file_config"),
        ({"report_format": "xml"}, "report_format"),
        ({"in_doubt": "ask"}, "in_doubt"),
        ({"retention_days": -1}, "retention_days"),
        ({"retention_days": 2**70 - 2**69}, None),
    ],
)
def test_a_tenant_that_can_not_be_is_told(
    surface: Surface, given: dict[str, object], fault: str | None
) -> None:
    answer = post(surface, "/tenant", {"id": "b", **given})
    assert faults(answer)[0][1][1] == (fault or 0)
    assert "b" not in surface.tenants.states


@pytest.mark.parametrize("number", ["9" * 25, "-" + "9" * 25, 9.5e30])
def test_a_number_no_store_can_hold_is_told(surface: Surface, number: object) -> None:
    answer = post(surface, "/tenant", {"id": "b", "retention_days": number})
    assert faults(answer)[0][0] in {"less_than_equal", "greater_than_equal"}


def test_what_is_not_named_is_ignored(surface: Surface) -> None:
    body = {**ACCOUNT, "timeout": 30, "unknown": {"a": 1}}
    assert post(surface, "/account", body).json == {"ok": True}
    assert added(surface, status="sent", retry_count=4).json["queued"] == 1


def test_much_input_is_not_told_back(surface: Surface) -> None:
    large = message("m-1", body="x" * 100_000)
    del large["subject"]
    answer = post(surface, ADD, {"messages": [large]})
    assert faults(answer) == [("missing", ["body", "messages", 0, "subject"])]
    assert len(answer.json["detail"][0]["input"]) <= INPUT_OCTETS_MAX + 1


def test_no_more_is_told_than_anybody_reads(surface: Surface) -> None:
    answer = post(surface, ADD, {"messages": [{}] * 500})
    assert len(faults(answer)) == FAULTS_MAX


def test_too_many_mails_are_not_looked_at_one_by_one(surface: Surface) -> None:
    answer = post(surface, ADD, {"messages": [{}] * 1_001})
    assert (answer.status_code, answer.json["detail"]["rejected"]) == (400, [])


def stored(surface: Surface) -> Any:  # noqa: ANN401  JSON
    answer = surface.client().simulate_get("/messages?tenant_id=acme", headers=ADMIN)
    return answer.json["messages"][0]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"priority": "immediate"}, {"priority": 0}),
        ({"priority": "low"}, {"priority": 3}),
        ({"priority": "1"}, {"priority": 1}),
        ({"priority": 9}, {"priority": 3}),
        ({"priority": -4}, {"priority": 0}),
        ({"priority": None}, {"priority": 2}),
        ({"deferred_ts": str(int(NOW_S))}, {"deferred_ts": int(NOW_S)}),
        ({"batch_code": "b" * 64}, {"batch_code": "b" * 64}),
    ],
)
def test_a_mail_is_taken_as_clients_write_it(
    surface: Surface, given: dict[str, object], shown: dict[str, object]
) -> None:
    assert added(surface, **given).json == {"ok": True, "queued": 1, "rejected": []}
    found = stored(surface)
    assert {name: found[name] for name in shown} == shown
    assert {name: found["message"][name] for name in shown} == shown


@pytest.mark.parametrize(
    ("to", "shown"),
    [
        (["a@x.test"], ["a@x.test"]),
        ("a@x.test, b@x.test", "a@x.test, b@x.test"),
        (["a@x.test", "b@x.test"], ["a@x.test", "b@x.test"]),
    ],
)
def test_addresses_are_a_list_or_a_text(surface: Surface, to: object, shown: object) -> None:
    assert added(surface, to=to).json["queued"] == 1
    assert stored(surface)["message"]["to"] == shown


def test_the_sender_has_another_name(surface: Surface) -> None:
    given = message("m-1", from_addr="alias@acme.test")
    del given["from"]
    assert post(surface, ADD, {"messages": [given]}).json["queued"] == 1
    assert stored(surface)["message"]["from"] == "alias@acme.test"


def test_the_right_name_of_the_sender_goes_first(surface: Surface) -> None:
    assert added(surface, from_addr="alias@acme.test").json["queued"] == 1
    assert stored(surface)["message"]["from"] == "sender@acme.test"
