"""A link at work: pace, window, keep-alive, coming and going, on a real SMSC."""

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from socket import create_server
from typing import Any

import gevent
import pytest
from support.gateway import Gateway, StartGateway, eventually, eventually_equal, handset
from support.smsc import HOST, NodeSmsc, SeenSubmit, Smpp34Smsc

from signalbox.actors.link_session import LinkSession
from signalbox.domain.message import MessageSubmitted, SubmitOutcomeUnknown, SubmitRefused
from signalbox.domain.session import BindRefused, LinkBound, LinkClaimed, LinkLost, LinkThrottled

WINDOW = 5
RESPONSE_MS = 100
FIVE_PARTS = "x" * (4 * 153 + 1)


@pytest.fixture(scope="module")
def smsc() -> Iterator[NodeSmsc]:
    with NodeSmsc(DLR_DELAY_MS=10) as smsc:
        yield smsc


def free_port() -> int:
    with create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def all_delivered(gateway: Gateway, message_ids: list[str]) -> bool:
    return all(set(gateway.statuses(one)) == {"delivered"} for one in message_ids)


def most_at_once(seen: list[SeenSubmit], lasting_ms: int) -> int:
    times = sorted(submit["time_ms"] for submit in seen)
    return max(sum(1 for t in times if start <= t < start + lasting_ms) for start in times)


# pace


def test_under_throttling_everything_arrives_and_the_rate_is_cut(
    start_gateway: StartGateway,
) -> None:
    with NodeSmsc(TPS=60, DLR_DELAY_MS=5) as slow:
        gateway = start_gateway(slow.port, tps=200, send_wait_s=0.1)
        message_ids = gateway.send_all([handset() for _ in range(100)])
        eventually(lambda: all_delivered(gateway, message_ids), timeout_s=15)
        throttled = gateway.events(LinkThrottled)
        refusals = gateway.events(SubmitRefused)
        gateway.close()
    assert [event.factor for event in throttled] == [0.75**n for n in range(1, len(throttled) + 1)]
    assert {(event.command_status, event.retry_in_s is None) for event in refusals} == {(88, False)}


def test_parts_refused_by_throttling_leave_before_those_behind_them(
    start_gateway: StartGateway,
) -> None:
    with NodeSmsc(TPS=20, DLR_DELAY_MS=5) as slow:
        gateway = start_gateway(slow.port, window=30, send_wait_s=0.1)
        message_ids = gateway.send_all([handset() for _ in range(50)])
        eventually(lambda: len(slow.summary()) == 50, timeout_s=10)
        seen = slow.seen()
        gateway.close()
    times = [one["time_ms"] for one in seen]
    first_pause = next(n for n in range(1, len(seen)) if times[n] - times[n - 1] > 500)
    refused = [one["destination"] for one in seen[:first_pause]][20:]
    retried = {one["destination"] for one in seen[first_pause : first_pause + len(refused)]}
    assert len(message_ids) == 50
    assert len(retried & set(refused)) >= len(refused) - 1  # one may have met a new token


def test_the_window_is_filled_and_never_exceeded(start_gateway: StartGateway) -> None:
    with NodeSmsc(RESP_DELAY_MS=RESPONSE_MS, DLR_DELAY_MS=5) as slow:
        gateway = start_gateway(slow.port, window=WINDOW)
        gateway.send_all([handset() for _ in range(4 * WINDOW)])
        seen = slow.seen()
        gateway.close()
    assert most_at_once(seen, RESPONSE_MS - 5) == WINDOW


def test_the_rate_counts_parts_and_a_message_stays_together(start_gateway: StartGateway) -> None:
    with NodeSmsc(DLR_DELAY_MS=5) as smsc:
        gateway = start_gateway(smsc.port, tps=20)
        gateway.send_all([handset() for _ in range(6)], FIVE_PARTS)
        seen = smsc.seen()
        gateway.close()
    assert len(seen) == 30
    assert most_at_once(seen, 200) <= 20 + 4 + 1  # a full bucket, and what flows in meanwhile
    assert seen[-1]["time_ms"] - seen[0]["time_ms"] >= 450
    assert len([key for key, _ in groupby(seen, lambda one: one["destination"])]) == 6


# keep-alive


def test_a_quiet_link_asks_whether_the_smsc_is_there(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    start_gateway(smsc.port, enquire_link_s=0.1)
    before = smsc.stats()["enquire_links"]
    eventually(lambda: smsc.stats()["enquire_links"] >= before + 3)


def test_the_questions_of_the_smsc_keep_a_quiet_link(start_gateway: StartGateway) -> None:
    with NodeSmsc(ENQUIRE_MS=100) as asking:
        gateway = start_gateway(asking.port, inactivity_s=0.5)
        gevent.sleep(1.5)
        assert gateway.send(handset()).status == "submitted"
        assert gateway.events(LinkLost) == []
        gateway.close()


def test_a_link_on_which_nothing_is_heard_is_given_up(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port, inactivity_s=0.3)
    eventually(lambda: gateway.events(LinkLost))
    assert gateway.events(LinkLost)[0].reason == "nothing heard from the SMSC"


def test_an_smsc_that_stops_answering_is_left_and_found_again(start_gateway: StartGateway) -> None:
    with NodeSmsc() as mute:
        gateway = start_gateway(
            mute.port, enquire_link_s=0.1, response_timeout_s=0.2, enquire_link_misses_max=2
        )
        gateway.send(handset())
        mute.mute(on=True)
        eventually(lambda: gateway.events(LinkLost))
        assert gateway.events(LinkLost)[0].reason == "no answer to enquire_link"
        mute.mute(on=False)
        eventually(lambda: gateway.send(handset()).status == "submitted")
        gateway.close()


# coming and going


def test_messages_wait_for_an_smsc_that_comes_later(start_gateway: StartGateway) -> None:
    port = free_port()
    gateway = start_gateway(port, send_wait_s=0.1, reconnect_max_s=0.3)
    message_id = gateway.send(handset()).message_id
    eventually(lambda: gateway.events(LinkLost))
    (lost,) = gateway.events(LinkLost)
    assert lost.reason == "Connection refused"
    assert 0.08 <= lost.retry_in_s <= 0.12
    with NodeSmsc(PORT=port, DLR_DELAY_MS=5):
        eventually_equal(lambda: gateway.statuses(message_id), ["delivered"])
        gateway.close()


def test_a_link_outlives_its_smsc(start_gateway: StartGateway) -> None:
    port = free_port()
    gateway = start_gateway(port, send_wait_s=0.3, reconnect_max_s=0.3)
    with NodeSmsc(PORT=port) as first:
        eventually(lambda: gateway.send(handset()).status == "submitted")
        first.kill()
    message_id = gateway.send(handset()).message_id
    with NodeSmsc(PORT=port, DLR_DELAY_MS=5):
        eventually_equal(lambda: gateway.statuses(message_id), ["delivered"])
        gateway.close()


def test_a_wrong_password_is_told_and_tried_again_late(start_gateway: StartGateway) -> None:
    with NodeSmsc(PASSWORD="right") as strict:
        gateway = start_gateway(strict.port, password="wrong")
        eventually_equal(
            lambda: gateway.events(BindRefused), [BindRefused("ESME_RINVPASWD (0x0000000E)", 300.0)]
        )
        gateway.close()


def test_one_bind_too_many_is_told_and_waits_for_the_other_to_go(
    start_gateway: StartGateway,
) -> None:
    with NodeSmsc(MAX_BINDS=1) as small:
        gateway = start_gateway(small.port, small.port)
        eventually_equal(
            lambda: gateway.events(BindRefused), [BindRefused("ESME_RALYBND (0x00000005)", 30.0)]
        )
        assert len(gateway.events(LinkBound)) == 1
        gateway.close()


def test_switching_a_refused_link_off_and_on_tries_again_at_once(
    start_gateway: StartGateway,
) -> None:
    with NodeSmsc() as moody:
        moody.refuse_bind(13)
        gateway = start_gateway(moody.port)
        eventually_equal(
            lambda: gateway.events(BindRefused), [BindRefused("ESME_RBINDFAIL (0x0000000D)", 30.0)]
        )
        moody.refuse_bind(0)
        for enabled in (False, True):
            gateway.links.toggle(1, enabled, "", by="test")
        assert gateway.send(handset()).status == "submitted"
        gateway.close()


def test_a_link_switched_off_finishes_its_window_and_leaves_the_rest_for_later(
    start_gateway: StartGateway,
) -> None:
    with NodeSmsc(RESP_DELAY_MS=300, DLR_DELAY_MS=5) as slow:
        gateway = start_gateway(slow.port, window=2, send_wait_s=0.1)
        message_ids = gateway.send_all([handset() for _ in range(6)])
        gateway.links.toggle(1, False, "maintenance", by="test")  # noqa: FBT003
        eventually(lambda: slow.stats()["sessions"] == 0)
        left = [one for one in message_ids if gateway.names(one)[-1] != "MessageAccepted"]
        assert len(left) == len(slow.seen()) == 2
        assert gateway.events(SubmitOutcomeUnknown) == []
        assert gateway.events(LinkLost) == [LinkLost("unbound", 0.0)]
        gateway.links.toggle(1, True, "", by="test")  # noqa: FBT003
        eventually(lambda: all_delivered(gateway, message_ids))
        assert set(slow.summary().values()) == {1}
        gateway.close()


def test_a_link_switched_while_its_session_starts_hears_of_it(
    smsc: NodeSmsc, start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = LinkSession.start

    def start_slowly(*args: Any) -> Any:  # noqa: ANN401
        ref = start(*args)
        gevent.sleep(0.3)
        return ref

    monkeypatch.setattr(LinkSession, "start", start_slowly)
    gateway = start_gateway(smsc.port, enabled=False)
    gevent.sleep(0.1)
    gateway.links.toggle(1, True, "", by="test")  # noqa: FBT003
    assert gateway.send(handset()).status == "submitted"


def test_switching_on_what_is_on_leaves_the_link_alone(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port)
    for enabled in (False, True):
        gateway.links.toggle(1, enabled, "", by="test")
    gateway.send(handset())
    before = gateway.events(LinkBound, LinkLost)
    gateway.links.toggle(1, True, "again", by="test")  # noqa: FBT003
    assert gateway.send(handset()).status == "submitted"
    assert gateway.events(LinkBound, LinkLost) == before


def test_a_gateway_that_stops_waits_for_its_answers_and_unbinds(
    start_gateway: StartGateway,
) -> None:
    with NodeSmsc(RESP_DELAY_MS=300) as slow:
        gateway = start_gateway(slow.port, send_wait_s=0.1)
        message_id = gateway.send(handset()).message_id
        eventually(lambda: slow.stats()["submits"] == 1)
        gateway.close()
        assert slow.stats()["sessions"] == 0
    assert gateway.names(message_id)[:3] == [
        "MessageAccepted", "SubmitAttempted", "MessageSubmitted",
    ]  # fmt: skip
    assert gateway.events(LinkLost) == [LinkLost("unbound", 0.0)]


def test_an_owner_says_so_before_anything_else(smsc: NodeSmsc, start_gateway: StartGateway) -> None:
    gateway = start_gateway(smsc.port)
    gateway.send(handset())
    claimed, bound = gateway.events(LinkClaimed, LinkBound)
    assert claimed == LinkClaimed(gateway.keeper.process_id, 1)
    assert bound == LinkBound("NODESMSC")


# when the actor itself fails


def test_a_session_that_fails_begins_anew_and_loses_nothing(
    smsc: NodeSmsc, start_gateway: StartGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle, failures = LinkSession._settle, [ValueError("once")]  # noqa: SLF001

    def fail_once(session: LinkSession, settled: object) -> None:
        if failures:
            raise failures.pop()
        settle(session, settled)  # type: ignore[arg-type]

    monkeypatch.setattr(LinkSession, "_settle", fail_once)
    gateway = start_gateway(smsc.port)
    message_id = gateway.send(handset()).message_id
    eventually_equal(lambda: gateway.statuses(message_id), ["delivered"])
    doubts = [e for e in gateway.told(message_id) if isinstance(e, SubmitOutcomeUnknown)]
    assert [doubt.resolution for doubt in doubts] == ["resend"]


def test_a_message_that_cannot_be_read_does_not_hold_up_the_others(
    start_gateway: StartGateway,
) -> None:
    port = free_port()
    gateway = start_gateway(port, send_wait_s=0.05, reconnect_max_s=0.2)
    broken, sound = gateway.send_all([handset(), handset()])
    with gateway.log.pool.connection() as connection:
        connection.execute(
            "UPDATE signalbox.stored_events SET topic = 'message.unheard_of.1'"
            " WHERE originator_id = %s", (f"message-{broken}",),
        )  # fmt: skip
    with NodeSmsc(PORT=port, DLR_DELAY_MS=5):
        eventually_equal(lambda: gateway.statuses(sound), ["delivered"])
        gateway.close()
    with gateway.log.pool.connection() as connection:
        letters = connection.execute("SELECT reader, subject FROM signalbox.dead_letters")
        assert letters.fetchall() == [{"reader": "link-1", "subject": f"message-{broken}"}]


# another make of SMSC


def test_answers_may_come_in_any_order_and_an_unbind_without_an_answer(
    start_gateway: StartGateway,
) -> None:
    with Smpp34Smsc(receipt_delay_s=0.01) as other:
        gateway = start_gateway(other.port)
        message_ids = gateway.send_all([handset() for _ in range(60)])
        eventually(lambda: all_delivered(gateway, message_ids))
        ids = [e.smsc_id for e in gateway.events(MessageSubmitted)]
        assert Counter(ids).most_common(1)[0][1] == 1
        gateway.close()
    assert gateway.events(LinkLost) == [LinkLost("unbound", 0.0)]
