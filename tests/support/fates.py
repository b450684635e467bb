"""What became of messages: the log held against what was answered, and what an SMSC saw.

A part may leave again only after an event that says why: the SMSC refused it for now, or nobody
knows whether the attempt before arrived. So an SMSC never sees more submits of a part than the log
has attempts, and the log never has two attempts without such an event in between.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from signalbox.domain import message as messages

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from support.smsc import SeenSubmit

    from signalbox.eventstore.log import EventLog

UDH_PRESENT: Final = 0x40  # SMPP 3.4, 5.2.12
UDH_OCTETS: Final = (
    6  # length, element, its length, reference, parts, number: 3GPP TS 23.040, 9.2.3.24.1
)

Parts = Counter[tuple[str, int]]


def history(log: EventLog, message_id: str) -> list[messages.Event]:
    """Return the events of a message, oldest first."""
    events: list[messages.Event] = []
    for recorded in log.read(messages.stream_of(message_id)):
        assert isinstance(recorded.event, messages.Event), recorded
        events.append(recorded.event)
    assert events, message_id
    return events


def names(log: EventLog, message_id: str) -> list[str]:
    """Return what happened to a message."""
    return [type(event).__name__ for event in history(log, message_id)]


def fold(events: Iterable[messages.Event]) -> messages.Message:
    """Return the message after these events."""
    message: messages.Message | None = None
    for event in events:
        message = messages.evolve(message, event, 0.0)
    assert message is not None, events
    return message


def status_of(message: messages.Message) -> str:
    """Return the one word for all parts."""
    return messages.message_status(tuple(part.status for part in message.parts))


def status(log: EventLog, message_id: str) -> str:
    """Return the one word the log has for a message."""
    return status_of(fold(history(log, message_id)))


def seen_parts(submits: Iterable[SeenSubmit]) -> Parts:
    """Count the submits that arrived, by destination and number of the part."""
    return Counter((submit["destination"], _number(submit)) for submit in submits)


def judge_attempts(
    destination: str, events: Iterable[messages.Event], seen: Mapping[tuple[str, int], int]
) -> None:
    """Assert that no part left more often than the log excuses, nor was accepted unseen."""
    attempts: Counter[int] = Counter()
    may_leave: dict[int, bool] = {}
    for event in events:
        match event:
            case messages.SubmitAttempted(part):
                assert may_leave.get(part, True), (destination, event)
                may_leave[part] = False
                attempts[part] += 1
            case messages.SubmitRefused(part, retry_in_s=retry_in_s):
                may_leave[part] = retry_in_s is not None
            case messages.SubmitOutcomeUnknown(part, resolution=resolution):
                may_leave[part] = resolution == "resend"
            case messages.MessageSubmitted(part):
                assert seen.get((destination, part)), (destination, event)
    for part, number in attempts.items():
        assert seen.get((destination, part), 0) <= number, (destination, part, number)


def _number(submit: SeenSubmit) -> int:
    if not submit["esm_class"] & UDH_PRESENT:
        return 1
    return bytes.fromhex(submit["short_message"])[UDH_OCTETS - 1]
