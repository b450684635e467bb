"""The licence as operators see it, and how a file may be uploaded."""

from typing import Final

import falcon.testing
import pytest
from support.sms_proxy import ADMIN, BODY_OCTETS_MAX, USER, Surface

from signalbox.actors.licenses import Terms
from signalbox.domain.errors import LicenseExpired, LicenseOlder, LicensePast, LicenseRequired
from signalbox.eventstore.errors import Unavailable
from signalbox.http.sms_proxy.license import FILE_OCTETS_MAX

BOTH: Final = [("", USER, "user-42"), ("/admin", ADMIN, "admin-key")]
BOUNDARY: Final = "b0undary"
FORM: Final = f"multipart/form-data; boundary={BOUNDARY}"
DATA: Final = {
    "company": "UNIQUBIC Corporation",
    "valid_until": "2025-12-31",
    "max_connections": 100,
    "max_tps": 1000,
    "status": "active",
}


def part(content: bytes, name: str = "license", more: str = '; filename="license.jws"') -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n'
    return head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def upload(
    client: falcon.testing.TestClient,
    body: bytes,
    content_type: str | None = FORM,
    headers: dict[str, str] = USER,
    prefix: str = "",
) -> falcon.testing.Result:
    path = f"/api/v1{prefix}/settings/license/upload"
    sent = dict(headers) if content_type is None else {**headers, "Content-Type": content_type}
    return client.simulate_post(path, body=body, headers=sent)


@pytest.mark.parametrize(("prefix", "headers", "_by"), BOTH)
def test_the_licence_is_shown(
    client: falcon.testing.TestClient, prefix: str, headers: dict[str, str], _by: str
) -> None:
    answer = client.simulate_get(f"/api/v1{prefix}/settings/license", headers=headers)
    assert (answer.status_code, answer.json) == (200, {"success": True, "data": DATA})
    assert list(answer.json["data"]) == list(DATA)


def test_without_a_licence_the_built_in_limits_are_shown(surface: Surface) -> None:
    surface.licenses.terms = Terms(
        company="", valid_until="", max_connections=100, max_tps=1000, status="missing"
    )
    answer = surface.client().simulate_get("/api/v1/settings/license", headers=USER)
    assert answer.json["data"] == {**DATA, "company": "", "valid_until": "", "status": "missing"}


@pytest.mark.parametrize(("prefix", "headers", "by"), BOTH)
def test_a_licence_is_uploaded_and_it_is_known_by_whom(
    surface: Surface,
    client: falcon.testing.TestClient,
    prefix: str,
    headers: dict[str, str],
    by: str,
) -> None:
    answer = upload(client, form(part(b"token")), headers=headers, prefix=prefix)
    assert (answer.status_code, answer.json) == (
        200,
        {"success": True, "message": "License uploaded successfully", "data": DATA},
    )
    assert surface.licenses.uploads == [(b"token", by)]


def test_uploading_may_take_an_administrator() -> None:
    surface = Surface(jwt_admin_mutations=True)
    answer = upload(surface.client(), form(part(b"token")))
    assert (answer.status_code, answer.json) == (403, {"error": "admin privileges required"})
    assert surface.licenses.uploads == []
    assert upload(surface.client(), form(part(b"t")), headers=ADMIN, prefix="/admin").json[
        "success"
    ]
    surface.accounts.is_admin = True
    assert upload(surface.client(), form(part(b"token"))).status_code == 200


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        (FORM, part(b"token", more="")),  # no file's name
        (f'multipart/form-data; boundary="{BOUNDARY}"', part(b"token")),
        (f"Multipart/Form-Data;boundary={BOUNDARY}", b"what stands before\r\n" + part(b"token")),
    ],
)
def test_forms_of_every_make_are_understood(
    surface: Surface, client: falcon.testing.TestClient, content_type: str, content: bytes
) -> None:
    assert upload(client, form(content), content_type).status_code == 200
    assert surface.licenses.uploads == [(b"token", "user-42")]


@pytest.mark.parametrize(
    ("body", "content_type", "error"),
    [
        (b"{}", "application/json", "expected multipart/form-data"),
        (b"token", None, "expected multipart/form-data"),
        (
            form(part(b"token")),
            "multipart/mixed; boundary=b0undary",
            "expected multipart/form-data",
        ),
        (form(part(b"token")), "multipart/form-data", "not a valid multipart form"),
        (form(part(b"token")), "multipart/form-data; boundary=", "not a valid multipart form"),
        (form(part(b"token")), FORM + "x" * 70, "not a valid multipart form"),
        (form(part(b"token")), FORM + "other", "not a valid multipart form"),
        (form(part(b"token")), FORM + "\xfc", "not a valid multipart form"),
        (b"", FORM, "not a valid multipart form"),
        (part(b"token"), FORM, "not a valid multipart form"),  # it has no end
        (form(part(b"token"))[:-40], FORM, "not a valid multipart form"),
        (form(b"--b0undary\r\nno head\r\n"), FORM, "not a valid multipart form"),
        (form(part(b"t", "x" * 9_000)), FORM, "not a valid multipart form"),
        (form(b"--b0undary\r\n\r\ntoken\r\n"), FORM, "not a valid multipart form"),
        (form(part(b"token", "licence")), FORM, "no file in license"),
        (form(part(b"")), FORM, "no file in license"),
        (form(), FORM, "no file in license"),
        (form(part(b"token"), part(b"token")), FORM, "expected one part"),
        (form(part(b"token"), part(b"x", "note", "")), FORM, "expected one part"),
    ],
)
def test_anything_but_one_file_is_refused(
    surface: Surface,
    client: falcon.testing.TestClient,
    body: bytes,
    content_type: str | None,
    error: str,
) -> None:
    answer = upload(client, body, content_type)
    assert answer.status_code == 400
    assert answer.json == {"success": False, "error": f"invalid request body: {error}"}
    assert surface.licenses.uploads == []


def test_ten_thousand_parts_are_refused_at_the_second() -> None:
    surface = Surface(body_octets_max=2_000_000)
    answer = upload(surface.client(), form(*[part(b"x")] * 10_000))
    assert (answer.status_code, answer.json["error"]) == (
        400,
        "invalid request body: expected one part",
    )


def test_a_file_may_be_as_large_as_the_limit() -> None:
    surface = Surface(body_octets_max=200_000)
    assert upload(surface.client(), form(part(b"x" * FILE_OCTETS_MAX))).status_code == 200
    answer = upload(surface.client(), form(part(b"x" * (FILE_OCTETS_MAX + 1))))
    assert (answer.status_code, answer.json) == (
        413,
        {"success": False, "error": "file too large"},
    )
    assert len(surface.licenses.uploads) == 1


def test_a_form_that_is_too_large_is_not_read(client: falcon.testing.TestClient) -> None:
    answer = upload(client, form(part(b"x" * BODY_OCTETS_MAX)))
    assert (answer.status_code, answer.json["error"]) == (413, "request body too large")


def test_a_bad_licence_is_refused_with_its_reason(client: falcon.testing.TestClient) -> None:
    answer = upload(client, form(part(b"bad")))
    assert (answer.status_code, answer.json) == (
        400,
        {"success": False, "error": "invalid license: it is not signed"},
    )


@pytest.mark.parametrize(
    ("refusal", "status", "error"),
    [
        (LicensePast("2025-12-31"), 400, "license was valid until 2025-12-31"),
        (LicenseOlder(1, 2), 400, "license is older than the current one"),
        (Unavailable("away"), 503, "service unavailable, try again"),
    ],
)
def test_a_licence_that_can_not_come_into_force_is_refused(
    surface: Surface, refusal: Exception, status: int, error: str
) -> None:
    surface.licenses.failure = refusal
    answer = upload(surface.client(), form(part(b"token")))
    assert (answer.status_code, answer.json) == (status, {"success": False, "error": error})


@pytest.mark.parametrize(
    ("refusal", "error"),
    [(LicenseExpired(), "license expired"), (LicenseRequired(), "license required")],
)
def test_without_a_valid_licence_nothing_is_sent(
    surface: Surface, refusal: Exception, error: str
) -> None:
    surface.sending.outcome = refusal
    body = {"esme": 1, "source": "me", "destination": "491700000001", "message": "hi"}
    answer = surface.client().simulate_post("/api/v1/sms/send", json=body, headers=USER)
    assert answer.status_code == 500
    assert answer.json == {
        "success": False,
        "esme": 1,
        "transaction_id": "",
        "status": "failed",
        "error": error,
    }
