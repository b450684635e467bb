"""Hosts that somebody else names never lead to our own side of the network."""

import socket
from collections.abc import Callable, Sequence
from ipaddress import ip_address

import gevent
import pytest
from gevent.monkey import get_original
from support.gateway import eventually

from signalbox.actors.transports import outside
from signalbox.actors.transports.outside import (
    NoThread,
    NotOutside,
    Outside,
    Resolver,
    Unresolved,
)


def answering(*addresses: str) -> Callable[[str, int], Sequence[str]]:
    return lambda _host, _port: addresses


INSIDE = {
    "unspecified": "0.0.0.0",  # noqa: S104  not listened on
    "this network": "0.1.2.3",
    "loopback": "127.0.0.1",
    "loopback, another": "127.255.255.254",
    "private 10": "10.0.0.1",
    "private 172.16": "172.31.255.255",
    "private 192.168": "192.168.1.1",
    "link-local": "169.254.1.1",
    "metadata": "169.254.169.254",
    "metadata, Azure": "168.63.129.16",
    "metadata, Alibaba": "100.100.100.200",
    "shared (carrier NAT)": "100.64.0.1",
    "shared, last": "100.127.255.255",
    "IETF protocols": "192.0.0.1",
    "documentation": "192.0.2.1",
    "benchmarks": "198.18.0.1",
    "multicast": "224.0.0.1",
    "multicast, administrative": "239.1.2.3",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "v6 unspecified": "::",
    "v6 loopback": "::1",
    "v6 link-local": "fe80::1",
    "v6 link-local with a zone": "fe80::1%eth0",
    "v6 site-local": "fec0::1",
    "v6 unique local": "fd00:ec2::254",
    "v6 multicast": "ff02::1",
    "v6 documentation": "2001:db8::1",
    "v6 outside of what is assigned": "4000::1",
    "v4-mapped loopback": "::ffff:127.0.0.1",
    "v4-mapped metadata": "::ffff:a9fe:a9fe",
    "v4-compatible loopback": "::127.0.0.1",
    "NAT64 of metadata": "64:ff9b::a9fe:a9fe",
    "NAT64 of private": "64:ff9b::10.0.0.1",
    "NAT64, local": "64:ff9b:1::1",
    "6to4 of loopback": "2002:7f00:1::",
    "Teredo": "2001:0:4136:e378:8000:63bf:3fff:fdd2",
}
WORLD = ["8.8.8.8", "100.63.255.255", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8",
         "64:ff9b::8.8.8.8"]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE.values(), ids=INSIDE)
def test_an_address_inside_is_refused(address: str) -> None:
    with pytest.raises(NotOutside, match="address not allowed"):
        Outside(resolve=answering(address)).addresses("example.com", 443)


@pytest.mark.parametrize("address", WORLD)
def test_an_address_of_the_world_is_what_is_connected_to(address: str) -> None:
    found = Outside(resolve=answering(address)).addresses("example.com", 443)
    assert found == [str(ip_address(address))]


@pytest.mark.parametrize("bad", ["10.0.0.1", "::1"])
def test_one_bad_address_among_good_ones_is_enough(bad: str) -> None:
    for addresses in (["8.8.8.8", bad], [bad, "8.8.8.8"], [*["8.8.8.8"] * 9, bad]):
        with pytest.raises(NotOutside):
            Outside(resolve=answering(*addresses)).addresses("example.com", 443)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0x7f000001", "0177.0.0.1", "0", "localhost",
     "::1", "::ffff:7f00:1", "①②⑦.0.0.1", "127。0。0。1"],
)  # fmt: skip
def test_however_the_loopback_is_spelt_it_is_refused(host: str) -> None:
    with pytest.raises((NotOutside, Unresolved)) as refused:
        Outside().addresses(host, 80)
    # What the resolver of this machine does not read leads nowhere; what it reads is judged.
    assert isinstance(refused.value, NotOutside) == _is_read(host)


def _is_read(host: str) -> bool:
    try:
        return bool(socket.getaddrinfo(host, 80))
    except (OSError, UnicodeError):
        return False


def test_the_usual_spellings_are_read_by_the_resolver_at_all() -> None:
    assert all(_is_read(host) for host in ("127.1", "2130706433", "0x7f.1", "0177.0.0.1"))


@pytest.mark.parametrize(
    ("network", "address", "allowed"),
    [
        ("192.168.7.0/24", "192.168.7.9", True),
        ("192.168.7.0/24", "192.168.8.9", False),
        ("192.168.7.0/24", "::ffff:192.168.7.9", True),
        ("192.168.7.0/24", "64:ff9b::192.168.7.9", True),
        ("127.0.0.0/8", "::1", False),
        ("fd00::/8", "fd00::1", True),
        ("::1/128", "127.0.0.1", False),
    ],
)
def test_an_operator_can_allow_a_network(network: str, address: str, *, allowed: bool) -> None:
    assert Outside([network]).allows(ip_address(address)) == allowed


def test_a_host_without_an_address_is_not_found() -> None:
    def unknown(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    for resolver in (answering(), unknown):
        with pytest.raises(Unresolved, match="host not found"):
            Outside(resolve=resolver).addresses("nowhere.example", 80)


def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "RESOLVE_S", 0.05)

    def hang(_host: str, _port: int) -> list[str]:
        gevent.sleep(60)
        return ["8.8.8.8"]

    with pytest.raises(Unresolved, match="no answer"):
        Outside(resolve=hang).addresses("slow.example", 80)


def test_a_host_is_asked_for_once_and_few_of_its_addresses_are_tried() -> None:
    asked: list[str] = []

    def many(host: str, _port: int) -> list[str]:
        asked.append(host)
        return [f"8.8.8.{n}" for n in range(20)]

    assert Outside(resolve=many).addresses("example.com", 80) == [f"8.8.8.{n}" for n in range(4)]
    assert asked == ["example.com"]


def test_each_address_of_a_host_comes_once() -> None:
    assert Resolver()("127.0.0.1", 80) == ["127.0.0.1"]


def test_a_look_up_that_fails_is_told_to_whoever_asked_alone(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(UnicodeError):
        Resolver()("a" * 64 + ".example", 80)
    assert not capfd.readouterr().err


def test_look_ups_that_hang_hold_up_only_their_own_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "RESOLVE_S", 0.05)
    over = get_original("threading", "Event")()

    def hang(*_: object) -> list[object]:
        over.wait(30)
        return []

    monkeypatch.setattr(outside, "_getaddrinfo", hang)
    monkeypatch.setattr(outside, "THREADS", 4)
    monkeypatch.setattr(outside, "THREAD_S", 0.02)
    inquirer = Outside()
    for number in range(4):
        with pytest.raises(Unresolved, match="no answer"):
            inquirer.addresses(f"slow{number}.example", 80)
    for _ in range(2):
        with pytest.raises(NoThread):
            inquirer.addresses("unheard-of.example", 80)
    assert socket.getaddrinfo("localhost", 80)
    over.set()

    def is_looked_up() -> bool:
        with pytest.raises(Unresolved) as found:
            inquirer.addresses("unheard-of.example", 80)
        return found.value.reason == "no address"

    eventually(is_looked_up)


def test_a_host_that_could_not_be_looked_up_in_time_is_left_alone_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outside, "RESOLVE_S", 0.05)
    monkeypatch.setattr(outside, "SILENT_S", 0.2)
    monkeypatch.setattr(outside, "SILENT_MAX", 2)
    asked: list[str] = []

    def hang(host: str, _port: int) -> list[str]:
        asked.append(host)
        gevent.sleep(60)
        return []

    def ask(host: str) -> None:
        with pytest.raises(Unresolved, match="no answer"):
            inquirer.addresses(host, 80)

    inquirer = Outside(resolve=hang)
    for host in "aab":
        ask(host)
    assert asked == ["a", "b"]
    gevent.sleep(0.25)
    for host in "abca":  # one more than are remembered
        ask(host)
    assert asked == ["a", "b", "a", "b", "c", "a"]
