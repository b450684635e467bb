"""What callbacks of phones say, from what the log has of them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from gevent.lock import Semaphore

from signalbox.actors.callback_inbox import Waiting
from signalbox.actors.callback_parts import Sending
from signalbox.actors.transports.callbacks import Answer
from signalbox.actors.transports.outside import Outside
from signalbox.actors.webhooks import Webhooks
from signalbox.domain.callback import Callback
from signalbox.domain.phone import (
    Event,
    Lost,
    PhoneConnected,
    PhoneDisconnected,
    SimCard,
    SimsReported,
    stream_of,
)
from signalbox.domain.phone_message import InboundReceived
from signalbox.eventstore.journal import Append, Journal, Write
from signalbox.eventstore.log import EventLog
from signalbox.http.callbacks import TOPICS

OWNER: Final = "org_acme"
PHONE: Final = "org_acme.pixel"
NOON_S: Final = datetime(2026, 4, 20, 12, tzinfo=UTC).timestamp()
DAY_S: Final = 86_400
ONE: Final = (SimCard(0, "+15550001111"),)

Tell = Callable[[str, int], Any]


class Clock:
    """The time by which events are stored, Unix seconds."""

    def __init__(self) -> None:
        self.at_s = NOON_S

    def __call__(self) -> datetime:
        return datetime.fromtimestamp(self.at_s, UTC)


@pytest.fixture
def clock(journal: Journal) -> Clock:
    clock = Clock()
    journal.now = clock
    return clock


@pytest.fixture
def tell(event_log: EventLog, journal: Journal) -> Tell:
    """Return what says which `data` is told of a version of a stream."""
    webhooks = Webhooks(event_log, journal, Outside(["127.0.0.0/8"]))
    webhook = webhooks.configure(OWNER, "http://127.0.0.1:1/").webhook
    sending = Sending(
        log=event_log, journal=journal, webhooks=webhooks, topics=TOPICS,
        post=lambda _url, _body, _headers: Answer(200), slots=Semaphore(),
    )  # fmt: skip

    def tell(about: str, version: int) -> Any:  # noqa: ANN401  JSON
        callback = Callback(
            owner=OWNER, kind="", about=about, cause_version=version, queued_at_s=NOON_S
        )
        return json.loads(sending.request(Waiting("callback-1", 1, callback), webhook).body)["data"]

    return tell


def store(journal: Journal, stream_id: str, version: int, event: Any) -> None:  # noqa: ANN401
    journal.write(Append(writes=[Write(stream_id, version, [event], OWNER)]))


class Phone:
    """A phone whose connections are stored as they are made and lost, each by its time."""

    def __init__(self, journal: Journal, clock: Clock, phone_id: str = PHONE) -> None:
        self._journal = journal
        self._clock = clock
        self._phone_id = phone_id
        self._versions: dict[str, int] = {}

    def connects(self, at_s: float) -> str:
        """Return the stream of the connection."""
        connected = PhoneConnected(OWNER, self._phone_id, int(at_s * 1000), "web")
        return self._store(at_s, at_s, connected)

    def has_sims(self, of_s: float) -> None:
        self._store(of_s, of_s, SimsReported(OWNER, self._phone_id, int(of_s * 1000), ONE))

    def goes(self, of_s: float, at_s: float, reason: Lost) -> tuple[str, int]:
        """Return stream and version that say so of the connection made at `of_s`."""
        gone = PhoneDisconnected(OWNER, self._phone_id, int(of_s * 1000), reason)
        stream_id = self._store(of_s, at_s, gone)
        return stream_id, self._versions[stream_id]

    def _store(self, of_s: float, at_s: float, event: Event) -> str:
        stream_id = stream_of(self._phone_id, of_s)
        version = self._versions[stream_id] = self._versions.get(stream_id, 0) + 1
        self._clock.at_s = at_s
        store(self._journal, stream_id, version, event)
        return stream_id


def test_a_phone_that_comes_is_online(journal: Journal, clock: Clock, tell: Tell) -> None:
    stream_id = Phone(journal, clock).connects(NOON_S)
    assert tell(stream_id, 1) == {
        "phone_id": PHONE, "online": True, "reason": None, "sims": [],
    }  # fmt: skip


@pytest.mark.parametrize("reason", ["replaced", "lost"])
@pytest.mark.parametrize("later_s", [60, DAY_S, 3 * DAY_S])
def test_a_phone_that_has_a_newer_connection_is_online(
    journal: Journal, clock: Clock, tell: Tell, later_s: float, reason: Lost
) -> None:
    phone, newer_s = Phone(journal, clock), NOON_S + later_s
    phone.connects(NOON_S)
    phone.connects(newer_s)
    phone.has_sims(newer_s)
    about = phone.goes(NOON_S, newer_s + 20, reason)
    data = tell(*about)
    assert (data["online"], data["reason"]) == (True, reason)
    assert [sim["number"] for sim in data["sims"]] == [ONE[0].number]


def test_a_connection_just_before_midnight_is_a_newer_one_too(
    journal: Journal, clock: Clock, tell: Tell
) -> None:
    phone, midnight_s = Phone(journal, clock), NOON_S + 1.5 * DAY_S
    phone.connects(NOON_S)
    phone.connects(midnight_s - 20)
    assert tell(*phone.goes(NOON_S, midnight_s + 20, "lost"))["online"] is True


def test_a_phone_is_offline_once_its_newer_connection_went_as_well(
    journal: Journal, clock: Clock, tell: Tell
) -> None:
    phone, newer_s = Phone(journal, clock), NOON_S + DAY_S
    phone.connects(NOON_S)
    phone.connects(newer_s)
    newer = phone.goes(newer_s, newer_s + 10, "closed")
    older = phone.goes(NOON_S, newer_s + 20, "replaced")
    phone.connects(newer_s + 30)  # what comes afterwards changes nothing
    assert tell(*newer)["online"] is False
    assert tell(*older)["online"] is False


def test_a_phone_with_an_id_for_one_connection_is_gone_with_it(
    journal: Journal, clock: Clock, tell: Tell
) -> None:
    older, newer = (Phone(journal, clock, f"{OWNER}~{name}") for name in "ab")
    older.connects(NOON_S)
    newer.connects(NOON_S + DAY_S)
    assert tell(*older.goes(NOON_S, NOON_S + DAY_S + 1, "replaced"))["online"] is False


@pytest.mark.parametrize(("phone_id", "told"), [("", None), (PHONE, PHONE)])
def test_a_text_says_which_phone_got_it_if_that_is_known(
    journal: Journal, tell: Tell, phone_id: str, told: str | None
) -> None:
    received = InboundReceived(
        owner=OWNER, sender="+15551234567", text="hi", phone_id=phone_id,
        received_at_s=NOON_S, peer_digest="d", number=3,
    )  # fmt: skip
    store(journal, "phonemsg-1", 1, received)
    assert tell("phonemsg-1", 1) == {
        "id": 3, "from": "+15551234567", "text": "hi", "received_at": "2026-04-20T12:00:00Z",
        "phone_id": told, "sim_slot": None, "sim_number": None,
    }  # fmt: skip
