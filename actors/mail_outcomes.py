"""From what the transport says of a mail to what is decided on it, and stored whatever happens."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import gevent
import msgspec

from signalbox.actors.mail_changes import BY
from signalbox.actors.mail_feeder import RETRY_S, TROUBLE
from signalbox.actors.mail_streams import UNKNOWN, read_mails, row_of
from signalbox.actors.transports.smtp import faults
from signalbox.domain import mail as domain
from signalbox.domain.errors import TenantErased
from signalbox.eventstore.errors import Conflict, FenceLost
from signalbox.eventstore.journal import Append, Write

if TYPE_CHECKING:
    from signalbox.actors.mail_changes import Flight
    from signalbox.actors.mail_messages import Parts
    from signalbox.actors.transports.smtp.job import SmtpOutcome
    from signalbox.domain.tenant_config import InDoubt
    from signalbox.eventstore.recorder import Fence

log = logging.getLogger(__name__)

_encode: Final = msgspec.json.Encoder().encode


def command_of(
    outcome: SmtpOutcome, delays_s: tuple[float, ...], in_doubt: InDoubt
) -> domain.Command:
    """Return what to decide by."""
    code, reason = outcome.code, outcome.reason
    match outcome.result:
        case "sent":
            return _delivery(outcome, delays_s)
        case "temporary":
            released = not outcome.reached_mail_from
            return domain.RecordTrouble(
                code=code, reason=reason, delays_s=delays_s, released=released
            )
        case "permanent":
            return domain.FailMail(code, reason)
        case _:
            delay_s = delays_s[0] if delays_s else 0.0
            return domain.RecordDoubt(in_doubt=in_doubt, reason=reason, delay_s=delay_s)


def _delivery(outcome: SmtpOutcome, delays_s: tuple[float, ...]) -> domain.RecordDelivery:
    refused, remaining = outcome.refused, outcome.remaining
    later = [
        (code, faults.reason_of(code, words))
        for code, words in refused.values()
        if faults.is_temporary(code)
    ]
    return domain.RecordDelivery(
        code=outcome.code,
        response=outcome.reason,
        refused=len(refused) - len(remaining),
        refusals=_encode(refused).decode() if refused else "",
        remaining=remaining,
        remaining_reply=later[0] if remaining else (0, ""),
        delays_s=delays_s,
    )


def record(parts: Parts, fence: Fence, flight: Flight) -> None:
    """Decide on a flight's command by what the log has, and store it; it blocks until it is.

    It tells of what has happened, so nothing but a lost lease ends it.
    """
    while True:
        try:
            append = _again(parts, fence, flight)
            if append is not None:
                parts.journal.write(append)
        except Conflict:
            gevent.sleep(0)
        except (FenceLost, TenantErased):
            return
        except TROUBLE as error:
            log.warning("mail can't be recorded yet", extra={"error": str(error)})
            gevent.sleep(RETRY_S)
        else:
            return


def _again(parts: Parts, fence: Fence, flight: Flight) -> Append | None:
    tracked, command = flight.tracked, flight.command
    assert command is not None, flight
    known = read_mails(parts.log, [tracked.stream_id]).get(tracked.stream_id, UNKNOWN)
    now_s = parts.journal.now().timestamp()
    events = domain.decide(known.mail, command, now_s)
    if not events or known.mail is None:
        return None
    mail = known.mail
    for event in events:
        mail = domain.evolve(mail, event, now_s)
    tracked.mail, tracked.version = mail, known.version + len(events)
    return Append(
        writes=(Write(tracked.stream_id, known.version + 1, events, known.data_key),),
        by=BY,
        fence=fence,
        done=(tracked.stream_id,),
        inbox=(row_of(tracked.stream_id, mail, now_s),) if mail.is_open else (),
    )
