"""Who may act for an organisation, wherever the secret is; and how every refusal looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from support.trucopilot import HEADERS, ORG, SECRET, Surface

from signalbox.domain.errors import OrgIsLocked, TooManyAttempts
from signalbox.http.limits import AllRequests
from signalbox.http.trucopilot.refusals import ANSWERS, failure_of

if TYPE_CHECKING:
    import falcon.testing

    from signalbox.domain.errors import Refused

ONE: Final = {"address": "+15551112222", "body": "hi", "date": 1700000000000}
TEXT: Final = {"to": "+15553334444", "body": "hi"}
WRONG: Final = "another-secret-456"
QUERY: Final = f"secret_key={SECRET}"
CLOSED: Final = [
    ("POST", "/webhook", {"org_id": ORG, "messages": [ONE]}),
    ("GET", f"/messages/{ORG}", None),
    ("POST", f"/send/{ORG}", TEXT),
    ("GET", f"/sims/{ORG}", None),
    ("GET", f"/webhooks/{ORG}", None),
    ("PUT", f"/webhooks/{ORG}", {"url": "https://example.com"}),
    ("DELETE", f"/webhooks/{ORG}", None),
]


@pytest.fixture
def surface() -> Surface:
    return Surface()


def call(
    surface: Surface,
    method: str,
    path: str,
    body: object = None,
    headers: dict[str, str] | None = None,
    query: str = "",
) -> falcon.testing.Result:
    return surface.client().simulate_request(
        method, path, json=body, headers=headers or {}, query_string=query
    )


def told(answer: falcon.testing.Result) -> tuple[int, str]:
    """Return status and code of a failure, which must be told as all are."""
    body: Any = answer.json
    assert body["ok"] is False
    assert body["detail"] == body["error"]
    return answer.status_code, body["code"]


@pytest.mark.parametrize(("method", "path", "body"), CLOSED)
def test_a_request_without_a_secret_is_401(
    surface: Surface, method: str, path: str, body: object
) -> None:
    assert told(call(surface, method, path, body)) == (401, "missing_credentials")
    assert surface.orgs.asked_from == []


@pytest.mark.parametrize(("method", "path", "body"), CLOSED)
def test_a_wrong_secret_is_401(surface: Surface, method: str, path: str, body: object) -> None:
    headers = {"X-Secret-Key": WRONG}
    assert told(call(surface, method, path, body, headers)) == (401, "invalid_credentials")


@pytest.mark.parametrize(("method", "path", "body"), CLOSED[1:])
def test_what_nobody_claimed_looks_the_same(method: str, path: str, body: object) -> None:
    wrong = call(Surface(), method, path, body, {"X-Secret-Key": WRONG})
    unclaimed = call(Surface(claimed=False), method, path, body, HEADERS)
    assert unclaimed.json == wrong.json
    assert unclaimed.status_code == 401


@pytest.mark.parametrize(("method", "path", "body"), CLOSED)
def test_a_locked_organisation_is_429_until_then(
    surface: Surface, method: str, path: str, body: object
) -> None:
    surface.orgs.refuse = OrgIsLocked(297)
    answer = call(surface, method, path, body, HEADERS)
    assert told(answer) == (429, "locked")
    assert answer.headers["Retry-After"] == "297"


@pytest.mark.parametrize(("method", "path", "body"), CLOSED)
def test_an_address_that_failed_too_often_is_429(
    surface: Surface, method: str, path: str, body: object
) -> None:
    surface.orgs.refuse = TooManyAttempts(120)
    answer = call(surface, method, path, body, HEADERS)
    assert told(answer) == (429, "too_many_attempts")
    assert answer.headers["Retry-After"] == "120"


@pytest.mark.parametrize(("method", "path", "body"), CLOSED)
def test_a_store_that_is_away_is_503(
    surface: Surface, method: str, path: str, body: object
) -> None:
    surface.store.away = True
    answer = call(surface, method, path, body, HEADERS)
    assert told(answer) == (503, "unavailable")
    assert answer.headers["Retry-After"] == "3"
    assert "10.0.0.1" not in answer.text


@pytest.mark.parametrize(
    ("path", "headers", "query"),
    [
        (f"/messages/{ORG}", HEADERS, ""),
        (f"/messages/{ORG}/", HEADERS, ""),
        (f"//messages/{ORG}", HEADERS, ""),
        (f"/messages/{ORG}/{SECRET}", {}, ""),
        (f"/messages/{ORG}", {}, QUERY),
        (f"/messages/{ORG}/{SECRET}", HEADERS, QUERY),
        (f"/messages/{ORG}", {**HEADERS, "X-Org-Id": ORG}, f"org_id={ORG}"),
        (f"/sims/{ORG}", HEADERS, ""),
        (f"/sims/{ORG}/{SECRET}", {}, ""),
        (f"/messages/{ORG}", {"X-Secret-Key": f" {SECRET} "}, ""),
        (f"/messages/{ORG}/{SECRET}", {"X-Secret-Key": ""}, ""),
    ],
)
def test_the_secret_may_be_in_several_places(
    surface: Surface, path: str, headers: dict[str, str], query: str
) -> None:
    assert call(surface, "GET", path, None, headers, query).status_code == 200


@pytest.mark.parametrize(
    ("path", "headers", "query"),
    [
        (f"/messages/{ORG}/{WRONG}", HEADERS, ""),
        (f"/messages/{ORG}", HEADERS, f"secret_key={WRONG}"),
        (f"/messages/{ORG}", {}, f"{QUERY}&secret_key={WRONG}"),
        (f"/messages/{ORG}", {**HEADERS, "X-Org-Id": "other"}, ""),
        (f"/messages/{ORG}", HEADERS, "org_id=other"),
    ],
)
def test_two_that_differ_make_no_sense_and_are_nobody_s_failure(
    surface: Surface, path: str, headers: dict[str, str], query: str
) -> None:
    assert told(call(surface, "GET", path, None, headers, query)) == (400, "bad_request")
    assert surface.orgs.asked_from == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/webhook", {"org_id": ORG, "secret_key": WRONG, "messages": [ONE]}),
        ("POST", f"/send/{ORG}", {**TEXT, "secret_key": WRONG}),
        ("POST", f"/send/{ORG}", {**TEXT, "org_id": "other"}),
    ],
)
def test_a_body_must_not_contradict_the_header(
    surface: Surface, method: str, path: str, body: object
) -> None:
    assert told(call(surface, method, path, body, HEADERS)) == (400, "bad_request")
    assert surface.orgs.asked_from == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/webhook", {"org_id": ORG, "secret_key": SECRET, "messages": [ONE]}),
        (f"/send/{ORG}", {**TEXT, "secret_key": SECRET}),
        (f"/send/{ORG}", {**TEXT, "secret_key": SECRET, "org_id": ORG}),
    ],
)
def test_the_secret_may_be_in_the_body(surface: Surface, path: str, body: object) -> None:
    assert call(surface, "POST", path, body).status_code == 200


@pytest.mark.parametrize("org_id", ["ab", "a" * 65, "a.b", "a b c", "ab%C3%A9"])
def test_a_name_that_can_t_be_is_422_and_nobody_s_failure(surface: Surface, org_id: str) -> None:
    assert told(call(surface, "GET", f"/messages/{org_id}", None, HEADERS)) == (422, "invalid")
    assert surface.orgs.asked_from == []


def test_a_secret_without_a_name_is_422(surface: Surface) -> None:
    assert told(call(surface, "POST", "/webhook", {"messages": []}, HEADERS)) == (422, "invalid")


@pytest.mark.parametrize("secret", ["short", "x" * 51, "schl\u00fcssel-nummer"])
def test_a_secret_that_can_t_be_is_wrong(surface: Surface, secret: str) -> None:
    body = {**TEXT, "secret_key": secret}
    assert told(call(surface, "POST", f"/send/{ORG}", body)) == (401, "invalid_credentials")


def test_a_secret_with_a_slash_does_not_travel_in_a_path(surface: Surface) -> None:
    surface.orgs.secrets[ORG] = "with/slash/es"
    path = f"/messages/{ORG}/with/slash/es"
    assert told(call(surface, "GET", path)) == (404, "not_found")
    headers = {"X-Secret-Key": "with/slash/es"}
    assert call(surface, "GET", f"/messages/{ORG}", None, headers).status_code == 200


def test_who_does_not_know_the_secret_learns_nothing_of_a_request(surface: Surface) -> None:
    headers = {"X-Secret-Key": WRONG}
    for path in (f"/messages/{ORG}?limit=x", f"/messages/{ORG}?direction=up"):
        answer = surface.client().simulate_get(path, headers=headers)
        assert told(answer) == (401, "invalid_credentials")
    answer = call(surface, "POST", f"/send/{ORG}", {"to": "nobody"}, headers)
    assert told(answer) == (401, "invalid_credentials")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", f"/messages/{ORG}/a/b", 404, "not_found"),
        ("GET", "/webhook", 405, "method_not_allowed"),
        ("POST", f"/messages/{ORG}", 405, "method_not_allowed"),
        ("GET", f"/send/{ORG}", 405, "method_not_allowed"),
        ("PATCH", f"/webhooks/{ORG}", 405, "method_not_allowed"),
        ("POST", "/websocket", 405, "method_not_allowed"),
        ("GET", "/docs/nothing.js", 404, "not_found"),
        ("POST", "/llms.txt", 405, "method_not_allowed"),
    ],
)
def test_paths_and_methods_that_are_not_there(
    surface: Surface, method: str, path: str, status: int, code: str
) -> None:
    assert told(call(surface, method, path)) == (status, code)


@pytest.mark.parametrize("path", ["/nothing", "/messages", "/send/", "/webhook/more"])
def test_other_surfaces_paths_look_as_they_did(surface: Surface, path: str) -> None:
    answer = call(surface, "GET", path)
    assert answer.json == {"success": False, "error": "not found"}
    assert told(call(Surface(alone=True), "GET", path)) == (404, "not_found")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "bad_request"),
        (b"{", 400, "bad_request"),
        (b"[]", 400, "bad_request"),
        (b'"text"', 400, "bad_request"),
        (b'{"a":NaN}', 400, "bad_request"),
        (b'{"a":1,"a":2}', 400, "bad_request"),
        (b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", 400, "bad_request"),
        (b'{"secret_key":7}', 422, "invalid"),
        (b'{"a":"' + b"x" * 2_000 + b'"}', 413, "too_large"),
    ],
)
@pytest.mark.parametrize("path", ["/webhook", f"/send/{ORG}"])
def test_bodies_that_can_t_be_read(path: str, body: bytes, status: int, code: str) -> None:
    client = Surface(body_octets_max=1_000).client()
    assert told(client.simulate_post(path, body=body, headers=HEADERS)) == (status, code)


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_is_json_whatever_it_is_declared_as(surface: Surface, media_type: str) -> None:
    body = '{"to":"+15553334444","body":"hi"}'
    headers = {**HEADERS, "Content-Type": media_type}
    answer = surface.client().simulate_post(f"/send/{ORG}", body=body, headers=headers)
    assert answer.status_code == 200


def test_an_accident_tells_nothing_but_its_id(surface: Surface) -> None:
    surface.messages.refuse = RuntimeError("a secret")
    answer = call(surface, "POST", f"/send/{ORG}", TEXT, {**HEADERS, "X-Request-ID": "req-7"})
    assert told(answer) == (500, "internal_error")
    assert answer.json["id"] == "req-7"
    assert "secret" not in answer.text


class Full:
    """A bucket that is empty."""

    def acquire(self) -> float:
        return 1.5

    def close(self) -> None: ...


def test_a_request_too_many_is_429() -> None:
    surface = Surface(limit=AllRequests(Full(), ()))
    answer = call(surface, "GET", f"/messages/{ORG}", None, HEADERS)
    assert told(answer) == (429, "too_many_requests")
    assert answer.headers["Retry-After"] == "2"


@pytest.mark.parametrize("refusal", ANSWERS)
def test_every_refusal_has_a_sentence_and_a_status(refusal: type[Refused]) -> None:
    numbers = dict.fromkeys(getattr(refusal, "__dataclass_fields__", {}), 7)
    failure = failure_of(refusal(**numbers))
    assert 400 <= failure.status < 500
    assert failure.error
    assert failure.more["code"]


def test_whom_a_trusted_proxy_speaks_for_is_asked_about() -> None:
    surface = Surface(trusted_proxies=("127.0.0.0/8",))
    headers = {**HEADERS, "X-Forwarded-For": "203.0.113.9"}
    surface.client().simulate_get(
        f"/messages/{ORG}", headers=headers, extras={"REMOTE_ADDR": "127.0.0.1"}
    )
    assert surface.orgs.asked_from == ["203.0.113.9"]
