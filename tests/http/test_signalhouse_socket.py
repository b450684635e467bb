"""A device's WebSocket, with clients that know nothing of us, on a real server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pytest
import websocket
from support.gateway import eventually, eventually_equal
from support.phone_sockets import (
    TIMEOUT_S,
    code_of,
    connect,
    hear,
    live,
    refused,
    say,
    say_at_once,
    seen_by,
    strict,
)
from support.signalhouse import Headers, Surface, bearer, owner_of
from support.websocket import PING, RawPeer, serving
from support.websocket import PONG as PONG_FRAME
from support.websocket import frame as raw_frame

from signalbox.actors.phone_callers import Revoked
from signalbox.actors.phone_line import LineEnd, PushedSms
from signalbox.domain.errors import TooManyLines
from signalbox.eventstore.errors import Unavailable
from signalbox.http.channel import ChannelLimits
from signalbox.http.signalhouse.frames import PONG

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

pytestmark = pytest.mark.timeout(30)

HELLO: Final = PushedSms(
    key=f"{7:032x}",
    number=0,
    to="+15551234567",
    text="Hello from Signalhouse",
    sim=None,
    queued_at_s=1_776_695_400.5,
)
SEND_SMS: Final = {
    "type": "send_sms",
    "sms_id": f"msg_{7:032x}",
    "to": "+15551234567",
    "message": "Hello from Signalhouse",
    "timestamp": "2026-04-20T14:30:00Z",
}


@pytest.fixture
def surface() -> Surface:
    return Surface(bad_frames_per_minute_max=3, strangers_per_ip_max=2)


@pytest.fixture
def phone_id(surface: Surface, account: Headers) -> str:
    return surface.phone(account, "dev")


@pytest.fixture
def url(surface: Surface) -> Iterator[str]:
    limits = ChannelLimits(first_message_timeout_s=0.3)
    with serving(surface.app(), channel_limits=limits) as server:
        yield f"ws://127.0.0.1:{server.server_port}"


def key_of(account: Headers) -> str:
    return account["Authorization"].removeprefix("Bearer ")


def device(url: str, phone_id: str, key: str = "") -> str:
    query = f"?api_key={key}" if key else ""
    return f"{url}/ws/device/{phone_id}{query}"


def opened(url: str, phone_id: str, key: str = "") -> AbstractContextManager[websocket.WebSocket]:
    return connect(device(url, phone_id, key))


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
@pytest.mark.parametrize("way", ["query", "header", "frame"])
def test_a_phone_connects_and_gets_what_waits_without_a_greeting(
    surface: Surface, account: Headers, phone_id: str, url: str, prefix: str, way: str
) -> None:
    query = f"?api_key={key_of(account)}" if way == "query" else ""
    headers = [f"Authorization: Bearer {key_of(account)}"] if way == "header" else []
    peer = websocket.create_connection(
        f"{url}{prefix}/ws/device/{phone_id}{query}", header=headers, timeout=TIMEOUT_S
    )
    if way == "frame":
        peer.send(json.dumps({"type": "auth", "api_key": key_of(account)}))
    line = live(surface)
    assert (line.owner, line.phone_id, line.said) == (owner_of(account), phone_id, ["ready"])
    line.line.push(HELLO)
    frame = peer.recv()
    assert json.loads(frame) == SEND_SMS
    assert list(json.loads(frame)) == list(SEND_SMS)
    peer.close(1000, b"bye")
    eventually_equal(lambda: line.lost, "closed")


@pytest.mark.parametrize("credential", ["live", "device", "access"])
def test_every_credential_of_the_phone_opens_it(
    surface: Surface, account: Headers, phone_id: str, url: str, credential: str
) -> None:
    owner = owner_of(account)
    keys = {"live": f"sh_live_{owner}", "access": f"access.{owner}"}
    key = keys.get(credential, f"sh_device_{phone_id}")
    with opened(url, phone_id, key):
        assert live(surface).phone_id == phone_id


def test_a_bare_id_names_the_phone(
    surface: Surface, account: Headers, phone_id: str, url: str
) -> None:
    with opened(url, phone_id.partition("_")[2], key_of(account)):
        assert live(surface).phone_id == phone_id


@pytest.mark.parametrize(
    ("path", "key", "expected"),
    [
        ("{mine}", "sh_live_unknown", (401, "Invalid or expired API key or token")),
        ("{mine}", "sh_device_{other}", (403, "The device key is another device's")),
        ("{theirs}", "sh_live_{owner}", (404, "Device not found")),
        ("gw_unknown", "sh_live_{owner}", (404, "Device not found")),
    ],
)
def test_who_is_refused_learns_it_before_the_handshake(
    surface: Surface, account: Headers, url: str, path: str, key: str, expected: tuple[int, str]
) -> None:
    phone_id = surface.phone(account, "dev")
    names = {
        "mine": phone_id,
        "other": surface.phone(account, "dev"),
        "theirs": surface.phone(surface.account("other@example.com")),
        "owner": owner_of(account),
    }
    credential = key.format(**names)
    status, error = expected
    for query, headers in ((credential, {}), ("", bearer(credential))):
        answer = refused(device(url, path.format(**names), query), headers)
        assert answer == (status, "", {"error": error})
    assert surface.lines.lines == []


def test_who_tried_too_many_keys_is_told_when_to_come_again(
    surface: Surface, phone_id: str, url: str
) -> None:
    surface.accounts.full = True
    assert refused(device(url, phone_id, "sh_live_x"))[:2] == (429, "42")


@pytest.mark.parametrize(
    ("path", "key", "code"),
    [
        ("{mine}", "sh_live_unknown", 4401),
        ("{mine}", "sh_device_{other}", 4403),
        ("gw_unknown", "sh_live_{owner}", 4404),
    ],
)
def test_who_introduces_itself_wrongly_is_shown_out(
    surface: Surface, account: Headers, url: str, path: str, key: str, code: int
) -> None:
    phone_id = surface.phone(account, "dev")
    names = {
        "mine": phone_id,
        "other": surface.phone(account, "dev"),
        "owner": owner_of(account),
    }
    with opened(url, path.format(**names)) as peer:
        say(peer, type="auth", api_key=key.format(**names))
        assert code_of(peer) == code
    assert surface.lines.lines == []


@pytest.mark.parametrize(
    "first",
    [
        '{"type":"ping"}', "hello", '{"type":"auth"}', "[]", '{"type":"auth","api_key":1}',
        '{"type":"sms_status","sms_id":"msg_1","status":"sent"}', '{"api_key":"sh_live_x"}',
    ],
)  # fmt: skip
def test_the_first_frame_must_say_who_it_is(
    surface: Surface, phone_id: str, url: str, first: str
) -> None:
    with opened(url, phone_id) as peer:
        peer.send(first)
        assert code_of(peer) == 4401
    assert surface.lines.lines == []


def test_who_says_nothing_has_ten_seconds(phone_id: str, url: str) -> None:
    with opened(url, phone_id) as peer:  # 0.3 s here
        assert code_of(peer) == 4408


def test_a_first_frame_that_is_too_large_is_refused(phone_id: str, url: str) -> None:
    with opened(url, phone_id) as peer:
        say(peer, type="auth", api_key="x" * 5_000)
        assert code_of(peer) == 1009


def test_of_strangers_there_may_be_some_from_one_address(
    surface: Surface, account: Headers, phone_id: str, url: str
) -> None:
    with opened(url, phone_id) as first, opened(url, phone_id), opened(url, phone_id) as third:
        assert code_of(third) == 4429
        say(first, type="auth", api_key=key_of(account))
        live(surface)
        with opened(url, phone_id) as another:  # The first is no stranger any more.
            say(another, type="auth", api_key=key_of(account))
            live(surface, 2)


def test_pings_that_come_at_once_are_answered_one_by_one(
    account: Headers, phone_id: str, url: str
) -> None:
    with opened(url, phone_id, key_of(account)) as peer:
        say_at_once(peer, 90, type="ping")
        assert [hear(peer) for _ in range(90)] == [{"type": "pong"}] * 90


@pytest.mark.parametrize("status", ["sent", "delivered", "failed", "DELIVERED"])
def test_the_phone_tells_what_became_of_a_text(
    surface: Surface, account: Headers, phone_id: str, url: str, status: str
) -> None:
    owner, sms_id = queued(surface, account, phone_id)
    with opened(url, phone_id, key_of(account)) as peer:
        say(peer, type="sms_status", sms_id=f"msg_{sms_id}", status=status, error="no credit")
        eventually_equal(lambda: surface.messages.found[owner, sms_id].status, status.lower())
        say(peer, type="ping")
        assert hear(peer) == {"type": "pong"}  # Nothing else is said about it.
    message = surface.messages.found[owner, sms_id]
    assert message.error == ("no credit" if status == "failed" else "")
    assert surface.messages.asked_by[-1] == phone_id


def queued(surface: Surface, account: Headers, phone_id: str) -> tuple[str, str]:
    """Have a text handed to a phone; return its owner and its key."""
    answer = surface.client().simulate_post(
        "/api/v1/sms/send", json={"to": "+15551234567", "message": "x"}, headers=account
    )
    owner, key = owner_of(account), str(answer.json["message_id"]).removeprefix("msg_")
    surface.messages.push(owner, key, phone_id)
    return owner, key


def test_the_phone_tells_its_sims(
    surface: Surface, account: Headers, phone_id: str, url: str
) -> None:
    with opened(url, phone_id, key_of(account)) as peer:
        say(peer, type="sims", sims=[{"slot": 0, "number": "+15559876543"}, {"slot": 1}])
        assert hear(peer) == {"type": "sims_ack", "count": 2}
        assert live(surface).said == ["ready", "2 SIMs"]
        for sims in ([{}], [{"slot": -1}], [{"slot": 0}] * 17):
            say(peer, type="sims", sims=sims)
            assert hear(peer)["type"] == "error"


def test_sims_that_can_not_be_stored_end_the_connection(
    surface: Surface, account: Headers, phone_id: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: object) -> None:
        raise Unavailable("away")

    with opened(url, phone_id, key_of(account)) as peer:
        monkeypatch.setattr(live(surface), "report_sims", away)
        say(peer, type="sims", sims=[])
        assert code_of(peer) == 1013


def test_a_phone_that_says_nothing_more_is_silent(
    surface: Surface, account: Headers, phone_id: str
) -> None:
    limits = ChannelLimits(ping_s=0.1, silence_s=0.3)
    target = f"/ws/device/{phone_id}?api_key={key_of(account)}"
    with (
        serving(surface.app(), channel_limits=limits) as server,
        RawPeer(server.server_port, target) as peer,
    ):
        assert peer.status == 101
        eventually_equal(lambda: live(surface).lost, "silent")


def test_a_phone_that_only_answers_pings_is_heard(
    surface: Surface, account: Headers, phone_id: str
) -> None:
    limits = ChannelLimits(ping_s=0.1)
    target = f"/ws/device/{phone_id}?api_key={key_of(account)}"
    with (
        serving(surface.app(), channel_limits=limits) as server,
        RawPeer(server.server_port, target) as peer,
    ):
        assert peer.frame() == (PING, b"")
        line = live(surface).line
        eventually(lambda: line.heard_ago_s > 0.3)
        peer.send(raw_frame(PONG_FRAME, b""))
        eventually(lambda: line.heard_ago_s < 0.3)


def test_a_text_nobody_gave_it_is_an_error_and_no_end(
    surface: Surface, account: Headers, phone_id: str, url: str
) -> None:
    _, key = queued(surface, account, "gw_other")
    with opened(url, phone_id, key_of(account)) as peer:
        for sms_id, error in (
            ("msg_unknown", "Message not found"),
            (f"msg_{'0' * 32}", "Message not found"),
            (key, "Message was not given to this device"),
        ):
            say(peer, type="sms_status", sms_id=sms_id, status="sent")
            assert hear(peer) == {"type": "error", "error": error}
        say(peer, type="ping")
        assert hear(peer) == {"type": "pong"}
        assert live(surface).said == ["ready"]


def test_a_status_that_can_not_be_stored_ends_the_connection_so_that_it_is_told_again(
    surface: Surface, account: Headers, phone_id: str, url: str
) -> None:
    owner, key = queued(surface, account, phone_id)
    with opened(url, phone_id, key_of(account)) as peer:
        surface.store.away = True
        say(peer, type="sms_status", sms_id=key, status="sent")
        assert code_of(peer) == 1013
    surface.store.away = False
    with opened(url, phone_id, key_of(account)) as peer:
        say(peer, type="sms_status", sms_id=key, status="sent")
        eventually_equal(lambda: surface.messages.found[owner, key].status, "sent")


@pytest.mark.parametrize(
    "frame",
    [
        "hello", "{", "[]", "1", '"auth"', "{}", '{"type":"nothing"}', '{"type":1}',
        '{"type":"sms_status"}', '{"type":"sms_status","sms_id":1,"status":"sent"}',
        '{"type":"sms_status","sms_id":"msg_1","status":"queued"}', "[" * 10_000,
    ],
)  # fmt: skip
def test_a_frame_nobody_understands_is_an_error_and_too_many_are_the_end(
    surface: Surface, account: Headers, phone_id: str, url: str, frame: str
) -> None:
    with opened(url, phone_id, key_of(account)) as peer:
        for _ in range(3):
            peer.send(frame)
            told = hear(peer)
            assert list(told) == ["type", "error"]
            assert told["type"] == "error"
        assert code_of(peer) == 4400
    eventually_equal(lambda: live(surface).lost, "refused")


def test_introducing_itself_again_changes_nothing(
    account: Headers, phone_id: str, url: str
) -> None:
    with opened(url, phone_id, key_of(account)) as peer:
        say(peer, type="auth", api_key=key_of(account))
        say(peer, type="ping")
        assert hear(peer) == json.loads(PONG)
        say(peer, type="auth", api_key=f"sh_device_{phone_id}")
        assert code_of(peer) == 4401


@pytest.mark.parametrize(
    ("reason", "code", "lost"),
    [
        (LineEnd.REPLACED, 4409, "replaced"),
        (LineEnd.REVOKED, 4401, "revoked"),
        (LineEnd.UNKNOWN_PHONE, 4404, "revoked"),
        (LineEnd.SHUTDOWN, 1001, "shutdown"),
        (LineEnd.OVERLOAD, 1013, "failed"),
    ],
)
def test_the_gateway_says_why_it_ends_a_connection(
    surface: Surface, account: Headers, url: str, reason: LineEnd, code: int, lost: str
) -> None:
    phone_id = surface.phone(account)
    with opened(url, phone_id, key_of(account)) as peer:
        line = live(surface)
        line.end(reason)
        line.end(LineEnd.OVERLOAD)
        assert code_of(peer) == code
    eventually_equal(lambda: line.lost, lost)


def test_a_connection_that_is_cut_ends_too(
    surface: Surface, account: Headers, phone_id: str, url: str
) -> None:
    with opened(url, phone_id, key_of(account)) as peer:
        line = live(surface)
        peer.sock.shutdown(2)
        eventually_equal(lambda: line.lost, "closed")


def test_what_a_connection_may_not_send_ends_it(
    surface: Surface, account: Headers, phone_id: str, url: str
) -> None:
    frames = ((b"\x00", websocket.ABNF.OPCODE_BINARY, 1003), (b"x" * 70_000, 1, 1009))
    for number, (frame, opcode, code) in enumerate(frames, start=1):
        with opened(url, phone_id, key_of(account)) as peer:
            line = live(surface, number)
            peer.send(frame, opcode)
            assert code_of(peer) == code
        eventually_equal(lambda: line.lost, "refused")  # noqa: B023  used up at once


def test_a_phone_that_is_removed_is_cut_off_at_once(
    surface: Surface, account: Headers, phone_id: str, url: str
) -> None:
    other_id = surface.phone(account)
    with opened(url, phone_id, key_of(account)) as peer, opened(url, other_id, key_of(account)):
        other = live(surface, 2)
        path = f"/api/v1/device/{phone_id}"
        assert surface.client().simulate_delete(path, headers=account).status_code == 200
        assert code_of(peer) == 4404
        assert other.lost is None


@pytest.mark.parametrize(
    ("kind", "revoked", "ends"),
    [
        ("live", Revoked(what="key", account_id="", key_id="{owner}"), True),
        ("live", Revoked(what="key", account_id="", key_id="another"), False),
        ("live", Revoked(what="tokens", account_id=""), False),
        ("access", Revoked(what="tokens", account_id=""), True),
        ("access", Revoked(what="key", account_id="", key_id="{owner}"), False),
        ("live", Revoked(what="phone", account_id="", phone_id="gw_other"), False),
        ("live", Revoked(what="key", account_id="usr_other", key_id="{owner}"), False),
    ],
)
def test_a_line_ends_with_the_credential_it_was_opened_with(
    surface: Surface,
    account: Headers,
    url: str,
    kind: str,
    revoked: Revoked,
    ends: bool,  # noqa: FBT001
) -> None:
    phone_id = surface.phone(account)
    owner = owner_of(account)
    key = f"sh_live_{owner}" if kind == "live" else f"access.{owner}"
    with opened(url, phone_id, key) as peer:
        live(surface)
        surface.accounts.tell(
            Revoked(
                what=revoked.what,
                account_id=revoked.account_id or owner,
                phone_id=revoked.phone_id,
                key_id=revoked.key_id.format(owner=owner),
            )
        )
        if ends:
            assert code_of(peer) == 4401
        else:
            say(peer, type="ping")
            assert hear(peer) == {"type": "pong"}


def test_a_key_that_is_revoked_while_its_phone_connects_opens_nothing(
    surface: Surface, account: Headers, phone_id: str, url: str
) -> None:
    revoked = Revoked(what="phone", account_id=owner_of(account), phone_id=phone_id)
    surface.lines.before = lambda: surface.accounts.tell(revoked)
    with opened(url, phone_id, key_of(account)) as peer:
        assert code_of(peer) == 4404
    eventually_equal(lambda: surface.lines.lines[0].lost, "revoked")


def test_a_phone_too_many_is_shown_out(
    surface: Surface, account: Headers, phone_id: str, url: str
) -> None:
    surface.lines.refuse = TooManyLines(50)
    with opened(url, phone_id, key_of(account)) as peer:
        assert code_of(peer) == 4429


def test_a_store_that_is_away_is_told_before_the_handshake_or_by_a_code(
    surface: Surface, account: Headers, phone_id: str, url: str
) -> None:
    with opened(url, phone_id) as peer:
        surface.store.away = True
        say(peer, type="auth", api_key=key_of(account))
        assert code_of(peer) == 1013
    assert refused(device(url, phone_id, key_of(account)))[:2] == (503, "3")


def test_a_client_that_judges_strictly_finds_no_fault(
    surface: Surface, account: Headers, phone_id: str, url: str
) -> None:
    auth = {"type": "auth", "api_key": key_of(account)}
    sims = {"type": "sims", "sims": [{"slot": 0}]}
    with strict(device(url, phone_id), auth, sims) as client:
        line = live(surface)
        eventually(lambda: "1 SIMs" in line.said)
        line.line.push(HELLO)
        line.end(LineEnd.REPLACED)
        end = [4409, "replaced by a newer connection"]
        assert seen_by(client) == [{"type": "sims_ack", "count": 1}, SEND_SMS, end]
    with strict(device(url, "gw_x", key_of(account))) as client:
        assert seen_by(client) == [[404, {"error": "Device not found"}]]


def test_without_an_upgrade_it_is_426(surface: Surface, account: Headers, phone_id: str) -> None:
    answer = surface.client().simulate_get(f"/ws/device/{phone_id}", headers=account)
    assert (answer.status_code, set(answer.json)) == (426, {"error"})
    assert answer.headers["upgrade"] == "websocket"
