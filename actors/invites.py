"""Invites: made by operators, redeemed by whoever opens an account.

The log holds a keyed digest of each code, so that nobody can read one there; a code is shown once.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, get_args

from signalbox.domain import invite as domain
from signalbox.domain.errors import InvalidInvite
from signalbox.domain.names import names_of
from signalbox.eventstore.journal import Write

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from signalbox.actors.phone_directory import PhoneDirectory
    from signalbox.eventstore.log import EventLog

INVITE_EVENTS: Final = names_of(*get_args(domain.Event))
ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # no 0, O, 1, I: people read codes aloud
GROUPS: Final = 4
GROUP_CHARACTERS: Final = 5  # with 5 bits in each: 100 bits nobody guesses
SHOWN_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class Listed:
    """An invite as operators see it; `digest` is the begin of what its stream is named after."""

    digest: str
    invite: domain.Invite
    is_valid: bool


class Invites:
    """Everything about invites. Its methods raise `Unavailable`."""

    def __init__(self, directory: PhoneDirectory, now: Callable[[], datetime]) -> None:
        self._directory = directory
        self._now = now

    def make(self, *, uses_max: int, days: int, by: str) -> str:
        """Return the code of a new invite. Raises: `InvalidField`."""
        code = "-".join(_group() for _ in range(GROUPS))
        command = domain.MakeInvite(uses_max=uses_max, days=days)
        stream = self._stream_of(code)
        self._directory.change(lambda: (self._on(stream, command),), by=by, request_id="")
        return code

    def redeem(self, code: str, account_id: str) -> Write:
        """Return the write that uses an invite once. Raises: `InvalidInvite`."""
        return self._on(self._stream_of(code), domain.RedeemInvite(account_id=account_id))

    def revoke(self, stream: str, *, by: str) -> None:
        """Make an invite worthless. Raises: `InvalidInvite` when there is none."""
        command = domain.RevokeInvite()
        self._directory.change(lambda: (self._on(stream, command),), by=by, request_id="")

    def find(self, event_log: EventLog, code: str) -> str:
        """Return the stream of a code, or of what is listed of its digest.

        Raises: `InvalidInvite` when there is no such invite, or more than one.
        """
        if self._directory.read(stream := self._stream_of(code)):
            return stream
        found = [one for one in invites(event_log) if domain.digest_in(one).startswith(code)]
        if len(found) != 1 or len(code) < SHOWN_DIGITS:
            raise InvalidInvite
        return found[0]

    def listed(self, event_log: EventLog) -> list[Listed]:
        """Return all invites, the oldest first."""
        at_s = self._now().timestamp()
        return [
            Listed(domain.digest_in(stream)[:SHOWN_DIGITS], invite, invite.is_valid(at_s))
            for stream, invite in invites(event_log).items()
        ]

    def _on(self, stream: str, command: domain.Command) -> Write:
        invite, version, tenant_id = None, 0, getattr(command, "account_id", "")
        for recorded in self._directory.read(stream):
            assert isinstance(recorded.event, domain.Event), recorded
            invite, version = domain.evolve(invite, recorded.event), recorded.version
        events = domain.decide(invite, command, self._now().timestamp())
        return Write(stream, version + 1, events, tenant_id)

    def _stream_of(self, code: str) -> str:
        sane = domain.normal_code(code).encode(errors="backslashreplace").decode()
        return domain.stream_of(self._directory.secrets.digest("invite", sane))


def invites(event_log: EventLog) -> dict[str, domain.Invite]:
    """Return all invites by their streams, the oldest first. Reads the log."""
    found: dict[str, domain.Invite] = {}
    for batch in event_log.everything(topics=list(INVITE_EVENTS)):
        for recorded in batch:
            assert isinstance(recorded.event, domain.Event), recorded
            found[recorded.stream_id] = domain.evolve(found.get(recorded.stream_id), recorded.event)
    return found


def _group() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(GROUP_CHARACTERS))
