"""The configuration changes while links are at work: what has to rebind does, nothing else."""

import logging
from collections.abc import Iterator

import gevent
import pytest
from support.gateway import Gateway, StartGateway, eventually, eventually_equal, handset
from support.smsc import NodeSmsc

from signalbox.domain.errors import UnknownLink
from signalbox.domain.link import LinkConfigured, LinkRemoved, LinkToggled
from signalbox.domain.session import LinkBound, LinkLost


@pytest.fixture(scope="module")
def smsc() -> Iterator[NodeSmsc]:
    with NodeSmsc(DLR_DELAY_MS=10) as smsc:
        yield smsc


def bound(gateway: Gateway, times: int) -> None:
    """Wait until links have bound so many times."""
    eventually_equal(lambda: len(gateway.events(LinkBound)), times)


def test_an_added_link_binds_and_sends(smsc: NodeSmsc, start_gateway: StartGateway) -> None:
    gateway = start_gateway(smsc.port)
    gateway.reconfigure({1: {}, 2: {}})
    bound(gateway, 2)
    assert gateway.send(handset(), link_id=2).status == "submitted"
    assert [link.link_id for link in gateway.links.configured] == [1, 2]


def test_window_and_rate_change_without_a_new_bind(start_gateway: StartGateway) -> None:
    with NodeSmsc(RESP_DELAY_MS=150) as slow:
        gateway = start_gateway(slow.port, window=20, send_wait_s=3)
        bound(gateway, 1)
        gateway.reconfigure({1: {"window": 2, "tps": 500}})
        gateway.send_all([handset() for _ in range(6)])
        times = sorted(submit["time_ms"] for submit in slow.seen())
        assert max(sum(t <= at < t + 100 for at in times) for t in times) == 2
    assert len(gateway.events(LinkBound)) == 1
    assert [event.spec.window for event in gateway.events(LinkConfigured)] == [20, 2]


def test_another_port_drains_unbinds_and_binds_there(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    with NodeSmsc(RESP_DELAY_MS=300) as old:
        gateway = start_gateway(old.port)
        bound(gateway, 1)
        on_the_wire = gevent.spawn(gateway.send, to := handset())
        eventually(lambda: old.seen(to))
        gateway.reconfigure({1: {"port": smsc.port}})
        assert on_the_wire.get(timeout=5).status == "submitted"
        bound(gateway, 2)
        assert old.stats()["sessions"] == 0
    assert gateway.send(elsewhere := handset()).status == "submitted"
    assert len(smsc.seen(elsewhere)) == 1
    assert [event.reason for event in gateway.events(LinkLost)] == ["unbound"]


def test_a_receipt_of_the_account_before_still_finds_its_message(
    start_gateway: StartGateway,
) -> None:
    """The answer comes after the log has the new account, and is noted for the old one."""
    with NodeSmsc(RESP_DELAY_MS=300, DLR_DELAY_MS=1) as old, NodeSmsc() as new:
        gateway = start_gateway(old.port)
        bound(gateway, 1)
        sending = gevent.spawn(gateway.send, to := handset())
        eventually(lambda: old.seen(to))
        gateway.reconfigure({1: {"port": new.port}})
        message_id = sending.get(timeout=5).message_id
        bound(gateway, 2)
        gateway.reconfigure({1: {"port": old.port}})
        eventually_equal(lambda: gateway.statuses(message_id), ["delivered"])


def test_a_removed_link_unbinds_and_takes_nothing_more(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port, smsc.port)
    bound(gateway, 2)
    gateway.reconfigure({1: {}})
    assert len(gateway.events(LinkRemoved)) == 1
    assert [event.reason for event in gateway.events(LinkLost)] == ["unbound"]
    with pytest.raises(UnknownLink):
        gateway.send(handset(), link_id=2)
    with pytest.raises(UnknownLink):
        gateway.links.toggle(2, enabled=False, reason="", by="test")
    assert gateway.send(handset()).status == "submitted"


def test_whatever_is_logged_of_a_link_has_its_number_as_a_number(
    smsc: NodeSmsc, start_gateway: StartGateway, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        gateway = start_gateway(smsc.port)
        bound(gateway, 1)
        gateway.send(handset())
        gateway.reconfigure({})
    told = {r.message: r.__dict__["link"] for r in caplog.records if "link" in r.__dict__}
    assert {"link taken over", "link bound", "link down"} <= set(told)
    assert [one for one in told.values() if one != 1] == []


def test_what_waits_for_a_removed_link_is_told_and_kept_for_its_return(
    smsc: NodeSmsc, start_gateway: StartGateway, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = start_gateway(smsc.port, smsc.port, send_wait_s=0.05)
    bound(gateway, 2)
    gateway.reconfigure({1: {}, 2: {"tps": 1}})
    # One part a second: the first leaves at once.
    sent = [gateway.send(handset(), link_id=2).message_id for _ in range(3)]
    with caplog.at_level(logging.WARNING):
        gateway.reconfigure({1: {}})
    told = [r for r in caplog.records if r.message == "messages wait for a link that was removed"]
    assert [(r.__dict__["link"], r.__dict__["messages"]) for r in told] == [(2, 2)]
    gateway.reconfigure({1: {}, 2: {"port": smsc.port, "tps": 0}})
    eventually(lambda: all(gateway.statuses(one) == ["delivered"] for one in sent))


def test_a_removed_link_comes_back_as_its_configuration_says(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port, smsc.port)
    bound(gateway, 2)
    gateway.links.toggle(2, enabled=False, reason="", by="test")
    gateway.reconfigure({1: {}})
    gateway.reconfigure({1: {}, 2: {"port": smsc.port}})
    bound(gateway, 3)
    assert gateway.links.link(2).enabled


def test_what_is_configured_as_before_is_left_alone(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(smsc.port, smsc.port)
    bound(gateway, 2)
    before = gateway.log.head()
    gateway.reconfigure({1: {}, 2: {}})
    assert gateway.log.head() == before


def test_two_processes_that_read_the_same_change_tell_it_once(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    first = start_gateway(smsc.port, smsc.port, system_id="shared")
    second = start_gateway(smsc.port, smsc.port, system_id="shared")
    changed: dict[int, dict[str, object]] = {1: {"window": 7}}
    gevent.joinall(
        [gevent.spawn(one.reconfigure, changed) for one in (first, second)], raise_error=True
    )
    names = [type(event) for event in first.events(LinkConfigured, LinkRemoved, LinkToggled)]
    assert names == [LinkConfigured] * 2 + names[2:]
    assert sorted(name.__name__ for name in names[2:]) == ["LinkConfigured", "LinkRemoved"]


def test_what_another_process_read_first_is_followed(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    relay = start_gateway(smsc.port, smsc.port, system_id="shared")
    web = start_gateway(smsc.port, smsc.port, system_id="shared", send_wait_s=0.05)
    web.sessions.drain(5)
    web.keeper.close()
    web.links.reconfigure({1: web.links.link(1).spec}, "test")  # type: ignore[dict-item]
    eventually(lambda: [link.link_id for link in relay.links.configured] == [1])
    with pytest.raises(UnknownLink):
        relay.send(handset(), link_id=2)
