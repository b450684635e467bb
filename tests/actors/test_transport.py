"""One session on the wire, against a peer that says what the test tells it to, octet by octet."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from socket import create_server, socket
from struct import pack, unpack
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
from support.gateway import eventually, eventually_equal

from signalbox.actors.transports.smpp import codec
from signalbox.actors.transports.smpp import session as transport
from signalbox.actors.transports.smpp.session import Bound, Ended, Endpoint, Received, Session
from signalbox.domain.command_status import CommandStatus
from signalbox.eventstore.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

HEADER_OCTETS: Final = 16
TIMEOUT_S: Final = 3
ENDPOINT: Final = Endpoint(
    link_id=1, host="127.0.0.1", port=0, system_id="us", password="secret", system_type="",
    bind="transceiver", connect_timeout_s=1, bind_timeout_s=1, response_timeout_s=0.2,
    enquire_link_s=30, enquire_link_misses_max=2, inactivity_s=60,
)  # fmt: skip
DELIVER: Final = b"\0\1\0" + b"49170\0" + b"\1\1" + b"12345\0" + bytes(9) + b"\2hi"
UNKNOWN_COMMAND: Final = 0x0000BEEF


class Pdu(NamedTuple):
    """A header, and whatever follows it."""

    command_id: int
    status: int
    sequence: int
    body: bytes = b""

    def octets(self) -> bytes:
        """Return it as it goes on the wire."""
        length = HEADER_OCTETS + len(self.body)
        return pack(">IIII", length, self.command_id, self.status, self.sequence) + self.body


class Peer:
    """The SMSC's end of the connection."""

    def __init__(self) -> None:
        self._server = create_server(("127.0.0.1", 0))
        self._server.settimeout(TIMEOUT_S)
        self._connection: socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
        if self._connection is not None:
            self._connection.close()

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens."""
        return replace(ENDPOINT, port=self._server.getsockname()[1])

    @property
    def connection(self) -> socket:
        """The connection, waited for when it is not there yet."""
        if self._connection is None:
            self._connection, _ = self._server.accept()
            self._connection.settimeout(TIMEOUT_S)
        return self._connection

    def say(self, *pdus: Pdu) -> None:
        """Send them at once."""
        self.connection.sendall(b"".join(pdu.octets() for pdu in pdus))

    def hear(self) -> Pdu:
        """Return the next PDU."""
        length, command_id, status, sequence = unpack(">IIII", self._recv(HEADER_OCTETS))
        return Pdu(command_id, status, sequence, self._recv(length - HEADER_OCTETS))

    def hears_the_end(self) -> bool:
        """Tell whether the other side has closed, with nothing more to say."""
        return self.connection.recv(1) == b""

    def _recv(self, octets: int) -> bytes:
        received = b""
        while len(received) < octets:
            more = self.connection.recv(octets - len(received))
            assert more, "closed"
            received += more
        return received

    def accept_bind(self) -> None:
        """Answer the bind with ESME_ROK."""
        bind = self.hear()
        assert bind.command_id == codec.BIND_TRANSCEIVER
        self.say(Pdu(codec.BIND_TRANSCEIVER_RESP, 0, bind.sequence, b"PEER\0"))


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer() as peer:
        yield peer


@pytest.fixture
def told() -> list[Any]:
    return []


@contextmanager
def session_to(
    endpoint: Endpoint, tell: Callable[[object], None], may_act: Callable[[], bool] = lambda: True
) -> Iterator[Session]:
    session = Session(endpoint, tell, may_act)
    try:
        yield session
    finally:
        session.abort("the test is over")


@pytest.fixture
def session(peer: Peer, told: list[Any]) -> Iterator[Session]:
    with session_to(peer.endpoint, told.append) as session:
        peer.accept_bind()
        eventually_equal(lambda: told, [Bound(session, "PEER")])
        told.clear()
        yield session


def test_a_bind_says_who_we_are(peer: Peer, told: list[Any]) -> None:
    with session_to(peer.endpoint, told.append):
        bind = peer.hear()
    assert bind == Pdu(codec.BIND_TRANSCEIVER, 0, 1, b"us\0secret\0\0\x34\0\0\0")


def test_what_comes_before_the_answer_to_the_bind_is_not_lost(peer: Peer, told: list[Any]) -> None:
    with session_to(peer.endpoint, told.append) as session:
        bind = peer.hear()
        peer.say(
            Pdu(codec.DELIVER_SM, 0, 7, DELIVER),
            Pdu(codec.ENQUIRE_LINK, 0, 8),
            Pdu(codec.BIND_TRANSCEIVER_RESP, 0, bind.sequence, b"PEER\0"),
        )
        eventually(lambda: len(told) == 2)
        assert Bound(session, "PEER") in told
        (received,) = [one for one in told if isinstance(one, Received)]
        assert [delivery.pdu.body for delivery in received.deliveries] == [b"hi"]
        assert peer.hear() == Pdu(codec.ENQUIRE_LINK_RESP, 0, 8)


def test_a_bind_that_is_never_answered_is_given_up(peer: Peer, told: list[Any]) -> None:
    endpoint = replace(peer.endpoint, bind_timeout_s=0.1)
    with session_to(endpoint, told.append) as session:
        peer.hear()
        eventually_equal(lambda: told, [Ended(session, "no answer to the bind")])


def test_a_refused_bind_ends_with_its_status(peer: Peer, told: list[Any]) -> None:
    with session_to(peer.endpoint, told.append) as session:
        bind = peer.hear()
        peer.say(Pdu(codec.BIND_TRANSCEIVER_RESP, 0x0E, bind.sequence))
        ended = Ended(session, "ESME_RINVPASWD (0x0000000E)", 0x0E)
        eventually_equal(lambda: told, [ended])


def test_enquire_link_is_answered(peer: Peer, session: Session) -> None:
    peer.say(Pdu(codec.ENQUIRE_LINK, 0, 77))
    assert peer.hear() == Pdu(codec.ENQUIRE_LINK_RESP, 0, 77)
    session.send([codec.encode_enquire_link(session.next_sequence())])
    assert peer.hear() == Pdu(codec.ENQUIRE_LINK, 0, 2)


def test_an_unbind_is_answered_before_the_session_ends(
    peer: Peer, session: Session, told: list[Any]
) -> None:
    peer.say(Pdu(codec.UNBIND, 0, 5))
    assert peer.hear() == Pdu(codec.UNBIND_RESP, 0, 5)
    assert peer.hears_the_end()
    eventually_equal(lambda: told, [Ended(session, "unbound by the SMSC")])


@pytest.mark.parametrize("answers", [True, False])
def test_our_unbind_ends_the_session_with_or_without_an_answer(
    peer: Peer, session: Session, told: list[Any], *, answers: bool
) -> None:
    session.unbind()
    unbind = peer.hear()
    assert unbind.command_id == codec.UNBIND
    if answers:
        peer.say(Pdu(codec.UNBIND_RESP, 0, unbind.sequence))
    eventually_equal(lambda: told, [Ended(session, "unbound")])
    assert peer.hears_the_end()


def test_an_unknown_request_is_nacked_and_an_unknown_response_ignored(
    peer: Peer, session: Session, told: list[Any]
) -> None:
    peer.say(Pdu(UNKNOWN_COMMAND | 0x80000000, 0, 3), Pdu(UNKNOWN_COMMAND, 0, 4))
    assert peer.hear() == Pdu(codec.GENERIC_NACK, CommandStatus.ESME_RINVCMDID, 4)
    peer.say(Pdu(codec.ENQUIRE_LINK, 0, 5))
    assert peer.hear().command_id == codec.ENQUIRE_LINK_RESP
    assert told == []
    session.abort("done")


@pytest.mark.parametrize("length", [0, 15, 0x7FFFFFFF])
def test_a_length_that_cannot_be_is_nacked_and_ends_the_session(
    peer: Peer, session: Session, told: list[Any], length: int
) -> None:
    peer.connection.sendall(pack(">IIII", length, codec.ENQUIRE_LINK, 0, 9))
    assert peer.hear() == Pdu(codec.GENERIC_NACK, CommandStatus.ESME_RINVCMDLEN, 0)
    assert peer.hears_the_end()
    eventually_equal(lambda: told, [Ended(session, f"command_length {length} can't be")])


def test_what_came_before_a_length_that_cannot_be_still_counts(
    peer: Peer, session: Session, told: list[Any]
) -> None:
    good = Pdu(codec.SUBMIT_SM_RESP, 0, 2, b"A1\0").octets()
    peer.connection.sendall(good + pack(">IIII", 3, codec.ENQUIRE_LINK, 0, 9))
    eventually(lambda: len(told) == 2)
    assert told[0] == Received(session, [codec.SubmitSmResp(2, 0, "A1")], [])


def test_a_pdu_may_come_octet_by_octet(peer: Peer, session: Session, told: list[Any]) -> None:
    for octet in Pdu(codec.SUBMIT_SM_RESP, 0, 2, b"A1\0").octets():
        peer.connection.sendall(bytes([octet]))
    expected = Received(session, [codec.SubmitSmResp(2, 0, "A1")], [])
    eventually_equal(lambda: told, [expected])


def test_a_pdu_that_is_never_completed_ends_the_session(
    peer: Peer, told: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "PDU_COMPLETION_S", 0.1)
    monkeypatch.setattr(transport, "WATCH_S", 0.05)
    with session_to(peer.endpoint, told.append) as session:
        peer.accept_bind()
        peer.connection.sendall(pack(">IIII", 20, codec.SUBMIT_SM_RESP, 0, 2))
        ended = Ended(session, "a PDU was not completed")
        eventually_equal(lambda: told, [Bound(session, "PEER"), ended])


def test_a_nack_answers_the_submit_of_its_sequence(
    peer: Peer, session: Session, told: list[Any]
) -> None:
    peer.say(Pdu(codec.GENERIC_NACK, 0x03, 2))
    eventually_equal(lambda: told, [Received(session, [codec.SubmitSmResp(2, 0x03, "")], [])])


@pytest.mark.parametrize(("command", "answer"), [
    (codec.DELIVER_SM, codec.DELIVER_SM_RESP), (codec.DATA_SM, codec.DATA_SM_RESP),
])  # fmt: skip
def test_a_delivery_that_cannot_be_read_is_refused_and_the_next_one_is_heard(
    peer: Peer, session: Session, told: list[Any], command: int, answer: int
) -> None:
    peer.say(Pdu(command, 0, 3, b"no end"), Pdu(codec.DELIVER_SM, 0, 4, DELIVER))
    refusal = peer.hear()
    assert refusal[:3] == (answer, CommandStatus.ESME_RX_T_APPN, 3)
    eventually(lambda: told)
    (received,) = told
    assert [delivery.pdu.sequence for delivery in received.deliveries] == [4]
    session.answer(received.deliveries)
    assert peer.hear()[:3] == (codec.DELIVER_SM_RESP, 0, 4)


def test_what_is_sent_keeps_its_order(peer: Peer, session: Session) -> None:
    for number in range(2, 202):
        session.send([codec.encode_enquire_link(number)])
    assert [peer.hear().sequence for _ in range(200)] == list(range(2, 202))


def test_without_the_lease_nothing_is_written_any_more(peer: Peer, told: list[Any]) -> None:
    lease = [True]
    with session_to(peer.endpoint, told.append, lambda: lease[0]) as session:
        peer.accept_bind()
        eventually(lambda: told)
        lease[0] = False
        session.send([codec.encode_enquire_link(2)])
        assert peer.hears_the_end()
        eventually_equal(lambda: told[1:], [Ended(session, "lease lost")])


def test_an_actor_that_is_busy_is_told_when_it_has_room(peer: Peer, told: list[Any]) -> None:
    refusals = [Unavailable("full")] * 3

    def tell(message: object) -> None:
        if refusals:
            raise refusals.pop()
        told.append(message)

    with session_to(peer.endpoint, tell) as session:
        peer.accept_bind()
        eventually_equal(lambda: told, [Bound(session, "PEER")])
    assert refusals == []


def test_a_connection_that_is_cut_is_told_once(
    peer: Peer, session: Session, told: list[Any]
) -> None:
    peer.connection.close()
    eventually(lambda: told)
    assert told == [Ended(session, "connection closed by the SMSC")]
    session.abort("again")
    assert len(told) == 1


def test_a_session_that_is_cut_short_while_it_connects_leaves_no_connection(
    peer: Peer, told: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = transport.socket.create_connection
    sessions: list[Session] = []

    def cut_short(where: tuple[str, int], timeout: float) -> socket:
        connection = connect(where, timeout)
        sessions[0].abort("not wanted any more")
        return connection

    monkeypatch.setattr(transport.socket, "create_connection", cut_short)
    sessions.append(Session(peer.endpoint, told.append, lambda: True))
    assert peer.hears_the_end()
    eventually_equal(lambda: told, [Ended(sessions[0], "not wanted any more")])


def test_a_port_where_nobody_listens_ends_the_session_at_once(told: list[Any]) -> None:
    with create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with session_to(replace(ENDPOINT, port=port), told.append) as session:
        eventually_equal(lambda: told, [Ended(session, "Connection refused")])


def test_a_password_never_shows_when_an_endpoint_is_printed() -> None:
    assert "secret" not in repr(ENDPOINT)
