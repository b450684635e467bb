"""A gateway is killed hard; another, on the same log, takes its links over."""

from collections.abc import Iterator

import pytest
from support.gateway import PARTITIONS, Gateway, eventually, eventually_equal, handset
from support.smsc import NodeSmsc

from signalbox.domain.message import SubmitAttempted, SubmitOutcomeUnknown
from signalbox.domain.session import LinkClaimed
from signalbox.eventstore.log import EventLog

SECRET_KEY = "the secret both gateways are given"
LEASE_S = 1.2
ENDED = "the process that submitted it ended"


@pytest.fixture(scope="module")
def smsc() -> Iterator[NodeSmsc]:
    with NodeSmsc(RESP_DELAY_MS=200, DLR_DELAY_MS=10) as smsc:
        yield smsc


@pytest.fixture
def logs(database_url: str) -> Iterator[tuple[EventLog, EventLog]]:
    logs = EventLog(database_url, SECRET_KEY), EventLog(database_url, SECRET_KEY)
    yield logs
    for log in logs:
        log.close()


def test_what_was_in_flight_is_sent_again_and_nothing_is_lost(
    smsc: NodeSmsc, logs: tuple[EventLog, EventLog]
) -> None:
    first = Gateway(logs[0], smsc.port, lease_s=LEASE_S, system_id="resend", window=2,
                    send_wait_s=0.1)  # fmt: skip
    destinations = [handset() for _ in range(6)]
    message_ids = first.send_all(destinations)
    eventually(lambda: smsc.summary().keys() & set(destinations))
    first.crash()
    with Gateway(logs[1], smsc.port, lease_s=LEASE_S, system_id="resend") as second:
        eventually(
            lambda: all(second.statuses(one) == ["delivered"] for one in message_ids), timeout_s=10
        )
        doubts = second.events(SubmitOutcomeUnknown)
        assert set(doubts) == {SubmitOutcomeUnknown(1, ENDED, "resend")}
        assert 1 <= len(doubts) <= 2  # the window
        claims = second.events(LinkClaimed)
        assert [claim.epoch for claim in claims] == [1, 2]
        assert claims[0].owner != claims[1].owner
    times_seen = [smsc.summary()[destination] for destination in destinations]
    assert sum(times_seen) == len(destinations) + len(doubts)


@pytest.mark.parametrize(("policy", "status"), [("hold", "unknown"), ("fail", "failed")])
def test_what_was_in_flight_is_held_or_failed_when_the_link_says_so(
    smsc: NodeSmsc, logs: tuple[EventLog, EventLog], policy: str, status: str
) -> None:
    first = Gateway(logs[0], smsc.port, lease_s=LEASE_S, system_id=policy, in_doubt=policy,
                    send_wait_s=0.1)  # fmt: skip
    destination = handset("8101")
    message_id = first.send(destination).message_id
    eventually(lambda: smsc.seen(destination))
    first.crash()
    with Gateway(logs[1], smsc.port, lease_s=LEASE_S, system_id=policy, in_doubt=policy) as second:
        eventually_equal(lambda: second.told(message_id), [
            SubmitAttempted(1, 1, 1), SubmitOutcomeUnknown(1, ENDED, policy),  # type: ignore[arg-type]
        ])  # fmt: skip
        assert second.statuses(message_id) == [status]
        assert second.send(handset()).status == "submitted"
    assert len(smsc.seen(destination)) == 1


def test_a_gateway_that_leaves_politely_is_followed_at_once(
    smsc: NodeSmsc, logs: tuple[EventLog, EventLog]
) -> None:
    first = Gateway(logs[0], smsc.port, lease_s=30, system_id="polite")
    first.send(handset())
    first.close()
    with Gateway(logs[1], smsc.port, lease_s=30, system_id="polite", send_wait_s=3) as second:
        assert second.send(handset()).status == "submitted"
        assert second.events(SubmitOutcomeUnknown) == []


def test_both_gateways_may_switch_a_link(smsc: NodeSmsc, logs: tuple[EventLog, EventLog]) -> None:
    with Gateway(logs[0], smsc.port) as first, Gateway(logs[1], smsc.port) as second:
        for _ in range(5):
            assert not first.links.toggle(1, enabled=False, reason="", by="first").enabled
            assert second.links.toggle(1, enabled=True, reason="", by="second").enabled
        eventually(lambda: first.links.link(1).enabled)


def test_two_gateways_share_the_links_and_never_both_act_for_one(
    smsc: NodeSmsc, logs: tuple[EventLog, EventLog]
) -> None:
    ports = [smsc.port] * 6
    with (
        Gateway(logs[0], *ports, lease_s=LEASE_S, system_id="shared") as first,
        Gateway(logs[1], *ports, lease_s=LEASE_S, system_id="shared") as second,
    ):
        held = first.keeper, second.keeper
        eventually(lambda: all(keeper.held for keeper in held))
        eventually(lambda: sum(len(keeper.held) for keeper in held) == PARTITIONS)
        assert not first.keeper.held & second.keeper.held
        sent = [first.send(handset(), link_id=link_id) for link_id in range(1, 7)]
        assert {one.status for one in sent} == {"submitted"}
        assert smsc.stats()["sessions"] == len(ports)


def test_links_are_handed_over_without_a_part_in_doubt(logs: tuple[EventLog, EventLog]) -> None:
    with NodeSmsc(RESP_DELAY_MS=600, DLR_DELAY_MS=5) as slow:
        ports = [slow.port] * 6
        with Gateway(logs[0], *ports, send_wait_s=0.05, system_id="shared") as first:
            eventually(lambda: slow.stats()["sessions"] == len(ports))
            sent = [first.send(handset(), link_id=link_id) for link_id in range(1, 7)]
            eventually(lambda: slow.stats()["submits"] == len(sent))
            with Gateway(logs[1], *ports, system_id="shared") as second:
                eventually(lambda: second.keeper.held)
                eventually(
                    lambda: all(second.statuses(one.message_id) == ["delivered"] for one in sent)
                )
                eventually(lambda: slow.stats()["sessions"] == len(ports))
                assert second.events(SubmitOutcomeUnknown) == []
                assert {len(slow.seen(one)) for one in slow.summary()} == {1}
