"""The configuration as the API shows it."""

import falcon.testing
import pytest
from support.sms_proxy import ADMIN, USER, Surface

from signalbox.domain.link import Link, LinkSpec
from signalbox.http.sms_proxy.wire_settings import go_duration, smpp_account

SMPP = "settings/smpp-config"
SERVER = "/api/v1/admin/settings/server-config"


@pytest.mark.parametrize(("prefix", "headers"), [("", USER), ("/admin", ADMIN)])
def test_the_accounts_of_the_links_are_shown_without_their_passwords(
    client: falcon.testing.TestClient, prefix: str, headers: dict[str, str]
) -> None:
    answer = client.simulate_get(f"/api/v1{prefix}/{SMPP}", headers=headers)
    assert answer.status_code == 200
    assert answer.text == (
        '{"success":true,"data":[{"host":"smsc","port":2775,"system_id":"my_system",'
        '"system_type":"","interface_version":"3.4","response_timeout":5}]}'
    )


@pytest.mark.parametrize("prefix", ["", "/admin"])
def test_the_accounts_are_not_for_everybody(client: falcon.testing.TestClient, prefix: str) -> None:
    answer = client.simulate_get(f"/api/v1{prefix}/{SMPP}")
    assert answer.status_code == 401
    assert list(answer.json) == ["error"]


def test_without_links_there_are_no_accounts(
    surface: Surface, client: falcon.testing.TestClient
) -> None:
    surface.links.configured = ()
    answer = client.simulate_get(f"/api/v1/{SMPP}", headers=USER)
    assert answer.json == {"success": True, "data": []}


@pytest.mark.parametrize(("timeout_s", "shown"), [(5.0, 5), (0.2, 1), (7.6, 8)])
def test_a_response_timeout_is_shown_in_whole_seconds(timeout_s: float, shown: int) -> None:
    spec = LinkSpec(name="a", host="h", port=1, system_id="s", response_timeout_s=timeout_s)
    assert smpp_account(Link(1, spec)).response_timeout == shown


def test_the_whole_configuration_is_shown_to_operators(client: falcon.testing.TestClient) -> None:
    answer = client.simulate_get(SERVER, headers=ADMIN)
    assert answer.status_code == 200
    assert answer.text == (
        '{"success":true,"data":{"env":"production","server_name":"sms-proxy-01","endpoint":"0.0.0.0:8088","tls":false,'
        '"storage":{"db_path":"postgresql://db/signalbox"},'
        '"aerospike":{"hosts":"","port":0,"namespace":"","sweep_time":"0s","ttl":"0s"},'
        '"security":{"token_ttl":"24h0m0s"},"grpc":{"port":0,"timeout":"0s"},'
        '"smpp":{"rules_loaded":true},'
        '"filters":{"no-spam":{"active":true,"blacklist":true,"description":"d",'
        '"snippet":"refuse if …"}},'
        '"statistic_exporter":{"enabled":true,"target":"b","bucket":"sms","tls":true},'
        '"monitoring":{"otel":true,"sampling":0.1,"collector":"otel:4318"}}}'
    )


@pytest.mark.parametrize("headers", [{}, USER, {"X-Admin-Key": "wrong"}])
def test_the_whole_configuration_is_for_the_admin_key_alone(
    client: falcon.testing.TestClient, headers: dict[str, str]
) -> None:
    answer = client.simulate_get(SERVER, headers=headers)
    assert (answer.status_code, answer.json) == (401, {"error": "invalid or missing admin key"})


def test_without_an_admin_key_nobody_sees_the_configuration() -> None:
    answer = Surface(admin_api_key="").client().simulate_get(SERVER, headers=ADMIN)
    assert (answer.status_code, answer.json) == (503, {"error": "admin API key not configured"})


def test_users_have_no_server_config(client: falcon.testing.TestClient) -> None:
    answer = client.simulate_get("/api/v1/settings/server-config", headers=USER)
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.25, "250ms"),
        (1, "1s"),
        (5, "5s"),
        (1.5, "1.5s"),
        (59.999, "59.999s"),
        (60, "1m0s"),
        (90.5, "1m30.5s"),
        (3600, "1h0m0s"),
        (5400, "1h30m0s"),
        (86_400, "24h0m0s"),
        (31_536_000, "8760h0m0s"),
    ],
)
def test_durations_are_written_as_go_writes_them(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text
