"""From where an application may send, and what is asked of a request before that."""

from collections.abc import Mapping

import falcon.testing
import pytest
from support.sms_proxy import APP_ID, USER, Surface

from signalbox.domain.errors import TooManyAttempts

SMS_PATHS = ("send", "check-esme", "info")
HERE = "192.0.2.7"
NOT_ALLOWED = {"success": False, "error": "IP not allowed"}


def call(
    surface: Surface,
    path: str = "send",
    peer: str = HERE,
    headers: Mapping[str, str] = USER,
    body: str = "{}",
) -> falcon.testing.Result:
    return surface.client().simulate_post(
        f"/api/v1/sms/{path}", body=body, headers=dict(headers), remote_addr=peer
    )


def registered_for(*allowed_ips: str, **more: object) -> Surface:
    surface = Surface(**more)  # type: ignore[arg-type]  # whatever a surface takes
    surface.accounts.allowed_ips = allowed_ips
    return surface


@pytest.mark.parametrize("path", SMS_PATHS)
def test_from_elsewhere_nothing_about_messages_is_answered(path: str) -> None:
    answer = call(registered_for("10.0.0.0/8"), path)
    assert (answer.status_code, answer.json) == (403, NOT_ALLOWED)


@pytest.mark.parametrize("path", SMS_PATHS)
def test_from_an_allowed_address_messages_are_a_matter_of_the_body(path: str) -> None:
    assert call(registered_for("10.0.0.0/8", HERE), path).status_code == 400


@pytest.mark.parametrize(
    ("allowed_ips", "peer", "is_allowed"),
    [
        ((), HERE, True),
        ((), "", True),
        ((HERE,), HERE, True),
        (("192.0.2.0/29",), HERE, True),
        (("192.0.2.0/30",), HERE, False),
        (("192.0.2.0/30", "192.0.2.4/30"), HERE, True),
        (("0.0.0.0/0",), "2001:db8::1", False),
        (("2001:db8::/32",), "2001:db8::1", True),
        (("2001:db8::/32",), "2001:db9::1", False),
        (("192.0.2.0/29",), f"::ffff:{HERE}", True),
        (("192.0.2.0/29",), "::ffff:192.0.2.8", False),
        (("192.0.2.0/29",), "", False),
        (("0.0.0.0/0", "::/0"), "unix", False),
    ],
)
def test_an_application_sends_from_its_networks_only(
    allowed_ips: tuple[str, ...], peer: str, *, is_allowed: bool
) -> None:
    answer = call(registered_for(*allowed_ips), peer=peer)
    assert answer.status_code == (400 if is_allowed else 403)


@pytest.mark.parametrize(
    ("registered", "configured", "status"),
    [
        (("10.0.0.0/8",), {APP_ID: ("192.0.2.0/24",)}, 400),
        (("192.0.2.0/24",), {APP_ID: ("10.0.0.0/8",)}, 403),
        (("10.0.0.0/8",), {APP_ID: ()}, 400),
        (("10.0.0.0/8",), {APP_ID + 1: ()}, 403),
        ((), {APP_ID: ("10.0.0.0/8",)}, 403),
    ],
)
def test_the_configuration_replaces_what_was_registered(
    registered: tuple[str, ...], configured: dict[int, tuple[str, ...]], status: int
) -> None:
    assert call(registered_for(*registered, allowed_ips=configured)).status_code == status


@pytest.mark.parametrize(("trusted", "status"), [((HERE,), 400), ((), 403)])
def test_the_address_is_the_one_before_our_own_proxies(
    trusted: tuple[str, ...], status: int
) -> None:
    surface = registered_for("10.0.0.0/8", trusted_proxies=trusted)
    answer = call(surface, headers={**USER, "X-Forwarded-For": "10.1.2.3"})
    assert answer.status_code == status


def test_token_rate_address_and_body_are_looked_at_in_this_order() -> None:
    told: list[int] = []

    def limit(app_id: int) -> None:
        told.append(app_id)
        if len(told) == 1:
            raise TooManyAttempts(1)

    surface = registered_for("10.0.0.0/8", limiter=limit)
    broken = "{"
    assert call(surface, headers={}, body=broken).status_code == 401
    assert told == []
    assert call(surface, body=broken).status_code == 429
    assert call(surface, body=broken).status_code == 403
    assert call(surface, peer="10.1.2.3", body=broken).status_code == 400
    assert told == [APP_ID] * 3


def test_only_messages_are_bound_to_addresses_and_rates() -> None:
    def limit(_app_id: int) -> None:
        raise TooManyAttempts(1)

    client = registered_for("10.0.0.0/8", limiter=limit).client()
    answer = client.simulate_get("/api/v1/dashboard/smpp-links", headers=USER, remote_addr=HERE)
    assert answer.status_code == 200
