"""The licence at work: files checked, put into force in every process, and kept by the links."""

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any, Final

import gevent
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.gateway import Gateway, StartGateway, eventually, eventually_equal, handset
from support.smsc import NodeSmsc

from signalbox.actors.license_key import LicenseKey
from signalbox.actors.licenses import BURST_S, LICENSE_EVENTS, Licenses, Terms
from signalbox.domain.errors import (
    BadLicense,
    LicenseExceeded,
    LicenseExpired,
    LicenseOlder,
    LicensePast,
    LicenseRequired,
)
from signalbox.domain.license import LicenseUploaded, Limits
from signalbox.domain.message import MessageSubmitted
from signalbox.domain.session import LinkBound, LinkLost
from signalbox.eventstore.follower import Follower
from signalbox.eventstore.journal import Journal
from signalbox.eventstore.log import EventLog

NOW: Final = datetime(2026, 11, 21, 10, tzinfo=UTC)
SECRET: Final = "a secret of the vendor, long enough for every HMAC there is in JWS"
PRIVATE: Final = Ed25519PrivateKey.generate()
BUILT_IN: Final = Limits(connections_max=100, tps_max=1000)
CLAIMS: Final[dict[str, Any]] = {
    "company": "UNIQUBIC Corporation",
    "valid_until": "2099-12-31",
    "max_connections": 5,
    "max_tps": 50,
}


def pem(key: Any) -> str:  # noqa: ANN401  a public key of any kind
    octets: bytes = key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return octets.decode()


PUBLIC: Final = pem(PRIVATE.public_key())


def bare(**changes: Any) -> bytes:  # noqa: ANN401
    return json.dumps({**CLAIMS, **changes}).encode()


def signed(key: Any = PRIVATE, algorithm: str = "EdDSA", **changes: Any) -> bytes:  # noqa: ANN401
    return jwt.encode({**CLAIMS, **changes}, key, algorithm=algorithm).encode()


def unsecured(**changes: Any) -> bytes:  # noqa: ANN401
    return jwt.encode({**CLAIMS, **changes}, None, algorithm="none").encode()


# files


@pytest.mark.parametrize(
    ("key", "file"),
    [
        ("", bare()),
        ("", b"\n " + bare(unknown=1) + b"\n"),
        (SECRET, signed(SECRET, "HS256")),
        (PUBLIC, signed() + b"\n"),
        (PUBLIC.replace("\n", "\\n"), signed()),
    ],
)
def test_a_licence_is_read(key: str, file: bytes) -> None:
    upload = LicenseKey(key).read(file)
    assert (upload.company, upload.valid_until) == ("UNIQUBIC Corporation", date(2099, 12, 31))
    assert (upload.max_connections, upload.max_tps) == (5, 50)
    assert (upload.serial, upload.signed) == (0, bool(key))


def test_the_serial_orders_licences_or_else_when_they_were_issued() -> None:
    assert LicenseKey("").read(bare(iat=5)).serial == 5
    assert LicenseKey("").read(bare(iat=5, serial=3)).serial == 3


def test_space_around_a_licence_makes_no_other_one() -> None:
    assert LicenseKey("").read(bare()) == LicenseKey("").read(bare() + b"\n")


@pytest.mark.parametrize(
    ("key", "file", "reason"),
    [
        (SECRET, signed(SECRET[::-1], "HS256"), "the signature does not"),
        (SECRET, signed(), "the signature does not match"),
        (SECRET, unsecured(), "the signature does not match"),
        (SECRET, bare(), "it is not signed"),
        (SECRET, signed(SECRET, "HS512"), "the signature does not match"),
        (SECRET, signed(SECRET, "HS256")[:-1], "the signature does not match"),
        (SECRET, b"a.b", "the signature does not match"),
        (SECRET, b"\xff.\xff.\xff", "the signature does not match"),
        (PUBLIC, signed(Ed25519PrivateKey.generate()), "the signature does not match"),
        (PUBLIC, unsecured(), "the signature does not match"),
        (PUBLIC, bare(), "it is not signed"),
        ("", signed(), "LICENSE_KEY is not set"),
        ("", unsecured(), "LICENSE_KEY is not set"),
        ("", b" \n", "the file is empty"),
        ("", b"{", "not valid JSON"),
        ("", b"{" + b'"a":[' * 5_000, "not valid JSON"),
        ("", b'{"company": "\xff"}', "not valid JSON"),
        ("", b"{}", "missing required field company"),
        ("", bare(company=""), "company"),
        ("", bare(company="a\0b"), "company"),
        ("", bare(company=5), "Expected str, got int"),
        ("", bare(valid_until="2099-13-01"), "valid_until is no date"),
        ("", bare(valid_until="20991231"), "valid_until"),
        ("", bare(valid_until="2099-12-31T00:00"), "valid_until"),
        ("", bare(max_tps=0), "max_tps"),
        ("", bare(max_tps=True), "max_tps"),
        ("", bare(max_connections=1.5), "max_connections"),
        ("", bare(max_connections=-1), "max_connections"),
        ("", bare(serial=-1), "serial"),
        ("", bare(serial=2**63), "serial"),
        (PUBLIC, signed(max_tps="50"), "max_tps"),
    ],
)
def test_what_is_no_licence_is_refused_with_the_reason(key: str, file: bytes, reason: str) -> None:
    with pytest.raises(BadLicense, match=reason):
        LicenseKey(key).read(file)


def test_a_public_key_is_no_secret_to_sign_with() -> None:
    """The classic confusion: a token of HS256, its secret the public key everybody knows."""
    header, payload = ({"alg": "HS256", "typ": "JWT"}, CLAIMS)
    parts = [
        base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=") for p in (header, payload)
    ]
    body = b".".join(parts)
    mac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    forged = body + b"." + base64.urlsafe_b64encode(mac.sign(body, PUBLIC.encode())).rstrip(b"=")
    with pytest.raises(BadLicense, match="the signature does not match"):
        LicenseKey(PUBLIC).read(forged)


@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("short", "at least 32 bytes, got 5"),
        ("-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----", "Ed25519 public key"),
        (pem(generate_private_key(SECP256R1()).public_key()), "Ed25519 public key"),
    ],
)
def test_a_key_that_checks_nothing_is_refused(key: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        LicenseKey(key)


# in force


class Clock:
    """Shows `now`."""

    now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


MakeLicenses = Callable[..., Licenses]


@pytest.fixture
def make_licenses(event_log: EventLog, journal: Journal, clock: Clock) -> MakeLicenses:
    def make(key: str = "", *, required: bool = False) -> Licenses:
        made = Licenses(event_log, journal, LicenseKey(key), BUILT_IN, required=required, now=clock)
        made.restore()
        return made

    return make


@pytest.fixture
def licenses(make_licenses: MakeLicenses) -> Licenses:
    return make_licenses()


def upload(licenses: Licenses, file: bytes) -> Terms:
    return licenses.upload(file, by="admin-key", request_id="r-1")


def test_without_a_licence_the_built_in_limits_hold(licenses: Licenses) -> None:
    licenses.require_sending()
    assert licenses.limits == BUILT_IN
    assert licenses.terms == Terms(
        company="", valid_until="", max_connections=100, max_tps=1000, status="missing"
    )


def test_an_uploaded_licence_holds_and_survives_a_restart(
    licenses: Licenses, make_licenses: MakeLicenses, event_log: EventLog
) -> None:
    terms = upload(licenses, bare())
    assert terms == Terms(**CLAIMS, status="active")
    assert make_licenses().terms == terms
    (recorded,) = event_log.read("license")
    assert isinstance(recorded.event, LicenseUploaded)
    assert (recorded.by, recorded.request_id) == ("admin-key", "r-1")


def test_the_same_licence_twice_is_one_event(licenses: Licenses, event_log: EventLog) -> None:
    assert upload(licenses, bare()) == upload(licenses, bare())
    assert len(event_log.read("license")) == 1


@pytest.mark.parametrize(
    ("file", "refusal"),
    [
        (b"no licence", BadLicense),
        (bare(valid_until="2026-11-20", serial=9), LicensePast),
        (bare(serial=1), LicenseOlder),
    ],
)
def test_after_a_refusal_the_licence_before_stays(
    licenses: Licenses, file: bytes, refusal: type[Exception]
) -> None:
    before = upload(licenses, bare(serial=2))
    with pytest.raises(refusal):
        upload(licenses, file)
    assert licenses.terms == before


def test_two_processes_that_upload_at_once_agree(
    licenses: Licenses, make_licenses: MakeLicenses, event_log: EventLog
) -> None:
    other = make_licenses()
    uploads = [
        gevent.spawn(upload, one, bare(serial=serial, max_tps=serial))
        for serial, one in enumerate([licenses, other] * 4, start=1)
    ]
    gevent.joinall(uploads)
    assert {type(one.exception) for one in uploads} <= {type(None), LicenseOlder}
    newest = make_licenses()
    assert newest.terms.max_tps == 8
    versions = [recorded.version for recorded in event_log.read("license")]
    assert versions == list(range(1, len(versions) + 1))


def test_other_processes_follow(
    licenses: Licenses, make_licenses: MakeLicenses, event_log: EventLog
) -> None:
    told: list[int] = []
    other = make_licenses()
    other.watch(lambda: told.append(other.limits.tps_max))
    follower = Follower(
        event_log,
        LICENSE_EVENTS,
        lambda rows: [other.follow(event_log.decode_row(row)) for row in rows] and None,
    )
    assert follower.listening.wait(5)
    upload(licenses, bare(max_tps=7))
    eventually_equal(lambda: told, [7])
    upload(licenses, bare(max_tps=8, serial=1))
    eventually_equal(lambda: told, [7, 8])
    follower.close()


def test_who_missed_a_licence_reads_them_all(
    licenses: Licenses, make_licenses: MakeLicenses, event_log: EventLog
) -> None:
    other = make_licenses()
    for serial in (1, 2, 3):
        upload(licenses, bare(serial=serial, max_tps=serial))
    first, _, third = event_log.read("license")
    other.follow(third)
    assert other.limits.tps_max == 3
    other.follow(first)
    assert other.limits.tps_max == 3


def test_a_licence_that_runs_out_stops_sending_at_midnight(
    licenses: Licenses, clock: Clock
) -> None:
    upload(licenses, bare(valid_until="2026-11-21"))
    clock.now = datetime(2026, 11, 21, 23, 59, 59, tzinfo=UTC)
    licenses.require_sending()
    clock.now = datetime(2026, 11, 22, tzinfo=UTC)
    with pytest.raises(LicenseExpired, match="license expired"):
        licenses.require_sending()
    assert licenses.terms.status == "expired"
    assert licenses.limits == Limits(connections_max=5, tps_max=50)


def test_where_a_licence_is_required_nothing_is_sent_without_one(
    make_licenses: MakeLicenses,
) -> None:
    licenses = make_licenses(required=True)
    with pytest.raises(LicenseRequired, match="license required"):
        licenses.require_sending()
    upload(licenses, bare())
    licenses.require_sending()


# at work


@pytest.fixture(scope="module")
def smsc() -> Iterator[NodeSmsc]:
    with NodeSmsc(DLR_DELAY_MS=5) as smsc:
        yield smsc


def bound(gateway: Gateway) -> set[int]:
    """Return the links that are bound, as the log has it."""
    ids: set[int] = set()
    for batch in gateway.log.everything():
        for recorded in batch:
            link_id = int(recorded.stream_id.split("-")[1]) if "link" in recorded.stream_id else 0
            if isinstance(recorded.event, LinkBound):
                ids.add(link_id)
            elif isinstance(recorded.event, LinkLost):
                ids.discard(link_id)
    return ids


def send_over(gateway: Gateway, link_ids: list[int]) -> None:
    sends = [gevent.spawn(gateway.send, handset(), link_id=link_id) for link_id in link_ids]
    gevent.joinall(sends, raise_error=True)


def submitted_at_s(gateway: Gateway) -> list[float]:
    return [
        recorded.at_s
        for batch in gateway.log.everything()
        for recorded in batch
        if isinstance(recorded.event, MessageSubmitted)
    ]


def test_all_links_together_keep_the_licensed_pace(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    limits = Limits(connections_max=0, tps_max=40)
    gateway = start_gateway(smsc.port, smsc.port, built_in=limits, send_wait_s=0.1)
    eventually_equal(lambda: bound(gateway), {1, 2})
    send_over(gateway, [1, 2] * 30)
    eventually(lambda: len(submitted_at_s(gateway)) == 60, timeout_s=10)
    times = sorted(submitted_at_s(gateway))
    free = 40 * BURST_S
    assert times[-1] - times[0] >= (60 - free) / 40 - 0.15
    most = max(sum(start <= t < start + 1 for t in times) for start in times)
    assert 0.7 * 40 <= most <= 40 + free + 4


def test_no_link_keeps_the_pace_for_itself(smsc: NodeSmsc, start_gateway: StartGateway) -> None:
    limits = Limits(connections_max=0, tps_max=20)
    gateway = start_gateway(smsc.port, smsc.port, built_in=limits, send_wait_s=0.1)
    eventually_equal(lambda: bound(gateway), {1, 2})
    send_over(gateway, [1] * 20 + [2] * 20)

    def carried() -> list[str]:
        return [
            str(recorded.by)
            for batch in gateway.log.everything()
            for recorded in batch
            if isinstance(recorded.event, MessageSubmitted)
        ]

    eventually(lambda: len(carried()) >= 20, timeout_s=10)
    first = carried()[:20]
    assert min(first.count("link-1"), first.count("link-2")) >= 5


def test_a_new_licence_lets_waiting_parts_go_faster_at_once(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    limits = Limits(connections_max=0, tps_max=1)
    gateway = start_gateway(smsc.port, built_in=limits, send_wait_s=0.1)
    send_over(gateway, [1] * 40)
    assert len(submitted_at_s(gateway)) < 5
    upload(gateway.licenses, bare(max_tps=1000))
    eventually(lambda: len(submitted_at_s(gateway)) == 40, timeout_s=4)


def test_links_beyond_the_licence_stay_unbound(smsc: NodeSmsc, start_gateway: StartGateway) -> None:
    limits = Limits(connections_max=2, tps_max=0)
    gateway = start_gateway(*[smsc.port] * 3, built_in=limits)
    eventually_equal(lambda: bound(gateway), {1, 2})
    gevent.sleep(0.4)  # a session looks around every quarter of a second
    assert bound(gateway) == {1, 2}
    assert [link_id in gateway.licensed for link_id in (1, 2, 3)] == [True, True, False]
    assert len(gateway.events(LinkBound)) == 2


def test_a_new_licence_binds_and_unbinds_links_at_once(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    limits = Limits(connections_max=1, tps_max=0)
    gateway = start_gateway(*[smsc.port] * 3, built_in=limits)
    eventually_equal(lambda: bound(gateway), {1})
    upload(gateway.licenses, bare(max_connections=3))
    eventually_equal(lambda: bound(gateway), {1, 2, 3}, timeout_s=2)
    upload(gateway.licenses, bare(max_connections=2, serial=1))
    eventually_equal(lambda: bound(gateway), {1, 2}, timeout_s=2)
    assert {event.reason for event in gateway.events(LinkLost)} == {"unbound"}


def test_a_link_that_is_switched_off_makes_room_for_the_next(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    limits = Limits(connections_max=2, tps_max=0)
    gateway = start_gateway(*[smsc.port] * 3, built_in=limits)
    eventually_equal(lambda: bound(gateway), {1, 2})
    gateway.links.toggle(1, enabled=False, reason="", by="test")
    eventually_equal(lambda: bound(gateway), {2, 3})
    with pytest.raises(LicenseExceeded, match="license allows 2 connections"):
        gateway.links.toggle(1, enabled=True, reason="", by="test")
    gateway.links.toggle(2, enabled=True, reason="it is on already", by="test")
    gateway.links.toggle(3, enabled=False, reason="", by="test")
    assert gateway.links.toggle(1, enabled=True, reason="", by="test").enabled
    eventually_equal(lambda: bound(gateway), {1, 2})


def test_when_the_licence_runs_out_nothing_new_is_accepted_but_the_rest_goes_on(
    smsc: NodeSmsc, start_gateway: StartGateway
) -> None:
    clock = Clock()
    gateway = start_gateway(smsc.port, now=clock)
    upload(gateway.licenses, bare(valid_until="2026-11-21"))
    fields = {"transaction_id": "t-1"}
    target = handset()
    sent = gateway.send(target, **fields)
    clock.now = datetime(2026, 11, 22, tzinfo=UTC)
    with pytest.raises(LicenseExpired):
        gateway.send(handset())
    assert gateway.send(target, **fields).message_id == sent.message_id
    eventually_equal(lambda: gateway.statuses(sent.message_id), ["delivered"])
    assert bound(gateway) == {1}
