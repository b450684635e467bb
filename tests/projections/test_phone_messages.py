"""Messages through phones as their owners see them."""

import random
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest
from support.histories import T0, T0_S, dead_letters, record, rows_of
from support.phone_histories import (
    ALL_MESSAGES,
    DELIVERED,
    FAILED,
    OWNER,
    PHONE,
    PUSHED,
    SENT,
    Seen,
    queued,
    received,
    tell,
)

from signalbox.domain.errors import Refused
from signalbox.domain.names import Event
from signalbox.domain.phone_message import (
    EXPIRED,
    NO_CONFIRMATION,
    Archive,
    ExpireOutbound,
    OutboundExpired,
    OutboundGivenUp,
    PhoneMessage,
    PushOutbound,
    QueueOutbound,
    ReceiveInbound,
    ReportStatus,
    StatusReportIgnored,
    decide,
    evolve,
    stream_of,
)
from signalbox.eventstore.log import EventLog
from signalbox.projections.building import build, rebuild
from signalbox.projections.models import PROJECTIONS
from signalbox.projections.phone_views import MessageQuery, PhoneMessageView
from signalbox.projections.projector import Projector
from signalbox.projections.readers import ReadModels

IGNORED: Final = StatusReportIgnored(status="sent", current="delivered", phone_id=PHONE)


def test_a_delivered_message_tells_its_whole_life(seen: Seen) -> None:
    found = seen.message(queued(number=7, sim="+491"), PUSHED, SENT, DELIVERED)
    assert found == PhoneMessageView(
        key="m",
        number=7,
        direction="outbound",
        peer="+4915112345001",
        text="a secret text",
        status="delivered",
        accepted_at_s=T0_S,
        received_at_s=T0_S,
        sent_at_s=T0_S + 1,
        delivered_at_s=T0_S + 2,
        device_ts_ms=None,
        sim_slot=None,
        sim_number="",
        sim="+491",
        phone_id=PHONE,
        error="",
        attempts=1,
        archived=False,
    )


def test_a_message_from_a_handset_tells_where_it_came_in(seen: Seen) -> None:
    found = seen.message(received(device_ts_ms=1_700, sim_slot=0, sim_number="+492"))
    assert found == PhoneMessageView(
        key="m",
        number=0,
        direction="inbound",
        peer="+4915112345001",
        text="a secret answer",
        status="received",
        accepted_at_s=T0_S,
        received_at_s=T0_S - 5,
        sent_at_s=None,
        delivered_at_s=None,
        device_ts_ms=1_700,
        sim_slot=0,
        sim_number="+492",
        sim=None,
        phone_id=PHONE,
        error="",
        attempts=0,
        archived=False,
    )


@pytest.mark.parametrize(
    ("events", "status", "error", "attempts"),
    [
        ((), "queued", "", 0),
        ((PUSHED,), "sending", "", 1),
        ((PUSHED, replace(PUSHED, attempt=2)), "sending", "", 2),
        ((PUSHED, FAILED), "failed", "no credit", 1),
        ((PUSHED, FAILED, DELIVERED), "delivered", "", 1),
        ((OutboundExpired(),), "failed", EXPIRED, 0),
        ((PUSHED, OutboundGivenUp(1)), "failed", NO_CONFIRMATION, 1),
        ((DELIVERED, IGNORED), "delivered", "", 0),
    ],
)
def test_a_status_is_what_the_events_say(
    seen: Seen, events: Sequence[Event], status: str, error: str, attempts: int
) -> None:
    found = seen.message(queued(), *events)
    assert (found.status, found.error, found.attempts) == (status, error, attempts)


def test_a_report_that_is_ignored_changes_nothing_that_is_shown(seen: Seen) -> None:
    found = seen.message(queued(number=1), PUSHED, SENT, DELIVERED, IGNORED)
    assert (found.status, found.sent_at_s) == ("delivered", T0_S + 1)
    assert seen.numbers(updated_since_s=T0_S + 3) == [1]
    assert seen.numbers(updated_since_s=T0_S + 3.5) == []


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_the_rows_are_what_the_domain_makes_of_it(
    event_log: EventLog, models: ReadModels, seed: int
) -> None:
    told = random_histories(event_log, random.Random(seed))
    with closing(Projector(event_log, PROJECTIONS, batch_events_max=3)) as projector:
        projector.prepare()
        build(projector)
    found, _ = models.phone_messages(OWNER, MessageQuery(limit=200, archived=None))
    assert {view.key: shown(view) for view in found} == {k: shown(m) for k, m in told.items()}
    stats = models.phone_stats(OWNER)
    outbound = [m.status for m in told.values() if m.direction == "outbound"]
    assert stats.by_status == {status: outbound.count(status) for status in stats.by_status}
    assert (stats.total_sent, stats.total_received) == (len(outbound), len(told) - len(outbound))
    by_threes = rows_of(event_log)
    for batch in (1, 1000):
        rebuild(event_log, PROJECTIONS, batch_events_max=batch)
        assert rows_of(event_log) == by_threes


def random_histories(log: EventLog, any_: random.Random) -> dict[str, PhoneMessage]:
    """Record what the domain decides on random commands to 30 messages; return the messages."""
    messages: dict[str, PhoneMessage] = {}
    versions: dict[str, int] = {}
    for step in range(300):
        at = T0 + timedelta(milliseconds=100 * step)
        key = f"m{any_.randrange(30)}"
        message = messages.get(key)
        try:
            events = decide(message, random_command(any_, key, at.timestamp()), at.timestamp())
        except Refused:
            continue
        for event in events:
            versions[key] = versions.get(key, 0) + 1
            stream = stream_of(OWNER, key)
            record(log, stream, event, at=at, first_version=versions[key])
            message = evolve(message, event, at.timestamp())
            messages[key] = message
    return messages


def random_command(any_: random.Random, key: str, at_s: float) -> Any:  # noqa: ANN401
    if int(key[1:]) % 3 == 0 and any_.random() < 0.5:
        return ReceiveInbound(
            owner=OWNER,
            sender="+491",
            text="in",
            phone_id=PHONE,
            received_at_s=at_s - 1,
            peer_digest="d1",
            sim_slot=any_.choice((None, 0)),
        )
    return any_.choice(
        (
            QueueOutbound(
                owner=OWNER,
                to="+492",
                text="out",
                segments=any_.choice((1, 2)),
                expires_at_s=at_s + 20,
                peer_digest="d2",
            ),
            PushOutbound(
                phone_id=PHONE, connection=any_.randrange(9), is_same_phone=True, repush_s=0.5
            ),
            ReportStatus(status=any_.choice(("sent", "delivered", "failed")), at_s=at_s, error="e"),
            ExpireOutbound(),
            Archive(),
        )
    )


def shown(message: PhoneMessageView | PhoneMessage) -> tuple[object, ...]:
    """Return what a message and its view have in common."""
    names = (
        "direction peer text status accepted_at_s sent_at_s delivered_at_s sim_slot phone_id error"
        " attempts archived"
    )
    return tuple(getattr(message, name) for name in names.split())


def test_the_phone_that_last_spoke_with_a_number_is_known(
    event_log: EventLog, seen: Seen, models: ReadModels
) -> None:
    tell(event_log, "a", received(phone_id="dev_1", peer_digest="d1"))
    tell(event_log, "b", queued(peer_digest="d1"), replace(PUSHED, phone_id="dev_2"))
    tell(event_log, "b2", received(phone_id="", peer_digest="d1"))
    tell(event_log, "c", queued(peer_digest="d2"))
    tell(event_log, "d", received(owner="org_other", phone_id="x"), owner="org_other")
    seen.page(ALL_MESSAGES)
    assert models.last_phone(OWNER, ["d1", "d2", "d3", "digest-1"]) == {"d1": "dev_2"}
    tell(event_log, "e", received(phone_id="dev_1", peer_digest="d1"))
    seen.page(ALL_MESSAGES)
    assert models.last_phone(OWNER, ["d1"]) == {"d1": "dev_1"}
    assert models.last_phone(OWNER, []) == {}


def test_the_phone_that_spoke_with_a_number_a_moment_ago_is_known(
    event_log: EventLog, seen: Seen, models: ReadModels
) -> None:
    tell(event_log, "a", received(phone_id="dev_1", peer_digest="d1"))
    seen.page(ALL_MESSAGES)
    tell(event_log, "b", received(phone_id="dev_2", peer_digest="d1"))
    tell(event_log, "c", received(phone_id="dev_3", peer_digest="d2"))
    tell(event_log, "d", received(phone_id="", peer_digest="d2"))
    tell(event_log, "e", received(owner="org_other", phone_id="x"), owner="org_other")
    assert models.last_phone(OWNER, ["d1", "d2", "d3"]) == {"d1": "dev_2", "d2": "dev_3"}


def test_what_is_open_and_over_its_time_is_due(
    event_log: EventLog, seen: Seen, models: ReadModels
) -> None:
    tell(event_log, "later", queued(expires_at_s=101.0))
    tell(event_log, "pushed", queued(expires_at_s=100.0), PUSHED)
    tell(event_log, "first", queued(expires_at_s=99.0))
    tell(event_log, "sent", queued(expires_at_s=1.0), PUSHED, SENT)
    tell(event_log, "expired", queued(expires_at_s=1.0), OutboundExpired())
    tell(event_log, "in", received())
    seen.page(ALL_MESSAGES)
    first, pushed, later = (stream_of(OWNER, key) for key in ("first", "pushed", "later"))
    assert models.due(100.0, 10) == [first, pushed]
    assert models.due(1e12, 10) == [first, pushed, later]
    assert models.due(1e12, 1) == [first]
    assert models.due(98.9, 10) == []


def test_no_personal_content_gets_into_the_read_models(event_log: EventLog, seen: Seen) -> None:
    tell(event_log, "a", queued(), PUSHED, SENT)
    assert seen.page(ALL_MESSAGES)[0][0].text == "a secret text"
    tell(event_log, "b", received())
    seen.page(ALL_MESSAGES)
    rows = rows_of(event_log)["phone_messages"]
    states = [bytes.fromhex(str(row).rpartition("\\\\x")[2].rstrip("\"'),")) for row in rows]
    assert all(PHONE.encode() in state for state in states)
    everything = str(rows).encode() + b"".join(states)
    assert b"secret" not in everything
    assert b"4915112345001" not in everything


def test_an_erased_owners_messages_are_there_without_their_content(
    event_log: EventLog, seen: Seen
) -> None:
    tell(event_log, "a", queued(), PUSHED, SENT)
    tell(event_log, "b", received())
    event_log.tenant_keys.destroy("app-3")
    found, _ = seen.page(ALL_MESSAGES)
    assert [(view.peer, view.text) for view in found] == [("[erased]", "[erased]")] * 2
    assert [view.status for view in found] == ["received", "sent"]


def test_an_event_without_its_message_is_set_aside_alone(event_log: EventLog, seen: Seen) -> None:
    tell(event_log, "a", queued())
    orphan = tell(event_log, "lost", SENT)
    tell(event_log, "b", queued(), PUSHED)
    assert seen.keys() == "b a"
    assert dead_letters(event_log) == [("phone_messages", orphan)]
