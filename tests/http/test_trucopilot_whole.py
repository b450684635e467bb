"""The surface above the real gateway: what its reference promises, from end to end."""

from __future__ import annotations

import json
import shlex
import urllib.request
from typing import TYPE_CHECKING, Any, Final

import gevent
import pytest
import websocket
from support.gateway import eventually, eventually_equal
from support.phone_gateway import PhoneGateway
from support.phone_sockets import code_of, connect, hear, say

from signalbox.actors.phone_messages import OutboundRequest
from signalbox.domain.org import OrgLocked

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(60)

ORG: Final = "myorg"
OWNER: Final = "org_myorg"
SECRET: Final = "my-secret-key-123"
WRONG: Final = "another-secret-456"
HEADERS: Final = {"X-Secret-Key": SECRET}
SIM: Final = {"slot": 0, "number": "+15550001111", "label": "SIM1", "carrier": "AT&T"}
TEXT: Final = {"address": "+15551112222", "body": "hi", "date": 1700000000000}


@pytest.fixture
def gateway(database_url: str) -> Iterator[PhoneGateway]:
    with PhoneGateway(database_url) as gateway:
        yield gateway


def tell_sims(peer: websocket.WebSocket, *sims: object) -> None:
    say(peer, type="sims", sims=[*sims])
    assert hear(peer) == {"type": "sims_ack", "count": len(sims)}


def claim(gateway: PhoneGateway, *texts: object) -> None:
    body = {"org_id": ORG, "secret_key": SECRET, "messages": [*texts]}
    answer = gateway.call("POST", "/webhook", body)
    assert answer == (200, {"ok": True, "org_id": ORG, "stored": len(texts)})


def send(gateway: PhoneGateway, **body: object) -> Any:  # noqa: ANN401  (JSON)
    status, answer = gateway.call("POST", f"/send/{ORG}", {"secret_key": SECRET, **body})
    assert status == 200, answer
    return answer


def listed(gateway: PhoneGateway, query: str = "") -> Any:  # noqa: ANN401  (JSON)
    status, answer = gateway.call("GET", f"/messages/{ORG}{query}", headers=HEADERS)
    assert status == 200, answer
    return answer["messages"]


def statuses(gateway: PhoneGateway) -> list[str]:
    return [one["status"] for one in listed(gateway, "?direction=out")]


def curl(command: str) -> Any:  # noqa: ANN401  (JSON)
    """Do what a command for curl would do."""
    words = iter(shlex.split(command)[1:])
    method, headers, data, url = None, {}, None, ""
    for word in words:
        match word:
            case "-X":
                method = next(words)
            case "-H":
                name, _, value = next(words).partition(": ")
                headers[name] = value
            case "-d":
                data = next(words).encode()
            case _:
                url = word
    request = urllib.request.Request(url, data=data, headers=headers, method=method)  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return json.loads(answer.read())


QUICKSTART: Final = """\
curl -X POST https://phonesms.trucopilot.com/webhook -H 'Content-Type: application/json' \
-d '{"org_id":"myorg","secret_key":"my-secret-key-123","messages":[{"address":"+15551112222",\
"body":"hi","date":1700000000000}]}'
curl -H 'X-Secret-Key: my-secret-key-123' https://phonesms.trucopilot.com/messages/myorg
curl -X POST https://phonesms.trucopilot.com/send/myorg -H 'Content-Type: application/json' \
-d '{"secret_key":"my-secret-key-123","to":"+15553334444","body":"sent from API"}'
"""


def test_the_reference_s_quickstart_works(gateway: PhoneGateway) -> None:
    here = QUICKSTART.replace("https://phonesms.trucopilot.com", f"http://{gateway.host}")
    stored, read, sent = map(curl, here.splitlines())
    assert stored == {"ok": True, "org_id": "myorg", "stored": 1}
    (message,) = read["messages"]
    assert (read["org_id"], read["count"]) == ("myorg", 1)
    assert (message["id"], message["direction"], message["body"]) == (1, "in", "hi")
    assert message["device_ts"] == 1700000000000
    ticket = {"id": 2, "to": "+15553334444", "status": "queued"}
    assert sent == {"ok": True, "device_online": False, "queued": 1, "results": [ticket]}


def test_our_own_quickstart_works_too(gateway: PhoneGateway) -> None:
    with urllib.request.urlopen(f"http://{gateway.host}/llms.txt", timeout=10) as answer:
        text = answer.read().decode()
    quickstart = text.partition("## curl quickstart\n")[2].replace("\\\n", "")
    commands = [line for line in quickstart.splitlines() if line.startswith("curl")]
    stored, read, sent = map(curl, commands)
    assert (stored["stored"], read["count"], sent["queued"]) == (1, 1, 1)


def test_health_is_as_the_reference_has_it(gateway: PhoneGateway) -> None:
    assert gateway.call("GET", "/health") == (200, {"status": "ok"})


def test_a_text_goes_out_through_a_phone(gateway: PhoneGateway) -> None:
    with gateway.phone(ORG, SECRET) as phone:
        tell_sims(phone, SIM)
        answer = send(gateway, sim="+15550001111", to="+19995550000", body="hi")
        assert answer["device_online"] is True
        assert answer["results"] == [{"id": 1, "to": "+19995550000", "status": "sending"}]
        text = {"id": 1, "to": "+19995550000", "body": "hi", "sim": "+15550001111"}
        assert hear(phone) == {"type": "send_sms", **text}
        assert statuses(gateway) == ["sending"]
        say(phone, type="send_result", id=1, success=True)
        eventually_equal(lambda: statuses(gateway), ["sent"])
        (message,) = listed(gateway, "?ids=1")
        assert message["sent_at"] >= message["created_at"]


def test_what_the_phone_could_not_send_has_failed_until_it_could(gateway: PhoneGateway) -> None:
    with gateway.phone(ORG, SECRET) as phone:
        send(gateway, to="+19995550000", body="hi")
        number = hear(phone)["id"]
        say(phone, type="send_result", id=number, success=False, error="no service")
        eventually_equal(lambda: statuses(gateway), ["failed"])
        assert listed(gateway)[0]["error"] == "no service"
        say(phone, type="send_result", id=number, success=True)
        eventually_equal(lambda: statuses(gateway), ["sent"])
        say(phone, type="send_result", id=number, success=False)
        say(phone, type="ping")
        assert hear(phone) == {"type": "pong"}
        assert statuses(gateway) == ["sent"]


def test_what_waited_comes_after_the_greeting(gateway: PhoneGateway) -> None:
    claim(gateway)
    texts = [{"to": "+19995550000", "body": body} for body in ("a", "b")]
    answer = send(gateway, messages=texts)
    assert [one["status"] for one in answer["results"]] == ["queued", "queued"]
    with gateway.phone(ORG, SECRET) as phone:
        assert [hear(phone)["body"] for _ in range(2)] == ["a", "b"]
    eventually_equal(lambda: statuses(gateway), ["sending", "sending"])


def test_what_asks_for_a_sim_waits_until_the_phone_told_which_it_has(
    gateway: PhoneGateway,
) -> None:
    claim(gateway)
    send(gateway, sim="+15550001111", to="+19995550000", body="by one")
    send(gateway, sim=1, to="+19995550000", body="by another")
    with gateway.phone(ORG, SECRET) as phone:
        tell_sims(phone, SIM)
        assert hear(phone)["body"] == "by one"
        assert statuses(gateway) == ["sending", "queued"]


def test_the_phone_that_is_connected_longest_sends(gateway: PhoneGateway) -> None:
    with gateway.phone(ORG, SECRET) as first, gateway.phone(ORG, SECRET) as second:
        for number in range(3):
            send(gateway, to="+19995550000", body=str(number))
            assert hear(first)["body"] == str(number)
        say(second, type="ping")
        assert hear(second) == {"type": "pong"}


def test_sims_are_listed_while_the_phone_is_there_and_after(gateway: PhoneGateway) -> None:
    def sims() -> Any:  # noqa: ANN401  (JSON)
        return gateway.call("GET", f"/sims/{ORG}/{SECRET}")[1]

    with gateway.phone(ORG, SECRET) as phone:
        tell_sims(phone, SIM)
        found = sims()
        assert (found["online_devices"], found["live_sims"]) == (1, [SIM])
        (known,) = found["known_sims"]
        assert known.pop("last_seen").endswith("Z")
        assert known == SIM
    eventually_equal(lambda: sims()["online_devices"], 0)
    found = sims()
    assert found["live_sims"] == []
    assert [one["number"] for one in found["known_sims"]] == ["+15550001111"]


def test_a_phone_that_comes_back_takes_the_place_of_its_old_connection(
    gateway: PhoneGateway,
) -> None:
    with gateway.phone(ORG, SECRET) as old, gateway.phone(ORG, SECRET) as new:
        tell_sims(old, SIM)
        tell_sims(new, SIM)
        opcode, data = old.recv_data()
        assert (opcode, int.from_bytes(data[:2])) == (websocket.ABNF.OPCODE_CLOSE, 4409)

        def online() -> int:
            found: int = gateway.call("GET", f"/sims/{ORG}", headers=HEADERS)[1]["online_devices"]
            return found

        eventually_equal(online, 1)  # The end of the old one is stored once its socket is closed.


def test_a_phone_with_a_name_does_so_at_once(gateway: PhoneGateway) -> None:
    name = "&device_id=pixel"
    with gateway.phone(ORG, SECRET, name) as old, gateway.phone(ORG, SECRET, name):
        opcode, data = old.recv_data()
        assert (opcode, int.from_bytes(data[:2])) == (websocket.ABNF.OPCODE_CLOSE, 4409)


def test_a_text_comes_in_once_whichever_way(gateway: PhoneGateway) -> None:
    with gateway.phone(ORG, SECRET) as phone:
        say(phone, type="inbound", message={**TEXT, "sim_slot": 0})
        assert hear(phone) == {"type": "inbound_ack", "stored": 1}
        body = {"messages": [{**TEXT, "id": "7"}], "org_id": ORG}
        answer = gateway.call("POST", "/webhook", body, HEADERS)
        assert answer == (200, {"ok": True, "org_id": ORG, "stored": 0, "duplicates": 1})
        say(phone, type="inbound", message=TEXT)
        assert hear(phone) == {"type": "inbound_ack", "stored": 0}
    assert len(listed(gateway)) == 1


def test_a_text_is_found_by_the_number_it_came_to(gateway: PhoneGateway) -> None:
    with gateway.phone(ORG, SECRET) as phone:
        tell_sims(phone, SIM)
        say(phone, type="inbound", message={**TEXT, "sim_slot": 0})
        assert hear(phone) == {"type": "inbound_ack", "stored": 1}
    (message,) = listed(gateway, "?sim=%2B15550001111")
    assert (message["sim_slot"], message["sim_number"]) == (0, "+15550001111")


def test_two_texts_alike_are_two_by_their_ids_however_often_they_come(
    gateway: PhoneGateway,
) -> None:
    batch = {"org_id": ORG, "messages": [{**TEXT, "id": "7"}, {**TEXT, "id": "8"}]}
    claim(gateway)
    told = [gateway.call("POST", "/webhook", batch, HEADERS)[1] for _ in range(2)]
    assert [(one["stored"], one.get("duplicates", 0)) for one in told] == [(2, 0), (0, 2)]
    with gateway.phone(ORG, SECRET) as phone:
        say(phone, type="inbound", message=TEXT)
        assert hear(phone) == {"type": "inbound_ack", "stored": 0}
    assert len(listed(gateway)) == 2


def test_both_directions_share_their_ids(gateway: PhoneGateway) -> None:
    claim(gateway, TEXT)
    send(gateway, to="+19995550000", body="a")
    claim(gateway, {**TEXT, "body": "again"})
    assert [(one["id"], one["direction"]) for one in listed(gateway)] == [
        (1, "in"),
        (2, "out"),
        (3, "in"),
    ]
    assert [one["id"] for one in listed(gateway, "?since_id=1&limit=1")] == [2]
    assert [one["id"] for one in listed(gateway, "?direction=in&order=desc")] == [3, 1]


def test_a_repeated_request_finds_its_tickets(gateway: PhoneGateway) -> None:
    claim(gateway)
    headers = {**HEADERS, "Idempotency-Key": "order-7"}
    body = {"to": "+19995550000", "body": "a"}
    first = gateway.call("POST", f"/send/{ORG}", body, headers)
    assert gateway.call("POST", f"/send/{ORG}", body, headers) == first
    status, answer = gateway.call("POST", f"/send/{ORG}", {**body, "body": "b"}, headers)
    assert (status, answer["code"]) == (409, "idempotency_conflict")


def test_of_two_first_requests_one_has_the_organisation(gateway: PhoneGateway) -> None:
    def attempt(secret: str) -> int:
        body = {"org_id": ORG, "secret_key": secret, "messages": [TEXT]}
        return gateway.call("POST", "/webhook", body)[0]

    tries = [gevent.spawn(attempt, secret) for secret in (SECRET, WRONG)]
    gevent.joinall(tries, raise_error=True)
    assert sorted(one.value for one in tries) == [200, 401]


def test_so_it_is_with_two_first_connections(gateway: PhoneGateway) -> None:
    outcomes: list[int] = []

    def attempt(secret: str) -> None:
        try:
            with gateway.phone(ORG, secret):
                outcomes.append(101)
        except websocket.WebSocketBadStatusException as refusal:
            outcomes.append(refusal.status_code)

    tries = [gevent.spawn(attempt, secret) for secret in (SECRET, WRONG)]
    gevent.joinall(tries, raise_error=True)
    assert sorted(outcomes) == [101, 401]


def test_two_requests_of_one_phone_claim_together(gateway: PhoneGateway) -> None:
    connections = [gevent.spawn(gateway.phone(ORG, SECRET).__enter__), gevent.spawn(claim, gateway)]
    gevent.joinall(connections, raise_error=True)
    connections[0].value.shutdown()


def test_ten_wrong_secrets_lock_everybody_out_but_who_is_connected(
    gateway: PhoneGateway,
) -> None:
    with gateway.phone(ORG, SECRET) as phone:
        for _ in range(10):
            status, _ = gateway.call("GET", f"/messages/{ORG}/{WRONG}")
            assert status == 401
        status, answer = gateway.call("GET", f"/messages/{ORG}", headers=HEADERS)
        assert (status, answer["code"]) == (429, "locked")
        with (
            pytest.raises(websocket.WebSocketBadStatusException) as refused,
            gateway.phone(ORG, SECRET),
        ):
            pytest.fail("was let in")
        assert refused.value.status_code == 429
        assert 290 <= int(refused.value.resp_headers["retry-after"]) <= 300
        gateway.phones.messages.queue(
            OWNER, [OutboundRequest(to="+19995550000", text="still there")], by="test"
        )
        assert hear(phone)["body"] == "still there"
        say(phone, type="inbound", message=TEXT)
        assert hear(phone) == {"type": "inbound_ack", "stored": 1}
    told = [one.event for one in gateway.log.read("org-myorg")]
    assert [type(event) for event in told[1:]] == [OrgLocked]


@pytest.mark.parametrize("way", ["path", "header", "body", "query", "socket", "frame"])
def test_wrong_secrets_count_wherever_they_are(database_url: str, way: str) -> None:
    with PhoneGateway(database_url, failures_max=2) as gateway:
        claim(gateway)
        for _ in range(2):
            assert fail(gateway, way) in {401, 4401}
        assert fail(gateway, way) in {429, 4429}


def fail(gateway: PhoneGateway, way: str) -> int:
    """Show a wrong secret; return the status or the code it is refused with."""
    path, headers = f"/messages/{ORG}", {"X-Secret-Key": WRONG}
    match way:
        case "path":
            return gateway.call("GET", f"{path}/{WRONG}")[0]
        case "header":
            return gateway.call("GET", path, headers=headers)[0]
        case "query":
            return gateway.call("GET", f"{path}?secret_key={WRONG}")[0]
        case "body":
            return gateway.call("POST", f"/send/{ORG}", {"secret_key": WRONG})[0]
        case "frame":
            return introduce(gateway, WRONG)
        case _:
            with (
                pytest.raises(websocket.WebSocketBadStatusException) as refused,
                gateway.phone(ORG, WRONG),
            ):
                pytest.fail("was let in")
            return int(refused.value.status_code)


def introduce(gateway: PhoneGateway, secret: str) -> int:
    """Show a secret in the first frame; return the code the socket is closed with."""
    with connect(f"ws://{gateway.host}/websocket", timeout_s=10) as peer:
        say(peer, type="auth", org_id=ORG, secret_key=secret)
        return code_of(peer)


def test_what_does_not_count(database_url: str) -> None:
    with PhoneGateway(database_url, failures_max=1, failures_per_ip_max=1) as gateway:
        path = f"/messages/{ORG}"
        assert gateway.call("GET", path, headers=HEADERS)[0] == 401  # Nobody claimed it yet.
        claim(gateway)
        assert gateway.call("GET", path)[0] == 401
        assert gateway.call("GET", f"/messages/a.b/{WRONG}")[0] == 422
        assert gateway.call("GET", f"{path}/{WRONG}", headers=HEADERS)[0] == 400
        assert listed(gateway) == []


def test_another_process_has_the_phone(database_url: str) -> None:
    with (
        PhoneGateway(database_url) as gateway,
        PhoneGateway(database_url, projects=False) as other,
        other.phone(ORG, SECRET) as phone,
    ):
        tell_sims(phone, SIM)
        answer = send(gateway, to="+19995550000", body="over there")
        assert (answer["device_online"], answer["results"][0]["status"]) == (True, "sending")
        assert hear(phone)["body"] == "over there"


def test_callbacks_are_configured(gateway: PhoneGateway) -> None:
    claim(gateway)
    path, body = f"/webhooks/{ORG}", {"secret_key": SECRET, "url": "https://example.com/hook"}
    assert gateway.call("GET", path, headers=HEADERS)[0] == 404
    status, shown = gateway.call("PUT", path, body)
    assert (status, shown["events"]) == (200, ["inbound", "status", "presence"])
    assert shown.pop("secret").startswith("whsec_")
    assert gateway.call("GET", path, headers=HEADERS) == (200, shown)
    status, answer = gateway.call("PUT", path, {**body, "url": "http://127.0.0.1/"})
    assert (status, answer["code"]) == (422, "invalid")
    assert gateway.call("DELETE", path, headers=HEADERS) == (200, {"ok": True})
    assert gateway.call("GET", path, headers=HEADERS)[0] == 404


def test_nothing_of_a_message_is_left_in_the_open(gateway: PhoneGateway) -> None:
    claim(gateway, {**TEXT, "body": "a word to keep"})
    with gateway.log.pool.connection() as connection:
        rows = connection.execute("SELECT state FROM signalbox.stored_events").fetchall()
    stored = b"".join(bytes(row["state"]) for row in rows)
    for word in (b"a word to keep", b"+15551112222", SECRET.encode()):
        assert word not in stored
    eventually(lambda: listed(gateway)[0]["body"] == "a word to keep")
