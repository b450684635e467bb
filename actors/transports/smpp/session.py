"""One SMPP session on one TCP (or TLS) connection: greenlets that block so that no actor need.

    reader: connect, bind, then recv ─▶ frames ─▶ tell the actor
    writer: the only one that writes; joins what waits into one send
    watcher: enquire_link, PDU completion and silence

A session lives once: after `Ended` a new one is made. Sources: SMPP 3.4, 2.2 for the session, 7.2
for its timers.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import gevent
from gevent.event import Event

from signalbox.actors.transports.smpp import codec
from signalbox.actors.transports.smpp.framing import Frame, Framer, FramingError, ProtocolError
from signalbox.domain.command_status import CommandStatus, bind_policy, describe
from signalbox.eventstore import metrics
from signalbox.eventstore.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

log = logging.getLogger(__name__)

RECV_OCTETS: Final = 65_536
SEND_OCTETS_MAX: Final = 65_536
SEQUENCE_MAX: Final = 0x7FFFFFFF
PDU_COMPLETION_S: Final = 10.0
FULL_INBOX_RETRY_S: Final = 0.01
WATCH_S: Final = 0.25
BIND_REFUSED: Final = "bind refused"
UNBOUND: Final = "unbound"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where to connect, as whom, and how long to be patient (seconds)."""

    link_id: int
    host: str
    port: int
    system_id: str
    password: str = field(repr=False)
    system_type: str
    bind: codec.BindKind
    connect_timeout_s: float
    bind_timeout_s: float
    response_timeout_s: float
    enquire_link_s: float
    enquire_link_misses_max: int
    inactivity_s: float
    tls: bool = False
    tls_verify: bool = True
    tls_ca_file: str = ""


@dataclass(frozen=True, slots=True)
class Bound:
    """The SMSC accepted the bind."""

    session: Session
    smsc_id: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A deliver_sm or data_sm that wants its answer (`Session.answer`)."""

    session: Session
    pdu: codec.DeliverSm
    is_data: bool


@dataclass(frozen=True, slots=True)
class Received:
    """What one read brought: answers to our submits, and deliveries, each in their order."""

    session: Session
    responses: list[codec.SubmitSmResp]
    deliveries: list[Delivery]


@dataclass(frozen=True, slots=True)
class Ended:
    """The session is over. `bind_status` is not None when the SMSC refused the bind with it."""

    session: Session
    reason: str
    bind_status: int | None = None


class _Over(Exception):  # noqa: N818  the end of a session is no error of ours
    """Ends the reader with a reason."""


class Session:
    """See the module; `tell` hands messages to the actor, `may_act` is asked before every write."""

    def __init__(
        self,
        endpoint: Endpoint,
        tell: Callable[[object], None],
        may_act: Callable[[], bool],
    ) -> None:
        self._endpoint = endpoint
        self._tell = tell
        self._may_act = may_act
        self._label = str(endpoint.link_id)
        self._sequence = 0
        self._outgoing: deque[bytes] = deque()
        self._wake = Event()
        self._unbound = Event()
        self._unbinding = False
        self._socket: socket.socket | None = None
        self._framer = Framer()
        self._ended = False
        self._heard_s = self._partial_since_s = monotonic()
        self._enquired: dict[int, float] = {}
        self._greenlets = [gevent.spawn(self._read)]

    def next_sequence(self) -> int:
        """Return the sequence number of the next request (from 1, SMPP 3.4, 3.2)."""
        self._sequence = self._sequence % SEQUENCE_MAX + 1
        return self._sequence

    def send(self, pdus: Iterable[bytes]) -> None:
        """Queue PDUs for the writer."""
        self._outgoing.extend(pdus)
        self._wake.set()

    def answer(self, deliveries: Iterable[Delivery], status: int = 0) -> None:
        """Answer deliveries; with 0 the SMSC forgets them, so what they say must be stored."""
        self.send([_answer(d.pdu.sequence, status, is_data=d.is_data) for d in deliveries])

    def unbind(self) -> None:
        """Unbind in the background; `Ended` follows within the response timeout."""
        self._greenlets.append(gevent.spawn(self._unbind))

    def abort(self, reason: str) -> None:
        """Cut the connection now; `Ended` follows."""
        self._end(reason)

    # reader

    def _read(self) -> None:
        try:
            self._connect()
            self._bind()
            while True:
                self._take(self._recv())
        except _Over as over:
            self._end(str(over))
        except FramingError as error:
            self._nack_and_end(error)
        except (OSError, ValueError) as error:  # ValueError: a name or field that can't be encoded
            self._end(_reason_of(error))

    def _connect(self) -> None:
        where = self._endpoint
        connection = socket.create_connection(
            (where.host, where.port), timeout=where.connect_timeout_s
        )
        if self._ended:  # It was cut short in the very moment in which the connection came about.
            connection.close()
            raise _Over
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if where.tls:
            connection = _tls_context(where).wrap_socket(connection, server_hostname=where.host)
        connection.settimeout(None)
        self._socket = connection
        self._greenlets.append(gevent.spawn(self._write))

    def _bind(self) -> None:
        """Bind, and take whatever else comes before the answer for what it is."""
        where = self._endpoint
        self._bind_sequence = self.next_sequence()
        self._bound = False
        bind = codec.encode_bind(
            where.bind, self._bind_sequence, where.system_id, where.password, where.system_type
        )
        self.send([bind])
        patience = gevent.Timeout(where.bind_timeout_s, _Over("no answer to the bind"))
        with patience:
            while not self._bound:
                self._take(self._recv())
        self._greenlets.append(gevent.spawn(self._watch))

    def _recv(self) -> bytes:
        assert self._socket is not None
        data = self._socket.recv(RECV_OCTETS)
        if not data:
            raise _Over("connection closed by the SMSC")
        return data

    def _take(self, data: bytes) -> None:
        self._heard_s = monotonic()
        was_partial = self._framer.partial
        try:
            frames = self._framer.feed(data)
        except FramingError as error:
            self._handle(list(error.frames))
            raise
        if frames or not was_partial:
            self._partial_since_s = self._heard_s
        self._handle(frames)

    def _handle(self, frames: list[Frame]) -> None:
        responses: list[codec.SubmitSmResp] = []
        deliveries: list[Delivery] = []
        try:
            for frame in frames:
                if frame.command_id == codec.SUBMIT_SM_RESP:
                    responses.append(codec.parse_submit_sm_resp(frame))
                elif frame.command_id in {codec.DELIVER_SM, codec.DATA_SM}:
                    self._delivery(frame, deliveries)
                elif frame.command_id == codec.GENERIC_NACK:
                    self._nacked(frame, responses)
                else:
                    self._other(frame)
        finally:
            if responses or deliveries:
                self._tell_patiently(Received(self, responses, deliveries))

    def _delivery(self, frame: Frame, deliveries: list[Delivery]) -> None:
        is_data = frame.command_id == codec.DATA_SM
        try:
            parse = codec.parse_data_sm if is_data else codec.parse_deliver_sm
            deliveries.append(Delivery(self, parse(frame), is_data))
        except ProtocolError:
            # Unreadable now is unreadable for ever, but the SMSC must not lose it silently.
            metrics.STRAY_PDUS.labels(self._label, "unreadable").inc()
            self.send([_answer(frame.sequence, CommandStatus.ESME_RX_T_APPN, is_data=is_data)])

    def _nacked(self, frame: Frame, responses: list[codec.SubmitSmResp]) -> None:
        status = frame.status or CommandStatus.ESME_RINVCMDID
        responses.append(codec.SubmitSmResp(frame.sequence, status, ""))

    def _other(self, frame: Frame) -> None:
        match frame.command_id:
            case codec.ENQUIRE_LINK:
                self.send([codec.encode_enquire_link_resp(frame.sequence)])
            case codec.ENQUIRE_LINK_RESP:
                self._enquired.clear()
            case codec.UNBIND:
                self.send([codec.encode_unbind_resp(frame.sequence)])
                gevent.sleep(0)  # lets the writer answer before the connection goes
                raise _Over("unbound by the SMSC")
            case codec.UNBIND_RESP:
                self._unbound.set()
            case (
                codec.BIND_TRANSCEIVER_RESP | codec.BIND_TRANSMITTER_RESP | codec.BIND_RECEIVER_RESP
            ) if frame.sequence == self._bind_sequence and not self._bound:
                self._answered(codec.parse_bind_resp(frame))
            case codec.ALERT_NOTIFICATION:
                metrics.STRAY_PDUS.labels(self._label, "alert_notification").inc()
            case _ if frame.command_id < codec.GENERIC_NACK:
                metrics.STRAY_PDUS.labels(self._label, "unknown").inc()
                nack = codec.encode_generic_nack(frame.sequence, CommandStatus.ESME_RINVCMDID)
                self.send([nack])
            case _:
                metrics.STRAY_PDUS.labels(self._label, "response").inc()

    def _answered(self, answer: codec.BindResp) -> None:
        if bind_policy(answer.status).kind == "bound":
            self._bound = True
            self._tell_patiently(Bound(self, answer.system_id))
        else:
            self._end(describe(answer.status), answer.status)
            raise _Over(BIND_REFUSED)

    def _tell_patiently(self, message: object) -> None:
        """Tell the actor; while its inbox is full nothing more is read, which slows the SMSC."""
        while True:
            try:
                self._tell(message)
            except Unavailable:
                gevent.sleep(FULL_INBOX_RETRY_S)
            else:
                return

    # writer

    def _write(self) -> None:
        assert self._socket is not None
        try:
            while True:
                self._wake.wait()
                self._wake.clear()
                while self._outgoing:
                    if not self._may_act():
                        self._end("lease lost")
                        return
                    self._socket.sendall(self._next_chunk())
        except OSError as error:
            self._end(_reason_of(error))

    def _next_chunk(self) -> bytes:
        chunk = [self._outgoing.popleft()]
        octets = len(chunk[0])
        while self._outgoing and octets < SEND_OCTETS_MAX:
            chunk.append(self._outgoing.popleft())
            octets += len(chunk[-1])
        return b"".join(chunk)

    # watcher

    def _watch(self) -> None:
        where = self._endpoint
        enquired_s = monotonic()
        while True:
            gevent.sleep(min(WATCH_S, where.enquire_link_s))
            now_s = monotonic()
            if now_s - enquired_s >= where.enquire_link_s:
                enquired_s = now_s
                self._enquire(now_s)
            overdue = [s for s in self._enquired.values() if now_s - s > where.response_timeout_s]
            if len(overdue) >= where.enquire_link_misses_max:
                self._end("no answer to enquire_link")
            elif self._framer.partial and now_s - self._partial_since_s > PDU_COMPLETION_S:
                self._end("a PDU was not completed")
            elif now_s - self._heard_s > where.inactivity_s:
                self._end("nothing heard from the SMSC")

    def _enquire(self, now_s: float) -> None:
        sequence = self.next_sequence()
        self._enquired[sequence] = now_s
        self.send([codec.encode_enquire_link(sequence)])

    # the end

    def _unbind(self) -> None:
        self._unbinding = True
        self.send([codec.encode_unbind(self.next_sequence())])
        self._unbound.wait(self._endpoint.response_timeout_s)
        self._end(UNBOUND)

    def _nack_and_end(self, error: FramingError) -> None:
        log.error("framing lost", extra={"link": self._label, "length": error.length})
        metrics.STRAY_PDUS.labels(self._label, "framing").inc()
        self.send([codec.encode_generic_nack(0, CommandStatus.ESME_RINVCMDLEN)])
        gevent.sleep(0)
        self._end(f"command_length {error.length} can't be")

    def _end(self, reason: str, bind_status: int | None = None) -> None:
        if self._ended:
            return
        self._ended = True
        if self._unbinding:
            reason = UNBOUND  # Some answer, some just close.
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
        gevent.spawn(self._tell_patiently, Ended(self, reason, bind_status))
        own = gevent.getcurrent()
        gevent.killall([g for g in self._greenlets if g is not own], block=False)


def _answer(sequence: int, status: int, *, is_data: bool) -> bytes:
    encode = codec.encode_data_sm_resp if is_data else codec.encode_deliver_sm_resp
    return encode(sequence, status)


def _tls_context(where: Endpoint) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=where.tls_ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not where.tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _reason_of(error: Exception) -> str:
    """Say what happened, without addresses of ours or anything secret."""
    if isinstance(error, TimeoutError):
        return "connection timed out"
    text: Any = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text)
