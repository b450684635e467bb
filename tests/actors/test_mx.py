"""Groupings by DNS: asked once, remembered for a while, and kept while DNS is away."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import dns.message
import dns.rcode
import dns.rrset
import gevent
import pytest
from gevent.server import DatagramServer

from signalbox.actors import mx
from signalbox.actors.mx import (
    FAILED_S,
    TTL_S_MAX,
    TTL_S_MIN,
    DnsLookup,
    Found,
    Groupings,
    LookupFailed,
)
from signalbox.domain.groupings import Row, published_with

GOOGLE: Final = ("aspmx.l.google.com",)
MICROSOFT: Final = ("example-com.mail.protection.outlook.com",)


class Dns:
    """Answers as it is told, and counts the questions."""

    def __init__(self, hosts: tuple[str, ...] = GOOGLE, ttl_s: float = 600) -> None:
        self.answer: Found | None = Found(hosts, ttl_s)
        self.asked: list[str] = []
        self.now_s = 0.0

    def __call__(self, domain: str) -> Found:
        self.asked.append(domain)
        gevent.sleep(0)
        if self.answer is None:
            raise LookupFailed("away")
        return self.answer

    def groupings(self) -> Groupings:
        return Groupings(self, now_s=lambda: self.now_s)


def test_a_listed_domain_needs_no_dns() -> None:
    dns_ = Dns()
    assert dns_.groupings().of("GMail.com.") == "&gmail"
    assert dns_.asked == []


def test_other_domains_belong_to_whose_servers_they_use() -> None:
    dns_ = Dns()
    assert dns_.groupings().of("Example.com.") == "&google"
    assert dns_.asked == ["example.com"]
    assert Dns(("mx1.example.com",)).groupings().of("example.com") == "example.com"
    assert Dns(()).groupings().of("example.com") == "example.com"


@pytest.mark.parametrize(("ttl_s", "lasts_s"), [(0, TTL_S_MIN), (3600, 3600), (10**6, TTL_S_MAX)])
def test_answers_last_as_long_as_they_say_within_bounds(ttl_s: float, lasts_s: float) -> None:
    dns_ = Dns(ttl_s=ttl_s)
    found = dns_.groupings()
    found.of("example.com")
    dns_.now_s = lasts_s - 1
    found.of("example.com")
    assert len(dns_.asked) == 1
    dns_.now_s = lasts_s
    dns_.answer = Found(MICROSOFT, 600)
    assert found.of("example.com") == "&microsoft"


def test_while_dns_is_away_the_last_answer_holds() -> None:
    dns_ = Dns()
    found = dns_.groupings()
    found.of("example.com")
    dns_.now_s, dns_.answer = 700, None
    assert found.of("example.com") == "&google"
    assert found.of("example.com") == "&google"
    assert len(dns_.asked) == 2
    dns_.now_s, dns_.answer = 700 + FAILED_S, Found(MICROSOFT, 600)
    assert found.of("example.com") == "&microsoft"


def test_a_domain_nobody_ever_answered_for_is_its_own_grouping_for_a_moment() -> None:
    dns_ = Dns()
    dns_.answer = None
    found = dns_.groupings()
    assert found.of("example.com") == "example.com"
    dns_.now_s, dns_.answer = FAILED_S, Found(GOOGLE, 600)
    assert found.of("example.com") == "&google"


def test_other_tables_hold_at_once_and_what_dns_said_is_kept() -> None:
    dns_ = Dns()
    found = dns_.groupings()
    assert found.of("example.com") == "&google"
    found.configure(published_with({"&house": Row(mx_hosts=("aspmx.l.google.com",))}))
    assert found.of("example.com") == "&house"
    assert dns_.asked == ["example.com"]


def test_many_who_ask_at_once_are_one_question() -> None:
    dns_ = Dns()
    found = dns_.groupings()
    asking = [gevent.spawn(found.of, "example.com") for _ in range(10)]
    gevent.joinall(asking, timeout=5, raise_error=True)
    assert {one.value for one in asking} == {"&google"}
    assert dns_.asked == ["example.com"]


def test_the_domains_asked_for_longest_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mx, "DOMAINS_MAX", 2)
    dns_ = Dns()
    found = dns_.groupings()
    for name in ("a.example", "b.example", "a.example", "c.example", "a.example", "b.example"):
        found.of(name)
    assert dns_.asked == ["a.example", "b.example", "c.example", "b.example"]


# the wire


Answer = Callable[[dns.message.Message], None]


@contextmanager
def server(answer: Answer | None) -> Iterator[DnsLookup]:
    """Run a DNS server that sends what `answer` makes of each reply; None: it keeps silent."""

    def reply(data: bytes, peer: tuple[str, int]) -> None:
        response = dns.message.make_response(dns.message.from_wire(data))
        if answer is not None:
            answer(response)
            running.sendto(response.to_wire(), peer)

    running = DatagramServer("127.0.0.1:0", reply)
    running.start()
    try:
        yield DnsLookup(("127.0.0.1",), port=running.server_port, answer_s_max=0.5)
    finally:
        running.stop()


def mail(*records: str) -> Answer:
    def add(response: dns.message.Message) -> None:
        name = response.question[0].name
        response.answer.append(dns.rrset.from_text(name, 1234, "IN", "MX", *records))

    return add


def test_mail_servers_come_best_first_with_their_ttl() -> None:
    with server(mail("20 Second.example.", "10 first.example.")) as look_up:
        assert look_up("example.com") == Found(("first.example", "second.example"), 1234)


def test_a_domain_that_wants_no_mail_has_no_servers() -> None:
    with server(mail("0 .")) as look_up:
        assert look_up("example.com").hosts == ()


def test_a_domain_that_is_not_there_has_no_servers() -> None:
    with server(lambda response: response.set_rcode(dns.rcode.NXDOMAIN)) as look_up:
        assert look_up("example.com") == Found((), TTL_S_MIN)
    with server(lambda _: None) as look_up:
        assert look_up("example.com") == Found((), TTL_S_MIN)


def test_a_server_in_trouble_is_no_answer() -> None:
    with (
        server(lambda response: response.set_rcode(dns.rcode.SERVFAIL)) as look_up,
        pytest.raises(LookupFailed),
    ):
        look_up("example.com")


def test_a_silent_server_keeps_nobody_else_waiting() -> None:
    with server(None) as look_up:
        ticks = 0

        def count() -> None:
            nonlocal ticks
            while True:
                gevent.sleep(0.05)
                ticks += 1

        counting = gevent.spawn(count)
        with pytest.raises(LookupFailed):
            look_up("example.com")
        counting.kill()
        assert ticks >= 3


@pytest.mark.parametrize("name", ["a..b", "x" * 64 + ".com"])
def test_what_is_no_name_is_no_answer(name: str) -> None:
    with server(mail("10 a.example.")) as look_up, pytest.raises(LookupFailed):
        look_up(name)
