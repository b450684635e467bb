"""What whoever sends mails is handed, and what it says in the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from signalbox.domain.mail_account import MailAccount
    from signalbox.domain.mail_content import MailContent

Result = Literal["sent", "temporary", "permanent", "in_doubt"]
"""Accepted; worth trying again; not worth it; nobody knows whether it was accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpJob:
    """A mail to send through an account. `key` is the caller's own; secrets are in clear here.

    `client_id` is the mail's id to its client, `pk` its id to us; `source_ip` is the address it
    leaves from, empty: what the account says. With `remaining` it is for the recipients at those
    places of the envelope alone.
    """

    key: object
    tenant_id: str
    account: MailAccount
    password: str = field(repr=False)
    mail: MailContent = field(repr=False)
    client_id: str
    pk: str
    source_ip: str = ""
    remaining: Collection[int] = ()
    dkim_private_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpOutcome:
    """What became of a job.

    `code` is the SMTP server's, 0 without one; `reason` its words, or ours. `refused` are the
    recipients it did not take, with code and words; with "sent" there was at least one other, and
    `remaining` are the places in the envelope of those that it may take later.
    `reached_mail_from` tells that the server saw a transaction begin.
    """

    key: object
    result: Result
    code: int = 0
    reason: str = ""
    refused: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    remaining: tuple[int, ...] = ()
    reached_mail_from: bool = False


class MailTransport(Protocol):
    """Sends mails."""

    def send(self, job: SmtpJob, tell: Callable[[SmtpOutcome], None]) -> None:
        """Begin to send; never blocks. The outcome is told once, from a greenlet."""
