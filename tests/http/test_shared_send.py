"""`POST /api/v1/sms/send` on a port that surfaces share: who is meant, application or account."""

from typing import Final

import falcon.testing
import jwt
import pytest
from support import signalhouse, sms_proxy

from signalbox.actors.phone_tokens import ISSUER, is_ours
from signalbox.actors.tokens import ISSUER as OTHER_ISSUER
from signalbox.http.app import create_app
from signalbox.http.shared import SharedSend

SEND: Final = "/api/v1/sms/send"
BY_LINK: Final = {"esme": 1, "source": "Signalbox", "destination": "+4917000000", "message": "hi"}
BY_PHONE: Final = {"to": "+15551234567", "message": "hi"}
UNAUTHORIZED: Final = {"error": "authorization header required"}


@pytest.fixture
def phones() -> signalhouse.Surface:
    return signalhouse.Surface()


@pytest.fixture
def client(phones: signalhouse.Surface) -> falcon.testing.TestClient:
    surface, links = phones.surface(), sms_proxy.Surface().routes()
    own = surface.routes()
    routes = {**links, **own, SEND: SharedSend(links[SEND], own[SEND], is_ours)}
    return falcon.testing.TestClient(create_app(routes, {}, None, [surface.guard()]))


def token_of(issuer: str) -> str:
    return jwt.encode({"iss": issuer}, "a key of nobody, which is long enough", algorithm="HS256")


def test_an_application_sends_by_a_link(client: falcon.testing.TestClient) -> None:
    answer = client.simulate_post(SEND, json=BY_LINK, headers=sms_proxy.USER)
    assert (answer.status_code, answer.json["success"]) == (200, True)


def test_an_account_sends_by_its_phones(
    client: falcon.testing.TestClient, phones: signalhouse.Surface
) -> None:
    answer = client.simulate_post(SEND, json=BY_PHONE, headers=phones.account())
    assert (answer.status_code, answer.json["status"]) == (200, "queued")


def test_a_refusal_has_the_form_of_the_surface_that_is_meant(
    client: falcon.testing.TestClient, phones: signalhouse.Surface
) -> None:
    answer = client.simulate_post(SEND, json=BY_LINK, headers=phones.account())
    assert (answer.status_code, answer.json) == (422, {"error": "to: required"})
    answer = client.simulate_post(SEND, json=BY_PHONE, headers=sms_proxy.USER)
    assert (answer.status_code, answer.json["success"]) == (400, False)


@pytest.mark.parametrize(
    ("credential", "error"),
    [
        ("sh_live_unknown", "Invalid or expired API key or token"),
        (token_of(ISSUER), "Invalid or expired API key or token"),
        (token_of(OTHER_ISSUER), "X-App-ID header required"),
        ("nonsense", "X-App-ID header required"),
    ],
)
def test_a_credential_tells_which_surface_is_meant(
    client: falcon.testing.TestClient, credential: str, error: str
) -> None:
    headers = {"Authorization": f"Bearer {credential}"}
    answer = client.simulate_post(SEND, json=BY_PHONE, headers=headers)
    assert (answer.status_code, answer.json) == (401, {"error": error})


def test_whoever_names_an_application_means_a_link(
    client: falcon.testing.TestClient, phones: signalhouse.Surface
) -> None:
    headers = {**phones.account(), "X-App-ID": str(sms_proxy.APP_ID)}
    answer = client.simulate_post(SEND, json=BY_PHONE, headers=headers)
    assert (answer.status_code, answer.json) == (401, {"error": "invalid or expired token"})


def test_nobody_in_particular_is_unauthorized(client: falcon.testing.TestClient) -> None:
    answer = client.simulate_post(SEND, json=BY_PHONE)
    assert (answer.status_code, answer.json) == (401, UNAUTHORIZED)
