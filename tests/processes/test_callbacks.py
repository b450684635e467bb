"""Real relays and a real receiver: what was posted when a relay was killed is posted again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.callbacks import told
from support.gateway import eventually, eventually_equal
from support.history import rows
from support.processes import Installation, kill
from support.receiver import Receiver

from signalbox.actors.transports.outside import Outside
from signalbox.actors.webhooks import Webhooks
from signalbox.domain.phone_message import InboundReceived, OutboundQueued, StatusReported
from signalbox.eventstore.journal import Append, Journal, Write

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from signalbox.eventstore.log import EventLog

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]

OWNER = "usr_7Xn2Kq9LmPzR4tVwYb3CdEfGh1"
RECEIVED = InboundReceived(
    owner=OWNER,
    sender="+4915112345678",
    text="hello",
    phone_id="dev_1",
    received_at_s=1_795_255_200.0,
    peer_digest="d1",
)
QUEUED = OutboundQueued(
    owner=OWNER,
    to="+4915112345678",
    text="hello",
    segments=1,
    expires_at_s=1_999_999_999.0,
    peer_digest="d1",
)
SENT = StatusReported(status="sent", at_s=1_795_255_200.0, phone_id="dev_1")
EXTRA = """
[callbacks]
allowed_networks = ["127.0.0.0/8"]

[leases]
ttl_s = 2.0
renew_s = 0.5
safety_s = 0.5
"""
CURSOR = "SELECT position FROM signalbox.cursors WHERE name = 'callback-outbox'"


@pytest.fixture
def gateway(database_url: str) -> Iterator[Installation]:
    with Installation(database_url, [], extra=EXTRA) as gateway:
        yield gateway


def start_relays(gateway: Installation, number: int, url: str) -> list[subprocess.Popen[bytes]]:
    """Start relays, and wait until one of them looks for what happens."""
    relays = [gateway.start("relay") for _ in range(number)]
    eventually(lambda: gateway.output().count("relay is up") == number, timeout_s=30)
    eventually(lambda: rows(url, CURSOR), timeout_s=30)
    return relays


def happen(
    journal: Journal, key: str, *events: InboundReceived | OutboundQueued | StatusReported
) -> None:
    journal.write(Append(writes=[Write(f"sms-{OWNER}-{key}", 1, events, OWNER)]))


def test_a_callback_outlives_the_relay_that_was_killed_while_it_posted(
    gateway: Installation, event_log: EventLog, journal: Journal, database_url: str
) -> None:
    webhooks = Webhooks(event_log, journal, Outside(["127.0.0.0/8"]))
    with Receiver() as receiver:
        receiver.hanging = True
        secret = webhooks.configure(OWNER, receiver.url).secret
        (first,) = start_relays(gateway, 1, database_url)
        happen(journal, "a", RECEIVED)
        eventually(lambda: receiver.calls, timeout_s=30)
        kill(first)
        receiver.hanging = False
        gateway.start("relay")
        eventually_equal(lambda: told(event_log, OWNER), [["Queued", "Delivered"]], timeout_s=30)
        before, after = receiver.calls
        assert before.event_id == after.event_id
        assert before.body == after.body
        assert after.is_signed_with(secret)
        assert after.json["data"]["text"] == "hello"


def test_two_relays_tell_of_everything_once_while_one_stops(
    gateway: Installation, event_log: EventLog, journal: Journal, database_url: str
) -> None:
    webhooks = Webhooks(event_log, journal, Outside(["127.0.0.0/8"]))
    with Receiver() as receiver:
        webhooks.configure(OWNER, receiver.url)
        relays = start_relays(gateway, 2, database_url)
        for number in range(20):
            happen(journal, f"in{number}", RECEIVED)
            happen(journal, f"out{number}", QUEUED, SENT)
            if number == 10:
                relays[0].terminate()
        eventually(lambda: len(receiver.calls) >= 40, timeout_s=30)
        assert relays[0].wait(30) == 0
        eventually_equal(lambda: told(event_log, OWNER), [["Queued", "Delivered"]] * 40)
        assert len(receiver.calls) == len(set(receiver.event_ids)) == 40
        types = [call.json["type"] for call in receiver.calls]
        assert (types.count("message.received"), types.count("message.status")) == (20, 20)
