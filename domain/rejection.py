"""A message that a content filter of the operator turned away before it was accepted.

`RejectMessage` ──▶ `MessageRejected`, the only event of its stream `rejection-<id>`. The text is
not kept: who sent to whom and which filter it was is what an operator asks for.
"""

from dataclasses import dataclass

from signalbox.domain.personal import Personal


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectMessage:
    """The filter of this name refuses what an application asks for."""

    filter: str
    app_id: int
    link_id: int
    source: str
    destination: str
    transaction_id: str = ""
    campaign: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRejected:
    """A filter turned an application's text away; there is no message."""

    filter: str
    app_id: int
    link_id: int
    source: Personal
    destination: Personal
    transaction_id: str = ""
    campaign: str = ""


def stream_of(rejection_id: str) -> str:
    """Name a rejection's stream."""
    return f"rejection-{rejection_id}"


def decide(command: RejectMessage) -> tuple[MessageRejected]:
    """Return the event of the command; a filter's verdict is final."""
    rejected = MessageRejected(
        filter=command.filter,
        app_id=command.app_id,
        link_id=command.link_id,
        source=command.source,
        destination=command.destination,
        transaction_id=command.transaction_id,
        campaign=command.campaign,
    )
    return (rejected,)
