"""Links of a pool stand in for each other, on a real database and with a real SMSC."""

from collections.abc import Iterator
from typing import Any, Final

import gevent
import pytest
from support.gateway import Gateway, StartGateway, eventually, eventually_equal, handset
from support.smsc import NodeSmsc

from signalbox.domain.errors import LinkIsDisabled
from signalbox.domain.message import MessageAccepted, MessageRerouted, SubmitAttempted
from signalbox.ops.preflight import free_port

POOL: Final = {"failover_after_s": 0.3, "queue_wait_s_max": 1.0}


@pytest.fixture(scope="module")
def smsc() -> Iterator[NodeSmsc]:
    with NodeSmsc(DLR_DELAY_MS=10) as smsc:
        yield smsc


def bound(gateway: Gateway, *link_ids: int) -> None:
    """Wait until these links, and no others, are known to be bound."""

    def known() -> set[int]:
        loads = {link_id: gateway.loads.of(link_id) for link_id in gateway.links.ids}
        return {link_id for link_id, load in loads.items() if load and load.bound}

    eventually_equal(known, set(link_ids), timeout_s=10)


def events_of(gateway: Gateway, message_id: str, kind: type[Any]) -> list[Any]:
    return [one.event for one in gateway.history(message_id) if isinstance(one.event, kind)]


def test_a_message_to_a_link_that_is_down_goes_by_another_of_its_pool(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(free_port(), smsc.port, pool=POOL)
    bound(gateway, 2)
    sent = gateway.send(handset())
    assert sent.status == "submitted"
    (accepted,) = events_of(gateway, sent.message_id, MessageAccepted)
    assert (accepted.link_id, accepted.carrier_id) == (1, 2)
    assert events_of(gateway, sent.message_id, SubmitAttempted) == [SubmitAttempted(1, 1, 2)]


def test_without_a_pool_it_waits_for_its_link(smsc: NodeSmsc, start_gateway: StartGateway) -> None:
    gateway = start_gateway(free_port(), smsc.port, send_wait_s=0.2)
    sent = gateway.send(handset())
    assert sent.status == "queued"
    assert gateway.names(sent.message_id) == ["MessageAccepted"]


def test_a_link_that_is_switched_off_passes_on_what_waits_and_what_comes(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(free_port(), free_port(), send_wait_s=0.1, pool=POOL)
    waiting = [gateway.send(handset()).message_id for _ in range(3)]
    gateway.close()
    # The same two links on the same log; now the second has an SMSC, and the first is switched off.
    second = start_gateway(free_port(), smsc.port, pool=POOL)
    second.links.toggle(1, enabled=False, reason="maintenance", by="test")
    eventually(lambda: all(second.statuses(one) == ["delivered"] for one in waiting), timeout_s=15)
    for message_id in waiting:
        moves = events_of(second, message_id, MessageRerouted)
        assert [move.link_id for move in moves] == [2]
        assert moves[0].reason in {"link disabled", "link down"}
    sent = second.send(handset())
    assert events_of(second, sent.message_id, SubmitAttempted) == [SubmitAttempted(1, 1, 2)]


def test_a_link_whose_queue_is_too_long_passes_the_newest_on(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port, smsc.port, pool=POOL, tps=20, send_wait_s=20)
    bound(gateway, 1, 2)
    messages = gateway.send_all([handset() for _ in range(120)])
    carriers = [events_of(gateway, one, SubmitAttempted)[-1].link_id for one in messages]
    assert all(carriers.count(link_id) >= 30 for link_id in (1, 2)), carriers


def test_a_balanced_pool_uses_every_link(smsc: NodeSmsc, start_gateway: StartGateway) -> None:
    gateway = start_gateway(smsc.port, smsc.port, smsc.port, pool={**POOL, "balance": True})
    bound(gateway, 1, 2, 3)
    messages = gateway.send_all([handset() for _ in range(60)])
    carriers = [events_of(gateway, one, SubmitAttempted)[-1].link_id for one in messages]
    assert all(carriers.count(link_id) >= 10 for link_id in (1, 2, 3)), carriers


def test_parts_that_were_attempted_stay_with_their_link(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port, smsc.port, pool=POOL, send_wait_s=0.5)
    bound(gateway, 1, 2)
    throttled = gateway.send(handset("9088"), "x" * 200)
    eventually(lambda: "SubmitRefused" in gateway.names(throttled.message_id))
    gateway.links.toggle(1, enabled=False, reason="maintenance", by="test")
    gevent.sleep(1.0)
    assert "MessageRerouted" not in gateway.names(throttled.message_id)
    attempts = events_of(gateway, throttled.message_id, SubmitAttempted)
    assert {attempt.link_id for attempt in attempts} == {1}


def test_a_pool_that_is_off_as_a_whole_takes_nothing(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port, smsc.port, pool=POOL)
    for link_id in (1, 2):
        gateway.links.toggle(link_id, enabled=False, reason="closed", by="test")
    with pytest.raises(LinkIsDisabled):
        gateway.send(handset())
