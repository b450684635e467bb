"""The demo SMSC: a real SMPP 3.4 server on loopback, on the engine of the package `smpp34`.

    python -m signalbox.ops.demo_smsc PORT

Every bind is accepted. A submit_sm is answered with a message_id and, when registered_delivery
asks for it, followed by a DELIVRD receipt as text and as TLVs; a destination ending in 9NNN is
answered with command_status NNN (decimal) instead. Responses may leave out of order, and an unbind
closes the connection without unbind_resp: the engine's ways, and not rare in the field.

asyncio throughout: the process must not be patched by gevent.
"""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Final, NoReturn

import smpp34

SYSTEM_ID: Final = "DEMOSMSC"
RECEIPT_DELAY_S: Final = 0.5
RECEIPTS_PENDING_MAX: Final = 10_000

_ESME_ROK: Final = 0x00  # command_status: SMPP 3.4, 5.1.3
_ESME_RMSGQFUL: Final = 0x14
_RECEIPT_REQUESTED: Final = 0b11  # registered_delivery bits 1-0: SMPP 3.4, 5.2.17
_ESM_CLASS_RECEIPT: Final = 0x04  # SMPP 3.4, 5.2.12
_MESSAGE_STATE_DELIVERED: Final = 2  # SMPP 3.4, 5.2.28
_TAG_RECEIPTED_MESSAGE_ID: Final = 0x001E  # SMPP 3.4, 5.3.2
_TAG_MESSAGE_STATE: Final = 0x0427
_STATUS_TAIL_LENGTH: Final = 4  # 9NNN

_log = logging.getLogger(__name__)


@dataclass
class _Session:
    """A bound peer and the receipts it has yet to be sent."""

    peer: smpp34.Esme
    receipts: set[asyncio.Task[None]] = field(default_factory=set)


class DemoSmsc:
    """Answers what arrives at a started `smpp34.Server`, until it is cancelled."""

    def __init__(self, server: smpp34.Server, *, receipt_delay_s: float = RECEIPT_DELAY_S) -> None:
        self._server = server
        self._receipt_delay_s = receipt_delay_s
        self._sessions: dict[str, _Session] = {}
        # From the clock in microseconds, so that a restart does not repeat ids.
        self._message_ids = count(time.time_ns() // 1_000)

    async def serve(self) -> None:
        """Answer for ever."""
        while True:
            match await self._server.next():
                case smpp34.Esme() as peer:
                    self._sessions[peer.session_id] = _Session(peer)
                case smpp34.SubmitSmEvent() as submit:
                    self._answer(submit)
                case smpp34.Unbound(session_id=session_id):
                    self._forget(session_id)

    def _answer(self, submit: smpp34.SubmitSmEvent) -> None:
        status = self._status_of(submit)
        if status != _ESME_ROK:
            submit.reject(status)
            return
        message_id = f"{next(self._message_ids):x}"
        submit.accept(message_id)
        if submit.registered_delivery & _RECEIPT_REQUESTED:
            self._schedule_receipt(submit, message_id)

    def _status_of(self, submit: smpp34.SubmitSmEvent) -> int:
        pending = sum(len(session.receipts) for session in self._sessions.values())
        if pending >= RECEIPTS_PENDING_MAX:
            return _ESME_RMSGQFUL
        return status_of(submit.destination_addr)

    def _schedule_receipt(self, submit: smpp34.SubmitSmEvent, message_id: str) -> None:
        session = self._sessions.get(submit.session_id)
        # The engine panics when asked to deliver to a transmitter.
        if session is None or not session.peer.can_receive:
            return
        task = asyncio.create_task(self._send_receipt(session.peer, submit, message_id))
        session.receipts.add(task)
        task.add_done_callback(session.receipts.discard)

    async def _send_receipt(
        self, peer: smpp34.Esme, submit: smpp34.SubmitSmEvent, message_id: str
    ) -> None:
        submitted_at = datetime.now(UTC)
        await asyncio.sleep(self._receipt_delay_s)
        text = receipt_text(message_id, submitted_at, datetime.now(UTC))
        try:
            await peer.deliver_sm(
                submit.source_addr,
                text.encode("ascii"),
                source_addr=submit.destination_addr,
                source_addr_ton=submit.dest_addr_ton,
                source_addr_npi=submit.dest_addr_npi,
                dest_addr_ton=submit.source_addr_ton,
                dest_addr_npi=submit.source_addr_npi,
                esm_class=_ESM_CLASS_RECEIPT,
                tlvs=_receipt_tlvs(message_id),
            )
        except smpp34.SmppError as error:
            # The session closed, or did not answer in time; its Unbound event follows.
            _log.info("receipt not delivered: %s", error, extra={"message_id": message_id})

    def _forget(self, session_id: str) -> None:
        session = self._sessions.pop(session_id, None)
        if session is not None:
            for task in session.receipts:
                task.cancel()


def status_of(destination: str) -> int:
    """Return the command_status that a destination asks for: NNN of a final 9NNN, otherwise 0.

    >>> status_of("4917000009088"), status_of("4917000000001")
    (88, 0)
    """
    tail = destination[-_STATUS_TAIL_LENGTH:]
    asks = len(tail) == _STATUS_TAIL_LENGTH and tail.isdecimal() and tail.startswith("9")
    return int(tail[1:]) if asks else _ESME_ROK


def receipt_text(message_id: str, submitted_at: datetime, done_at: datetime) -> str:
    """Return the short_message of a DELIVRD receipt: SMPP 3.4, appendix B."""
    return (
        f"id:{message_id} sub:001 dlvrd:001 submit date:{submitted_at:%y%m%d%H%M}"
        f" done date:{done_at:%y%m%d%H%M} stat:DELIVRD err:000 text:"
    )


def _receipt_tlvs(message_id: str) -> list[smpp34.Tlv]:
    return [
        smpp34.Tlv(_TAG_RECEIPTED_MESSAGE_ID, message_id.encode("ascii") + b"\0"),
        smpp34.Tlv(_TAG_MESSAGE_STATE, bytes([_MESSAGE_STATE_DELIVERED])),
    ]


def main(port: int, *, host: str = "127.0.0.1", receipt_delay_s: float = RECEIPT_DELAY_S) -> int:
    """Serve until SIGTERM or SIGINT, then return 0; 2 if the port cannot be had.

    Prints one line when it listens. Port 0 is a free one; `host` is an IP address.
    """
    try:
        asyncio.run(_serve(host, port or _free_port(host), receipt_delay_s))
    except (smpp34.SmppError, OSError, ValueError, OverflowError) as error:
        sys.stderr.write(f"signalbox: demo SMSC: {error}\n")
        return 2
    return 0


async def _serve(host: str, port: int, receipt_delay_s: float) -> None:
    server = smpp34.Server(host, port, system_id=SYSTEM_ID)
    await server.start()
    serving = asyncio.ensure_future(DemoSmsc(server, receipt_delay_s=receipt_delay_s).serve())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, serving.cancel)
    sys.stdout.write(f"demo SMSC listening on {host}:{port}\n")
    sys.stdout.flush()
    await asyncio.wait([serving])
    await server.stop()
    if not serving.cancelled():
        serving.result()


def serve_and_exit(port: int, *, receipt_delay_s: float = RECEIPT_DELAY_S) -> NoReturn:
    """Be a process of one's own: `main`, then the end.

    The engine's threads can crash an interpreter that is being taken apart, so it isn't.
    """
    code = main(port, receipt_delay_s=receipt_delay_s)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _free_port(host: str) -> int:
    # The engine does not tell which port it was given.
    with socket.create_server((host, 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Run the demo SMSC.")
    parser.add_argument("port", type=int, help="0 for a free one")
    parser.add_argument("--receipt-delay-s", type=float, default=RECEIPT_DELAY_S)
    arguments = parser.parse_args()
    serve_and_exit(arguments.port, receipt_delay_s=arguments.receipt_delay_s)
