"""The mailbox that mails come back to, on a real IMAP server: each is told of once."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import gevent
import pytest
from gevent.server import StreamServer
from support.bounces import ANSWER, EXIM, HEADERS_ONLY, PK, POSTFIX, POSTFIX_DELAYED, VACATION
from support.certificates import self_signed
from support.dovecot import DOVECOT, MISSING, PASSWORD, give_one_uidvalidity, running_dovecot
from support.gateway import eventually, eventually_equal
from support.mail_relay import PARTITIONS, MailRelay

from signalbox.actors.bounce_rules import load_rules
from signalbox.actors.mail_bounces import BounceParts, MailBounces
from signalbox.actors.transports import imap
from signalbox.actors.transports.imap import Access, MailboxAway, Place, open_mailbox
from signalbox.actors.transports.outside import Outside
from signalbox.domain.bounce_rules import DEFAULT_RULES
from signalbox.domain.mail import MailBounced, MailSent
from signalbox.domain.mail_instance import BouncePolled, InstanceChanges

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.dovecot import Dovecot, Inbox

    from signalbox.eventstore.log import EventLog

SENT: Final = MailSent(250, "OK")

pytestmark = pytest.mark.skipif(DOVECOT is None, reason=MISSING)


class Reading:
    """A relay that reads the mailbox of bounces."""

    def __init__(self, log: EventLog, rules: Callable[[], Any] = lambda: DEFAULT_RULES) -> None:
        self.rules = rules
        self.relay = MailRelay(log, holders=self._holders)
        self.relay.instance.on_change(self.bounces.changed)

    def _holders(self, relay: MailRelay) -> tuple[MailBounces]:
        parts = BounceParts(relay.instance, relay.mails, relay.reads, self.rules)
        self.bounces = MailBounces(parts, PARTITIONS)
        return (self.bounces,)

    def look_into(self, mailbox: Inbox, **changes: Any) -> None:  # noqa: ANN401
        """Configure the installation to read a mailbox, now and every second."""
        wanted = {
            "bounce_enabled": True,
            "bounce_imap_host": "127.0.0.1",
            "bounce_imap_port": mailbox.port,
            "bounce_imap_user": mailbox.user,
            "bounce_imap_password_sealed": self.relay.instance.seal(PASSWORD),
            "bounce_imap_ssl": False,
            "bounce_poll_interval_s": 1,
            **changes,
        }
        self.relay.instance.update(InstanceChanges(**wanted), by="admin")

    def polled(self) -> int:
        """Return up to which UID the mailbox was read."""
        last = self.relay.instance.last_poll()
        return last.uid if last else 0

    def bounces_of(self) -> list[MailBounced]:
        """Return every bounce in the log."""
        events = [one.event for batch in self.relay.log.everything() for one in batch]
        return [event for event in events if isinstance(event, MailBounced)]


@pytest.fixture
def start_reading(event_log: EventLog) -> Iterator[Callable[..., Reading]]:
    started: list[Reading] = []

    def start(**given: Any) -> Reading:  # noqa: ANN401
        started.append(Reading(event_log, **given))
        return started[-1]

    yield start
    for one in started:
        one.relay.close()
        one.bounces.close()


def sent(reading: Reading, client_id: str = "store@uuid-1") -> str:
    """Let a mail be sent, and return its pk."""
    reading.relay.tenant("acme", "")
    return reading.relay.mail("acme", client_id, SENT)


def test_a_mail_that_came_back_has_bounced(
    start_reading: Callable[..., Reading], mailbox: Inbox
) -> None:
    reading = start_reading()
    pk = sent(reading)
    mailbox.deliver(VACATION, POSTFIX.replace(PK, pk), ANSWER)
    reading.look_into(mailbox)
    eventually_equal(reading.polled, 3)
    (bounce,) = reading.bounces_of()
    assert (bounce.kind, bounce.code) == ("hard", "511")
    assert bounce.reason.startswith("550 5.1.1")
    assert bounce.recipient == "ann@example.org"
    mail = reading.relay.mails.find(pk)
    assert mail is not None
    assert mail.bounced
    assert mailbox.unread() == 3


def test_what_comes_later_is_read_at_the_next_poll(
    start_reading: Callable[..., Reading], mailbox: Inbox
) -> None:
    reading = start_reading()
    pk = sent(reading)
    mailbox.deliver(ANSWER)
    reading.look_into(mailbox)
    eventually_equal(reading.polled, 1)
    mailbox.deliver(EXIM.replace(PK, pk))
    eventually(reading.bounces_of)
    assert reading.bounces_of()[0].code == "571"


def test_a_restart_reads_nothing_again(
    start_reading: Callable[..., Reading], mailbox: Inbox
) -> None:
    reading = start_reading()
    pk = sent(reading)
    mailbox.deliver(POSTFIX.replace(PK, pk))
    reading.look_into(mailbox)
    eventually_equal(reading.polled, 1)
    reading.relay.close()
    reading.bounces.close()
    second = start_reading()
    seen: list[bytes] = []
    take = second.bounces.take
    second.bounces.take = lambda raw: (seen.append(raw), take(raw))[1]  # type: ignore[method-assign]
    other = second.relay.mail("acme", "other", SENT)
    mailbox.deliver(POSTFIX.replace(PK, other))
    eventually_equal(second.polled, 2)
    assert len(seen) == 1
    assert len(second.bounces_of()) == 2


def test_a_mailbox_that_was_made_anew_is_read_from_its_beginning(
    start_reading: Callable[..., Reading], mailbox: Inbox
) -> None:
    reading = start_reading()
    pk = sent(reading)
    mailbox.deliver(ANSWER, ANSWER, ANSWER)
    reading.look_into(mailbox)
    eventually_equal(reading.polled, 3)
    mailbox.recreate()
    mailbox.deliver(POSTFIX.replace(PK, pk))
    eventually(reading.bounces_of)
    eventually_equal(reading.polled, 1)  # Noted after what was read.


def test_another_mailbox_is_read_from_its_beginning_though_its_uids_are_as_valid(
    start_reading: Callable[..., Reading],
    mailbox: Inbox,
    imap_server: Dovecot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    give_one_uidvalidity(monkeypatch, 7)
    reading = start_reading()
    pk = sent(reading)
    mailbox.deliver(ANSWER, ANSWER, ANSWER)
    reading.look_into(mailbox)
    eventually_equal(reading.polled, 3)
    another = imap_server.inbox()
    another.deliver(POSTFIX.replace(PK, pk))
    reading.look_into(another)
    eventually(reading.bounces_of)
    eventually_equal(reading.polled, 1)


def test_what_was_read_before_mailboxes_had_names_is_not_read_again(
    start_reading: Callable[..., Reading], mailbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_one_uidvalidity(monkeypatch, 7)
    reading = start_reading()
    reading.relay.instance.polled(BouncePolled(7, 1))
    pk = sent(reading)
    mailbox.deliver(POSTFIX.replace(PK, pk), ANSWER)
    reading.look_into(mailbox)
    eventually_equal(reading.polled, 2)
    assert reading.bounces_of() == []


def test_the_same_bounce_twice_is_one(
    start_reading: Callable[..., Reading], mailbox: Inbox
) -> None:
    reading = start_reading()
    pk = sent(reading)
    mailbox.deliver(POSTFIX.replace(PK, pk), HEADERS_ONLY.replace(PK, pk))
    reading.look_into(mailbox)
    eventually_equal(reading.polled, 2)
    assert len(reading.bounces_of()) == 1


def test_a_mail_that_was_late_may_fail_for_good(
    start_reading: Callable[..., Reading], mailbox: Inbox
) -> None:
    reading = start_reading()
    pk = sent(reading)
    mailbox.deliver(POSTFIX_DELAYED.replace(PK, pk), POSTFIX.replace(PK, pk))
    reading.look_into(mailbox)
    eventually_equal(reading.polled, 2)
    assert [bounce.kind for bounce in reading.bounces_of()] == ["soft", "hard"]


def test_a_clients_id_tells_the_mail_only_if_no_other_has_it(
    start_reading: Callable[..., Reading], mailbox: Inbox
) -> None:
    reading = start_reading()
    pk = sent(reading)
    clientwise = POSTFIX.replace(f"X-Signalbox-Mail-ID: {PK}\n", "")
    mailbox.deliver(clientwise)
    reading.look_into(mailbox)
    eventually(reading.bounces_of)
    assert (found := reading.relay.mails.find(pk)) is not None
    assert found.bounced
    reading.relay.tenant("beta", "")
    for tenant_id in ("acme", "beta"):
        reading.relay.mail(tenant_id, "twice", SENT)
    mailbox.deliver(clientwise.replace("store@uuid-1", "twice"))
    eventually_equal(reading.polled, 2)
    assert len(reading.bounces_of()) == 1


def test_a_pk_in_the_place_of_the_clients_id_tells_the_mail(
    start_reading: Callable[..., Reading], mailbox: Inbox
) -> None:
    reading = start_reading()
    pk = sent(reading)
    clientwise = POSTFIX.replace(f"X-Signalbox-Mail-ID: {PK}\n", "")
    mailbox.deliver(clientwise.replace("store@uuid-1", pk))
    reading.look_into(mailbox)
    eventually(reading.bounces_of)


def test_a_bounce_of_a_mail_of_somebody_else_is_left_alone(
    start_reading: Callable[..., Reading], mailbox: Inbox
) -> None:
    reading = start_reading()
    sent(reading, "m1")
    mailbox.deliver(POSTFIX)
    reading.look_into(mailbox)
    eventually_equal(reading.polled, 1)
    assert reading.bounces_of() == []


def test_another_folder_is_read_if_that_is_wanted(
    start_reading: Callable[..., Reading], mailbox: Inbox
) -> None:
    reading = start_reading()
    pk = sent(reading)
    mailbox.deliver(POSTFIX.replace(PK, pk), folder="Came back")
    reading.look_into(mailbox, bounce_imap_folder="Came back")
    eventually(reading.bounces_of)


def test_rules_are_read_again_when_somebody_wants_it(
    start_reading: Callable[..., Reading], mailbox: Inbox, tmp_path: Path
) -> None:
    path = tmp_path / "rules.toml"
    path.write_text('subjects = ["something else"]\n')
    reading = start_reading(rules=lambda: load_rules(str(path)))
    pk = sent(reading)
    odd = f"Subject: Posta respinta\n\nCasella piena\n\nX-Signalbox-Mail-ID: {pk}\n"
    mailbox.deliver(odd)
    reading.look_into(mailbox)
    eventually_equal(reading.polled, 1)
    assert reading.bounces_of() == []
    path.write_text(
        'subjects = ["posta respinta"]\n'
        'reasons = [{ phrase = "casella piena", kind = "soft", code = "452" }]\n'
    )
    reading.relay.instance.reload_bounce(by="admin")
    mailbox.deliver(odd)
    eventually(reading.bounces_of)
    assert (reading.bounces_of()[0].kind, reading.bounces_of()[0].code) == ("soft", "452")


def test_rules_that_make_no_sense_change_nothing(
    start_reading: Callable[..., Reading], mailbox: Inbox, tmp_path: Path
) -> None:
    path = tmp_path / "rules.toml"
    path.write_text("")
    reading = start_reading(rules=lambda: load_rules(str(path)))
    pk = sent(reading)
    reading.look_into(mailbox)
    for text in ("subjects = 1", "nonsense", 'reasons = [{ phrase = "x", kind = "odd" }]'):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"rules\.toml|nvalid|xpected"):
            load_rules(str(path))
    reading.relay.instance.reload_bounce(by="admin")
    mailbox.deliver(POSTFIX.replace(PK, pk))
    eventually(reading.bounces_of)


def test_a_mailbox_that_is_away_is_tried_again_and_a_change_ends_the_wait(
    start_reading: Callable[..., Reading], mailbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    reading = start_reading()
    pk = sent(reading)
    mailbox.deliver(POSTFIX.replace(PK, pk))
    reading.look_into(mailbox, bounce_imap_port=1, bounce_poll_interval_s=600)
    eventually(lambda: "mailbox of bounces can't be read" in caplog.text)
    wrong = reading.relay.instance.seal("wrong")
    caplog.clear()
    reading.look_into(mailbox, bounce_imap_password_sealed=wrong)
    eventually(lambda: "mailbox of bounces can't be read" in caplog.text)
    assert "wrong" not in caplog.text
    reading.look_into(mailbox)
    eventually(reading.bounces_of)


def test_nothing_is_read_when_that_is_not_wanted(
    event_log: EventLog, start_reading: Callable[..., Reading], mailbox: Inbox
) -> None:
    reading = start_reading()
    mailbox.deliver(ANSWER)
    reading.look_into(mailbox, bounce_enabled=False)
    gevent.sleep(0.5)
    events = [one.event for batch in event_log.everything() for one in batch]
    assert not any(isinstance(event, BouncePolled) for event in events)


def test_of_two_relays_one_reads(
    event_log: EventLog, start_reading: Callable[..., Reading], mailbox: Inbox
) -> None:
    first = start_reading()
    second = start_reading()
    pk = sent(first)
    for one in (first, second):
        eventually(lambda one=one: one.relay.keeper.held)
    mailbox.deliver(POSTFIX.replace(PK, pk))
    first.look_into(mailbox)
    eventually(first.bounces_of)
    gevent.sleep(0.5)
    events = [one.event for batch in event_log.everything() for one in batch]
    assert len([event for event in events if isinstance(event, BouncePolled)]) == 1
    assert len(first.bounces_of()) == 1


def test_a_server_is_known_by_its_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = self_signed(tmp_path)
    with running_dovecot(certificate) as secure:
        inbox = secure.inbox()
        place = Place(host="127.0.0.1", port=secure.tls_port, user=inbox.user, password=PASSWORD)
        with pytest.raises(MailboxAway, match="certificate"), open_mailbox(place):
            pass
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        inbox.deliver(ANSWER)
        with open_mailbox(place) as mailbox:
            assert list(mailbox.uids(0)) == [1]
            assert b"The 550 parts" in mailbox.fetch(1)
            assert mailbox.fetch(2) == b""


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"user": "a\r\nb"}, "one line"),
        ({"folder": "no such folder"}, "folder"),
        ({"folder": "a\nb"}, "ASCII"),
        ({"folder": "Entwürfe"}, "ASCII"),
    ],
)
def test_what_cannot_be_opened_says_so(
    imap_server: Dovecot, changes: dict[str, str], reason: str
) -> None:
    given = {"user": "ann", "password": PASSWORD, **changes}
    place = Place(host="127.0.0.1", port=imap_server.port, tls=False, **given)
    with pytest.raises(MailboxAway, match=reason), open_mailbox(place):
        pass


@pytest.mark.parametrize(
    "flood",
    [b"* 1 FETCH (BODY[]<0> {4294967296}\r\nxx", b"* 1 FETCH (FLAGS (x))\r\n" * 1_000],
    ids=["a literal", "lines"],
)
def test_no_answer_fills_the_memory(monkeypatch: pytest.MonkeyPatch, flood: bytes) -> None:
    monkeypatch.setattr(imap, "ANSWER_OCTETS_MAX", 10_000)
    answers = {
        b"EXAMINE": b"* OK [UIDVALIDITY 1] x\r\n* OK [UIDNEXT 9] x\r\n",
        b"FETCH": flood,
    }

    def answer(connection: socket.socket, _: object) -> None:
        connection.sendall(b"* OK [CAPABILITY IMAP4rev1] hello\r\n")
        for line in connection.makefile("rb"):
            tag, *words = line.split()
            said = next((text for word, text in answers.items() if word in words), b"")
            connection.sendall(said + tag + b" OK done\r\n")

    hostile = StreamServer(("127.0.0.1", 0), answer)
    hostile.start()
    try:
        port = hostile.server_port
        place = Place(host="127.0.0.1", port=port, user="ann", password=PASSWORD[:1], tls=False)
        with open_mailbox(place) as mailbox, pytest.raises(MailboxAway, match="too long"):
            mailbox.fetch(1)
    finally:
        hostile.stop()


def test_a_mailbox_inside_is_not_opened_for_strangers(imap_server: Dovecot) -> None:
    place = Place(host="127.0.0.1", port=imap_server.port, user="ann", password=PASSWORD, tls=False)
    with (
        pytest.raises(MailboxAway, match="not allowed"),
        open_mailbox(place, Access(outside=Outside())),
    ):
        pass


def test_a_server_that_hangs_holds_up_nobody(imap_server: Dovecot) -> None:
    begun_s = time.monotonic()
    place = Place(host="127.0.0.1", port=imap_server.port, user="ann", password=PASSWORD, tls=False)
    ticks: list[float] = []

    def tick() -> None:
        while True:
            ticks.append(time.monotonic())
            gevent.sleep(0.01)

    ticking = gevent.spawn(tick)
    with open_mailbox(place):
        pass
    ticking.kill()
    assert len(ticks) > 1
    assert max(b - a for a, b in pairwise(ticks)) < 2
    assert time.monotonic() - begun_s < 5
