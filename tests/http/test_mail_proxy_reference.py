"""What a reference server answered, request by request, and where this one differs on purpose.

`tests/vectors/mail_proxy.json` was recorded on the reference; it is played in its order. Compared
are status, keys, types and all values but those that are another's each time.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.mail_proxy import ADMIN, Surface
from support.mail_web import ADMIN as WEB_ADMIN
from support.mail_web import Web
from support.projecting import projecting

from signalbox.projections.command_log import CommandRow

if TYPE_CHECKING:
    from collections.abc import Mapping

    import falcon.testing

VECTORS: Final[list[dict[str, Any]]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "mail_proxy.json").read_text(encoding="utf-8")
)

VARYING: Final = frozenset(
    {
        "api_key", "pk", "created_at", "updated_at", "sent_ts", "event_id", "event_ts",
        "reported_ts", "last_sync_ts", "pending_messages",
    }
)  # fmt: skip

DIFFERENT: Final[Mapping[int, str]] = {
    1: "the documentation promises {ok: true}: both are there",
    35: "changing nothing of a tenant that is there is no 404",
    36: "changing nothing of a tenant that is there is no 404",
    37: "changing nothing of a tenant that is there is no 404",
    62: "an account without a tenant is no internal error",
    63: "an account without a tenant is no internal error",
    64: "an account with the ttl null is no internal error",
    139: "a tenant suspends no other's mails",
    264: "commands are read from the events they led to, and without secrets",
    265: "commands are read from the events they led to, and without secrets",
    266: "commands are read from the events they led to, and without secrets",
    267: "commands are read from the events they led to, and without secrets",
    271: "the documentation promises JSON lines",
}
INSTEAD: Final[Mapping[int, tuple[int, Any]]] = {
    1: (200, {"status": "ok", "ok": True}),
    35: (200, {"ok": True}),
    36: (200, {"ok": True}),
    37: (200, {"ok": True}),
    62: (422, [("missing", ["body", "tenant_id"])]),
    63: (422, [("missing", ["body", "tenant_id"])]),
    64: (422, [("int_type", ["body", "ttl"])]),
    139: (401, {"detail": "Token not authorized for this tenant"}),
}
DELIVERED: Final = 146
"""From here on mails were sent, which takes a mail server."""

LISTS: Final = frozenset({89, 90, 146})
"""Lists of mails, of which the vectors have the first ones."""

SHOWN_WITH_DEFAULT_PRIORITY: Final = {"m-def": 1, "m-def2": 1}
"""The reference ignores `default_priority`, though it promises it."""


class Player:
    """Plays requests to a server, with the keys that it gives."""

    def __init__(self, client: falcon.testing.TestClient, admin: dict[str, str]) -> None:
        self._client = client
        self._admin = admin
        self._keys: dict[str, str] = {}

    def play(self, one: dict[str, Any]) -> tuple[int, Any]:
        """Return the status and the answer."""
        headers = {**one["headers"], **self._token(one["token"])}
        body = one["body"]
        octets = b"" if body is None else json.dumps(body).encode()
        octets = body.encode() if isinstance(body, str) else octets
        answer = self._client.simulate_request(
            one["method"], one["path"], headers=headers, body=octets
        )
        if one["path"] == "/tenant" and "api_key" in answer.text:
            self._keys[body["id"]] = answer.json["api_key"]
        is_json = answer.headers["content-type"].startswith("application/json")
        return answer.status_code, answer.json if is_json else None

    def _token(self, whose: str) -> dict[str, str]:
        if whose in {"", "wrong"}:
            return {"X-API-Token": whose} if whose else {}
        return self._admin if whose == "admin" else {"X-API-Token": self._keys[whose]}


@pytest.fixture(scope="module")
def played() -> dict[int, tuple[int, Any]]:
    surface = Surface()
    player, answers = Player(surface.client(), ADMIN), {}
    for one in VECTORS:
        surface.grow_older(1)
        answers[one["n"]] = player.play(one)
    return answers


def masked(value: Any) -> Any:  # noqa: ANN401  JSON
    match value:
        case dict():
            return {
                name: _masked_member(name, member)
                for name, member in value.items()
                if name not in {"token", "foo"}  # Of `client_auth`: never told back.
            }
        case list():
            return [masked(member) for member in value]
        case _:
            return value


def _masked_member(name: str, member: Any) -> object:  # noqa: ANN401  JSON
    if name == "suspended_batches":
        return sorted(member)  # The reference keeps a set.
    return type(member).__name__ if name in VARYING else masked(member)


def by_id(answer: Any) -> dict[str, Any]:  # noqa: ANN401  JSON
    return {one["id"]: masked(one) for one in answer["messages"]}


@pytest.mark.parametrize(
    "one",
    [one for one in VECTORS if one["n"] not in DIFFERENT and one["n"] not in LISTS],
    ids=lambda one: f"{one['n']} {one['method']} {one['path']} {one['note']}",
)
def test_it_answers_as_the_reference(
    one: dict[str, Any], played: dict[int, tuple[int, Any]]
) -> None:
    status, answer = played[one["n"]]
    assert (status, masked(answer)) == (one["status"], masked(one["response"]))


@pytest.mark.parametrize("n", sorted(LISTS))
def test_mails_are_shown_as_by_the_reference(n: int, played: dict[int, tuple[int, Any]]) -> None:
    (expected,) = [one["response"] for one in VECTORS if one["n"] == n]
    status, answer = played[n]
    shown = by_id(answer)
    for client_id, mail in by_id(expected).items():
        if client_id in SHOWN_WITH_DEFAULT_PRIORITY:
            priority = SHOWN_WITH_DEFAULT_PRIORITY[client_id]
            mail["priority"] = mail["message"]["priority"] = priority
        if "sent_ts" in mail:
            mail.pop("deferred_ts", None)  # Nothing is deferred that was sent.
        assert shown[client_id] == mail
    assert status == 200


@pytest.mark.timeout(60)
def test_the_real_gateway_does_so_too(database_url: str) -> None:
    with projecting(database_url), Web(database_url) as web:
        play_until_delivery(Player(web.client, WEB_ADMIN))


def play_until_delivery(player: Player) -> None:
    for one in VECTORS:
        if one["n"] >= DELIVERED:
            break
        status, answer = player.play(one)
        if one["n"] not in DIFFERENT and one["n"] not in LISTS:
            assert (status, masked(answer)) == (one["status"], masked(one["response"])), one


@pytest.mark.parametrize("n", sorted(INSTEAD), ids=lambda n: f"{n}: {DIFFERENT[n]}")
def test_where_it_differs_it_does_so_on_purpose(n: int, played: dict[int, tuple[int, Any]]) -> None:
    expected_status, expected = INSTEAD[n]
    status, answer = played[n]
    if isinstance(expected, list):
        answer = [(fault["type"], fault["loc"]) for fault in answer["detail"]]
    assert (status, answer) == (expected_status, expected)


@pytest.mark.parametrize("n", [264, 265, 266, 267])
def test_a_command_is_shown_with_the_keys_of_the_reference(n: int) -> None:
    (expected,) = [one["response"] for one in VECTORS if one["n"] == n]
    surface = Surface()
    surface.mails.commands = [
        CommandRow(
            id=7, at_s=1_795_220_355.5, command="suspend", tenant_id="acme", by="mail-admin",
            request_id="r", accepted=True, payload={"batch_code": "camp-1"},
        )
    ]  # fmt: skip
    answer = surface.client().simulate_get("/command-log", headers=ADMIN).json
    assert answer == {
        "ok": True,
        "commands": [
            {
                "id": 7, "command_ts": 1_795_220_355, "endpoint": "suspend", "tenant_id": "acme",
                "payload": {"batch_code": "camp-1"}, "response_status": 200,
            }
        ],
        "total": 1,
    }  # fmt: skip
    assert set(answer) == set(expected)
    assert set(expected["commands"][0]) <= set(answer["commands"][0])
