"""The dashboard and the switches, for users and for administrators alike."""

import falcon.testing
import pytest
from support.sms_proxy import ADMIN, USER, Surface

BOTH = [("", USER, "user-42"), ("/admin", ADMIN, "admin-key")]


@pytest.mark.parametrize(("prefix", "headers", "_by"), BOTH)
def test_links_are_listed(
    client: falcon.testing.TestClient, prefix: str, headers: dict[str, str], _by: str
) -> None:
    answer = client.simulate_get(f"/api/v1{prefix}/dashboard/smpp-links", headers=headers)
    assert answer.status_code == 200
    assert answer.json == {
        "success": True,
        "data": [
            {
                "id": 1,
                "name": "smpp-link-1",
                "status": "LOADED",
                "current_tps": 40,
                "limit_tps": 100,
                "enabled": True,
                "bind_state": "bound",
            }
        ],
    }


@pytest.mark.parametrize(("prefix", "headers", "_by"), BOTH)
def test_totals_are_told(
    client: falcon.testing.TestClient, prefix: str, headers: dict[str, str], _by: str
) -> None:
    answer = client.simulate_get(f"/api/v1{prefix}/dashboard/metrics", headers=headers)
    assert answer.json == {
        "success": True,
        "data": {"total_messages": 1_234_567, "total_companies": 45, "active_connections": 1},
    }


@pytest.mark.parametrize(("prefix", "headers", "by"), BOTH)
def test_a_link_is_switched_and_it_is_known_by_whom(
    surface: Surface,
    client: falcon.testing.TestClient,
    prefix: str,
    headers: dict[str, str],
    by: str,
) -> None:
    answer = client.simulate_put(
        f"/api/v1{prefix}/smpp/1/toggle",
        json={"enabled": False, "reason": "maintenance window"},
        headers=headers,
    )
    assert answer.status_code == 200
    assert answer.json == {
        "success": True,
        "data": {"id": 1, "name": "smpp-link-1", "enabled": False},
    }
    assert surface.links.toggles == [(False, "maintenance window", by)]


def test_a_reason_is_optional(surface: Surface, client: falcon.testing.TestClient) -> None:
    assert _toggle(client, "1", {"enabled": True}).status_code == 200
    assert surface.links.toggles == [(True, "", "user-42")]


@pytest.mark.parametrize("link_id", ["0", "-1", "abc", "1.0", "\u0661", str(2**63), "9" * 500])
def test_a_link_is_named_by_a_number(client: falcon.testing.TestClient, link_id: str) -> None:
    answer = _toggle(client, link_id, {"enabled": True})
    assert (answer.status_code, answer.json) == (400, {"success": False, "error": "invalid id"})


@pytest.mark.parametrize(
    "body",
    [{}, {"enabled": "true"}, {"enabled": 1}, {"enabled": None}, {"enabled": True, "reason": 5},
     {"enabled": True, "reason": "r" * 256}],
)  # fmt: skip
def test_a_switch_is_on_or_off(
    surface: Surface, client: falcon.testing.TestClient, body: dict[str, object]
) -> None:
    assert _toggle(client, "1", body).status_code == 400
    assert surface.links.toggles == []


def test_an_unknown_link_is_the_references_500(client: falcon.testing.TestClient) -> None:
    answer = _toggle(client, "2", {"enabled": True})
    assert (answer.status_code, answer.json) == (
        500,
        {"success": False, "error": "link not found"},
    )


def _toggle(
    client: falcon.testing.TestClient, link_id: str, body: dict[str, object]
) -> falcon.testing.Result:
    return client.simulate_put(f"/api/v1/smpp/{link_id}/toggle", json=body, headers=USER)
