"""A phone's WebSocket, with two clients that know nothing of us, on a real server."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import gevent
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
from support.trucopilot import HEADERS, ORG, OWNER, SECRET, Surface
from support.websocket import serving

from signalbox.actors.phone_line import LineEnd, PushedSms
from signalbox.domain.errors import OrgIsLocked, TenantErased, TooManyAttempts, TooManyLines
from signalbox.domain.phone import SimCard
from signalbox.eventstore.errors import Unavailable
from signalbox.http.channel import ChannelLimits

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(30)

WRONG: Final = "another-secret-456"
QUERY: Final = f"?org_id={ORG}&secret_key={SECRET}"
AUTH: Final = {"type": "auth", "org_id": ORG, "secret_key": SECRET}
CONNECTED: Final = {"type": "connected", "org_id": ORG}
TEXT: Final = {"address": "+15551112222", "body": "hi", "date": 1700000000000, "sim_slot": 0}
SIM: Final = {"slot": 0, "number": "+15550001111", "label": "SIM1", "carrier": "AT&T"}
HELLO: Final = PushedSms(
    key="5", number=5, to="+15553334444", text="hi", sim=None, queued_at_s=1_776_695_400.5
)
SEND_SMS: Final = {"type": "send_sms", "id": 5, "to": "+15553334444", "body": "hi"}


@pytest.fixture
def surface() -> Surface:
    return Surface(bad_frames_per_minute_max=3, strangers_per_ip_max=2)


@pytest.fixture
def url(surface: Surface) -> Iterator[str]:
    with served(surface) as url:
        yield url


@contextmanager
def served(surface: Surface) -> Iterator[str]:
    limits = ChannelLimits(first_message_timeout_s=0.3)
    with serving(surface.app(), channel_limits=limits) as server:
        yield f"ws://127.0.0.1:{server.server_port}/websocket"


@contextmanager
def connected(url: str, query: str = QUERY) -> Iterator[websocket.WebSocket]:
    """Connect as a phone that is known."""
    with connect(f"{url}{query}") as peer:
        assert hear(peer) == CONNECTED
        yield peer


@pytest.mark.parametrize("way", ["query", "header", "frame"])
def test_a_phone_connects_and_gets_what_waits(surface: Surface, url: str, way: str) -> None:
    headers = [f"X-Org-Id: {ORG}", f"X-Secret-Key: {SECRET}"] if way == "header" else []
    peer = websocket.create_connection(
        f"{url}{QUERY if way == 'query' else ''}", header=headers, timeout=TIMEOUT_S
    )
    if way == "frame":
        peer.send(json.dumps(AUTH))
    assert json.loads(peer.recv()) == CONNECTED
    line = live(surface)
    assert (line.owner, line.anonymous) == (OWNER, True)
    assert line.phone_id.startswith(f"{OWNER}~")
    line.line.push(HELLO)
    frame = json.loads(peer.recv())
    assert frame == SEND_SMS
    assert list(frame) == list(SEND_SMS)
    peer.close(1000, b"bye")
    eventually_equal(lambda: line.lost, "closed")


@pytest.mark.parametrize("sim", [0, "1", "+15550001111"])
def test_a_text_tells_the_sim_as_it_was_asked_for(
    surface: Surface, url: str, sim: int | str
) -> None:
    with connected(url) as peer:
        sms = PushedSms(key="5", number=5, to="+15553334444", text="hi", sim=sim, queued_at_s=1.0)
        live(surface).line.push(sms)
        assert hear(peer) == {**SEND_SMS, "sim": sim}


@pytest.mark.parametrize("way", ["query", "frame"])
def test_the_first_connection_claims_the_organisation(way: str) -> None:
    surface = Surface(claimed=False)
    with served(surface) as url, connect(f"{url}{QUERY if way == 'query' else ''}") as peer:
        if way == "frame":
            say(peer, **AUTH)
        assert hear(peer) == CONNECTED
        assert surface.orgs.secrets == {ORG: SECRET}


@pytest.mark.parametrize("query", [f"?org_id={ORG}&secret_key=short", "?org_id=a&secret_key=x"])
def test_nothing_is_claimed_by_what_can_t_be(query: str) -> None:
    surface = Surface(claimed=False)
    with served(surface) as url:
        assert refused(f"{url}{query}")[0] == 422
    assert surface.orgs.secrets == {}


def test_nothing_is_claimed_without_a_handshake() -> None:
    surface = Surface(claimed=False)
    answer = surface.client().simulate_get("/websocket", query_string=QUERY[1:])
    assert (answer.status_code, answer.json["code"]) == (426, "upgrade_required")
    assert answer.headers["Upgrade"] == "websocket"
    assert surface.orgs.secrets == {}


def test_of_two_that_claim_at_once_one_has_it() -> None:
    surface = Surface(claimed=False)
    outcomes: list[str] = []

    def attempt(url: str, secret: str) -> None:
        try:
            with connect(f"{url}?org_id={ORG}&secret_key={secret}") as peer:
                outcomes.append(hear(peer)["type"])
        except websocket.WebSocketBadStatusException as refusal:
            outcomes.append(str(refusal.status_code))

    with served(surface) as url:
        tries = [gevent.spawn(attempt, url, secret) for secret in (SECRET, WRONG)]
        gevent.joinall(tries, raise_error=True)
    assert sorted(outcomes) == ["401", "connected"]


def test_a_lost_claim_is_401_and_no_handshake() -> None:
    surface = Surface(claimed=False)
    authenticate = surface.orgs.authenticate

    def too_slow(org_id: str, secret: str, *, peer: str) -> str | None:
        owner = authenticate(org_id, secret, peer=peer)
        surface.orgs.secrets[ORG] = WRONG
        return owner

    surface.orgs.authenticate = too_slow  # type: ignore[method-assign]
    with served(surface) as url:
        status, _, body = refused(f"{url}{QUERY}")
    assert (status, body["code"]) == (401, "invalid_credentials")


@pytest.mark.parametrize(
    ("query", "headers", "status", "code"),
    [
        (f"?org_id={ORG}&secret_key={WRONG}", {}, 401, "invalid_credentials"),
        (f"?org_id={ORG}", {}, 401, "missing_credentials"),
        (f"?secret_key={SECRET}", {}, 422, "invalid"),
        (f"?org_id=a.b&secret_key={SECRET}", {}, 422, "invalid"),
        (f"?org_id={ORG}&secret_key={WRONG}", HEADERS, 400, "bad_request"),
        (f"{QUERY}&device_id=a.b", {}, 422, "invalid"),
        (f"{QUERY}&device_id={'x' * 65}", {}, 422, "invalid"),
        ("?device_id=a.b", {}, 422, "invalid"),
    ],
)
def test_who_is_refused_learns_it_before_the_handshake(
    surface: Surface, url: str, query: str, headers: dict[str, str], status: int, code: str
) -> None:
    answer = refused(f"{url}{query}", headers)
    assert (answer[0], answer[2]["code"]) == (status, code)
    assert answer[2]["ok"] is False
    assert surface.lines.lines == []


@pytest.mark.parametrize("refusal", [OrgIsLocked(297), TooManyAttempts(297)])
def test_who_tried_too_often_is_told_when_to_come_again(
    surface: Surface, url: str, refusal: Exception
) -> None:
    surface.orgs.refuse = refusal
    assert refused(f"{url}{QUERY}")[:2] == (429, "297")
    with connect(url) as peer:
        say(peer, **AUTH)
        assert code_of(peer) == 4429


def test_nobody_is_let_in_while_the_store_is_away(surface: Surface, url: str) -> None:
    surface.store.away = True
    assert refused(f"{url}{QUERY}")[:2] == (503, "3")
    with connect(url) as peer:
        say(peer, **AUTH)
        assert code_of(peer) == 1013


@pytest.mark.parametrize(
    "fields",
    [
        {"secret_key": WRONG},
        {"org_id": "a.b"},
        {"org_id": "other", "secret_key": "short"},
        {"device_id": "a.b"},
        {"secret_key": ""},
    ],
)
def test_who_introduces_itself_wrongly_is_shown_out(
    surface: Surface, url: str, fields: dict[str, str]
) -> None:
    with connect(url) as peer:
        say(peer, **{**AUTH, **fields})
        assert code_of(peer) == 4401
    assert surface.lines.lines == []


@pytest.mark.parametrize(
    "first",
    [
        '{"type":"ping"}', "hello", '{"type":"auth"}', "[]", '{"type":"auth","org_id":1}',
        '{"type":"sims","sims":[]}', '{"org_id":"myorg","secret_key":"my-secret-key-123"}',
    ],
)  # fmt: skip
def test_the_first_frame_must_say_who_it_is(surface: Surface, url: str, first: str) -> None:
    with connect(url) as peer:
        peer.send(first)
        assert code_of(peer) == 4401
    assert surface.lines.lines == []


def test_who_says_nothing_has_ten_seconds(url: str) -> None:
    with connect(url) as peer:  # 0.3 s here
        assert code_of(peer) == 4408


def test_a_first_frame_that_is_too_large_is_refused(url: str) -> None:
    with connect(url) as peer:
        say(peer, **{**AUTH, "device_id": "x" * 5_000})
        assert code_of(peer) == 1009


def test_of_strangers_there_may_be_some_from_one_address(surface: Surface, url: str) -> None:
    with connect(url) as first, connect(url), connect(url) as third:
        assert code_of(third) == 4429
        say(first, **AUTH)
        live(surface)
        with connect(url) as another:  # The first is no stranger any more.
            say(another, **AUTH)
            live(surface, 2)


@pytest.mark.parametrize("way", ["query", "frame"])
def test_a_phone_may_have_a_name(surface: Surface, url: str, way: str) -> None:
    query = f"{QUERY}&device_id=pixel-6a" if way == "query" else ""
    with connect(f"{url}{query}") as peer:
        if way == "frame":
            say(peer, **AUTH, device_id="pixel-6a")
        assert hear(peer) == CONNECTED
        line = live(surface)
        assert (line.phone_id, line.anonymous) == (f"{OWNER}.pixel-6a", False)


def test_phones_without_a_name_are_never_the_same(surface: Surface, url: str) -> None:
    with connected(url), connected(url):
        assert live(surface).phone_id != live(surface, 2).phone_id


def test_more_phones_than_there_may_be_are_shown_out(surface: Surface, url: str) -> None:
    surface.lines.refuse = TooManyLines(50)
    with connect(f"{url}{QUERY}") as peer:
        assert code_of(peer) == 4429


def test_a_line_that_can_t_be_stored_is_not_open(surface: Surface, url: str) -> None:
    surface.lines.refuse = Unavailable("store does not answer")
    with connect(f"{url}{QUERY}") as peer:
        assert code_of(peer) == 1013


def test_a_phone_tells_its_sims(surface: Surface, url: str) -> None:
    with connected(url) as peer:
        say(peer, type="sims", sims=[SIM, {"slot": 1, "number": None, "label": ""}])
        assert hear(peer) == {"type": "sims_ack", "count": 2}
        cards = (SimCard(0, "+15550001111", "SIM1", "AT&T"), SimCard(1))
        assert live(surface).sims == cards
        say(peer, type="sims", sims=[])
        assert hear(peer) == {"type": "sims_ack", "count": 0}
        assert live(surface).sims == ()


def test_sims_that_make_no_sense_are_not_taken(surface: Surface, url: str) -> None:
    with connected(url) as peer:
        bad = [{}, 7, {"slot": 8}, {"slot": "0"}, {"slot": 0, "number": "1" * 33}]
        say(peer, type="sims", sims=[*bad, SIM])
        assert hear(peer) == {"type": "sims_ack", "count": 1}
        say(peer, type="sims", sims=[SIM] * 500)
        assert hear(peer) == {"type": "sims_ack", "count": 16}
    assert len(live(surface).sims or ()) == 16


def test_a_text_is_acknowledged_once_it_is_stored(surface: Surface, url: str) -> None:
    with connected(url) as peer:
        say(peer, type="inbound", message=TEXT)
        assert hear(peer) == {"type": "inbound_ack", "stored": 1}
        say(peer, type="inbound", message=TEXT)
        assert hear(peer) == {"type": "inbound_ack", "stored": 0}
    (message,) = surface.messages.found.values()
    assert (message.peer, message.text, message.sim_slot) == ("+15551112222", "hi", 0)
    assert message.phone_id == live(surface).phone_id
    assert surface.messages.asked_by == [message.phone_id] * 2


def test_texts_are_acknowledged_in_their_order(url: str) -> None:
    with connected(url) as peer:
        for body in ("a", "b", "a", "c"):
            say(peer, type="inbound", message={**TEXT, "body": body})
        say(peer, type="ping")
        heard = [hear(peer) for _ in range(5)]
    assert [one.get("stored", one["type"]) for one in heard] == [1, 1, 0, 1, "pong"]


@pytest.mark.parametrize(
    ("given", "number"),
    [
        ({"sim_slot": 1}, "+15550002222"),
        ({"sim_slot": 1, "sim_number": ""}, "+15550002222"),
        ({"sim_slot": 1, "sim_number": "+15550003333"}, "+15550003333"),
        ({"sim_slot": 0}, ""),
        ({"sim_slot": 2}, ""),
        ({"sim_slot": None}, ""),
    ],
)
def test_a_text_came_to_the_number_of_the_sim_in_its_slot(
    surface: Surface, url: str, given: dict[str, object], number: str
) -> None:
    with connected(url) as peer:
        say(peer, type="sims", sims=[SIM])
        say(peer, type="sims", sims=[{"slot": 0}, {**SIM, "slot": 1, "number": "+15550002222"}])
        say(peer, type="inbound", message={**TEXT, **given})
        assert [hear(peer)["type"] for _ in range(3)] == ["sims_ack", "sims_ack", "inbound_ack"]
    (message,) = surface.messages.found.values()
    assert (message.sim_slot, message.sim_number) == (given["sim_slot"], number)


def test_it_is_the_same_text_whether_or_not_the_sims_were_told(url: str) -> None:
    with connected(url) as peer:
        say(peer, type="inbound", message=TEXT)
        say(peer, type="sims", sims=[SIM])
        say(peer, type="inbound", message=TEXT)
        assert [hear(peer).get("stored") for _ in range(3)] == [1, None, 0]


def test_it_is_the_same_text_by_socket_and_by_request(surface: Surface, url: str) -> None:
    body = {"messages": [{**TEXT, "id": "123"}], "org_id": ORG}
    answer = surface.client().simulate_post("/webhook", json=body, headers=HEADERS)
    assert answer.json["stored"] == 1
    with connected(url) as peer:
        say(peer, type="inbound", message=TEXT)
        assert hear(peer) == {"type": "inbound_ack", "stored": 0}


def test_a_text_that_can_t_be_taken_does_not_come_again(surface: Surface, url: str) -> None:
    with connected(url) as peer:
        say(peer, type="inbound", message={**TEXT, "date": "yesterday"})
        error = "date: expected a time in ms since 1970"
        assert hear(peer) == {"type": "inbound_ack", "stored": 0, "error": error}
        say(peer, type="inbound")
        error = "expected object, got null"
        assert hear(peer) == {"type": "inbound_ack", "stored": 0, "error": error}
        say(peer, type="inbound", message=TEXT)
        assert hear(peer) == {"type": "inbound_ack", "stored": 1}
        assert surface.messages.asked_by == [live(surface).phone_id]


def test_what_can_t_be_stored_of_a_text_is_replaced(surface: Surface, url: str) -> None:
    with connected(url) as peer:
        frame = json.dumps({"type": "inbound", "message": {**TEXT, "body": "x\0\ud800y"}})
        peer.send(frame)
        assert hear(peer) == {"type": "inbound_ack", "stored": 1}
    assert surface.messages.found[OWNER, "1"].text == "x\ufffd\ufffdy"


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "inbound", "message": TEXT},
        {"type": "send_result", "id": 1, "success": True},
    ],
)
def test_what_can_t_be_stored_ends_the_connection_and_comes_again_with_the_next(
    surface: Surface, url: str, frame: dict[str, object]
) -> None:
    with connected(url) as peer:
        line = live(surface)
        surface.store.away = True
        say(peer, **frame)
        assert code_of(peer) == 1013
    eventually(lambda: line.lost)


def test_sims_that_can_t_be_stored_end_it_too(surface: Surface, url: str) -> None:
    with connected(url) as peer:
        live(surface).refuse = Unavailable("store does not answer")
        say(peer, type="sims", sims=[SIM])
        assert code_of(peer) == 1013


def test_what_is_erased_takes_no_texts(surface: Surface, url: str) -> None:
    surface.messages.refuse = TenantErased(OWNER)
    with connected(url) as peer:
        say(peer, type="inbound", message=TEXT)
        assert hear(peer)["type"] == "error"


def queued(surface: Surface, count: int = 1) -> None:
    body = {"messages": [{"to": "+1555", "body": "a"}] * count}
    answer = surface.client().simulate_post(f"/send/{ORG}", json=body, headers=HEADERS)
    assert answer.json["queued"] == count


@pytest.mark.parametrize("number", [1, "1"])
@pytest.mark.parametrize(("success", "status"), [(True, "sent"), (False, "failed")])
def test_the_phone_tells_what_became_of_a_text(
    surface: Surface,
    url: str,
    number: object,
    success: bool,  # noqa: FBT001
    status: str,
) -> None:
    queued(surface)
    with connected(url) as peer:
        say(peer, type="send_result", id=number, success=success, error="no credit")
        eventually_equal(lambda: surface.messages.found[OWNER, "1"].status, status)
        say(peer, type="ping")
        assert hear(peer) == {"type": "pong"}  # Nothing else is said about it.
    (message,) = surface.messages.found.values()
    assert message.error == ("" if success else "no credit")
    assert surface.messages.asked_by[-1] == live(surface).phone_id


def test_success_after_failure_counts_and_failure_after_success_too_late(
    surface: Surface, url: str
) -> None:
    queued(surface)
    with connected(url) as peer:
        for success in (False, True, True, False):
            say(peer, type="send_result", id=1, success=success)
        say(peer, type="ping")
        assert hear(peer) == {"type": "pong"}
    assert [one.overrides_failure for one in surface.messages.reports] == [False, True, True, False]


@pytest.mark.parametrize("sent_at", ["2026-04-20T14:29:00Z", 1776695340000, 1776695340])
def test_the_phone_may_tell_when_it_was_sent(surface: Surface, url: str, sent_at: object) -> None:
    queued(surface)
    with connected(url) as peer:
        say(peer, type="send_result", id=1, success=True, sent_at=sent_at)
        eventually(lambda: surface.messages.reports)
    assert surface.messages.reports[0].at_s == 1_776_695_340.0


@pytest.mark.parametrize("number", [7, 0, -1, "x", "", 2**62])
def test_a_text_nobody_knows_is_an_error_and_no_end(
    surface: Surface, url: str, number: object
) -> None:
    with connected(url) as peer:
        for _ in range(5):
            say(peer, type="send_result", id=number, success=True)
            assert hear(peer) == {"type": "error", "error": "message not found"}
        assert live(surface).said == ["ready"]


@pytest.mark.parametrize(
    "frame",
    [
        "hello", "{", "[]", "1", '"auth"', "{}", '{"type":"nothing"}', '{"type":1}',
        '{"type":"sims"}', '{"type":"sims","sims":{}}', '{"type":"send_result","id":1}',
        '{"type":"send_result","id":1,"success":"yes"}',
        '{"type":"send_result","id":1.5,"success":true}',
        '{"type":"send_result","id":1,"success":true,"sent_at":"now"}', "[" * 10_000,
    ],
)  # fmt: skip
def test_a_frame_nobody_understands_is_an_error_and_too_many_are_the_end(
    surface: Surface, url: str, frame: str
) -> None:
    with connected(url) as peer:
        for _ in range(3):
            peer.send(frame)
            told = hear(peer)
            assert list(told) == ["type", "error"]
            assert told["type"] == "error"
        assert code_of(peer) == 4400
    eventually_equal(lambda: live(surface).lost, "refused")


def test_too_many_texts_that_make_no_sense_are_the_end_too(url: str) -> None:
    with connected(url) as peer:
        for _ in range(3):
            say(peer, type="inbound", message={})
            assert hear(peer)["stored"] == 0
        assert code_of(peer) == 4400


def test_introducing_itself_again_changes_nothing(url: str) -> None:
    with connected(url) as peer:
        say(peer, **AUTH)
        say(peer, type="ping")
        assert hear(peer) == {"type": "pong"}
        say(peer, **{**AUTH, "secret_key": WRONG})
        assert code_of(peer) == 4401


@pytest.mark.parametrize(
    ("reason", "code", "lost"),
    [
        (LineEnd.REPLACED, 4409, "replaced"),
        (LineEnd.SHUTDOWN, 1001, "shutdown"),
        (LineEnd.OVERLOAD, 1013, "failed"),
    ],
)
def test_the_gateway_says_why_it_ends_a_connection(
    surface: Surface, url: str, reason: LineEnd, code: int, lost: str
) -> None:
    with connected(url) as peer:
        line = live(surface)
        line.end(reason)
        assert code_of(peer) == code
    eventually_equal(lambda: line.lost, lost)


def test_a_connection_that_is_cut_ends_too(surface: Surface, url: str) -> None:
    with connected(url) as peer:
        line = live(surface)
        peer.sock.shutdown(socket.SHUT_RDWR)
        eventually_equal(lambda: line.lost, "closed")


def test_pings_that_come_at_once_are_answered_one_by_one(url: str) -> None:
    with connected(url) as peer:
        say_at_once(peer, 90, type="ping")
        assert [hear(peer) for _ in range(90)] == [{"type": "pong"}] * 90


def test_a_client_that_judges_strictly_finds_no_fault(surface: Surface, url: str) -> None:
    sims = {"type": "sims", "sims": [{"slot": 0}]}
    with strict(f"{url}{QUERY}", sims) as client:
        line = live(surface)
        eventually(lambda: "1 SIMs" in line.said)
        line.line.push(HELLO)
        line.end(LineEnd.REPLACED)
        end = [4409, "replaced by a newer connection"]
        assert seen_by(client) == [CONNECTED, {"type": "sims_ack", "count": 1}, SEND_SMS, end]
    with strict(f"{url}?org_id={ORG}&secret_key={WRONG}") as client:
        ((status, body),) = seen_by(client)
        assert (status, body["code"]) == (401, "invalid_credentials")


def test_a_lock_leaves_who_is_connected_alone(surface: Surface, url: str) -> None:
    with connected(url) as peer:
        surface.orgs.refuse = OrgIsLocked(300)
        assert refused(f"{url}{QUERY}")[0] == 429
        live(surface).line.push(HELLO)
        assert hear(peer) == SEND_SMS


def test_no_secret_is_ever_logged(
    surface: Surface, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"):
        with connected(url):
            live(surface)
        refused(f"{url}?org_id={ORG}&secret_key={WRONG}")
        with connect(url) as peer:
            say(peer, **AUTH)
            peer.send("x" * 70_000)
            assert hear(peer) == CONNECTED
        surface.messages.refuse = RuntimeError("an accident")
        http = url.replace("ws:", "http:").removesuffix("/websocket")
        for path in (f"/messages/{ORG}/{SECRET}", f"/messages/{ORG}/{WRONG}?secret_key={SECRET}"):
            call(f"{http}{path}")
        call(f"{http}/webhook", json.dumps({"messages": [TEXT], **AUTH}))

    def told() -> str:
        return "\n".join(str(vars(record)) for record in caplog.records)

    eventually(lambda: told().count("'/websocket'") >= 3)
    assert "/messages/{org_id}/{secret_key}" in told()
    assert "an accident" in told()
    for secret in (SECRET, WRONG):
        assert secret not in told()


def call(url: str, body: str | None = None) -> int:
    try:
        data = body.encode() if body else None
        with urllib.request.urlopen(url, data=data, timeout=TIMEOUT_S) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
