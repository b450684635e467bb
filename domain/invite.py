"""Invites: codes that let somebody open an account.

    MakeInvite ──▶ InviteMade ──▶ InviteRedeemed … ──▶ InviteRevoked

The stream is named after a digest of the code; the code itself is nowhere. Each use is an event, so
that two who redeem the last one at once meet in one version of the stream.
"""

from dataclasses import dataclass, replace
from typing import Final, assert_never

from signalbox.domain.errors import InvalidField, InvalidInvite

USES_MAX: Final = 10_000
DAYS_MAX: Final = 3_650
DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeInvite:
    """Somebody may open `uses_max` accounts within so many days."""

    uses_max: int
    days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RedeemInvite:
    """An account is opened with it."""

    account_id: str


@dataclass(frozen=True, slots=True)
class RevokeInvite:
    """It is worth nothing from now on."""


Command = MakeInvite | RedeemInvite | RevokeInvite


@dataclass(frozen=True, slots=True, kw_only=True)
class InviteMade:
    """An invite was given out; `expires_at_s` is the Unix time from which it is worth nothing."""

    uses_max: int
    expires_at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class InviteRedeemed:
    """An account was opened with it."""

    account_id: str


@dataclass(frozen=True, slots=True)
class InviteRevoked:
    """Whoever gave it out took it back."""


Event = InviteMade | InviteRedeemed | InviteRevoked


@dataclass(frozen=True, slots=True, kw_only=True)
class Invite:
    """An invite as decisions see it."""

    uses_left: int
    expires_at_s: float
    is_revoked: bool = False

    def is_valid(self, at_s: float) -> bool:
        """Tell whether it can be redeemed at this time (Unix seconds)."""
        return self.uses_left > 0 and not self.is_revoked and at_s < self.expires_at_s


def stream_of(code_digest: str) -> str:
    """Name an invite's stream by the digest of its code."""
    return f"invite-{code_digest}"


def digest_in(stream_id: str) -> str:
    """Return the digest of the code that a stream is named after."""
    return stream_id.removeprefix("invite-")


def decide(invite: Invite | None, command: Command, at_s: float) -> tuple[Event, ...]:
    """Decide on an invite at this time (Unix seconds); nothing to tell means it is so already.

    Raises:
        InvalidField: uses or days out of bounds.
        InvalidInvite: there is none, or it can't be redeemed (any more).
    """
    if isinstance(command, MakeInvite):
        assert invite is None, "a random code came twice"
        return (_made(command, at_s),)
    if invite is None:
        raise InvalidInvite
    match command:
        case RedeemInvite(account_id=account_id):
            if not invite.is_valid(at_s):
                raise InvalidInvite
            return (InviteRedeemed(account_id=account_id),)
        case RevokeInvite():
            return () if invite.is_revoked else (InviteRevoked(),)
        case _:
            assert_never(command)


def evolve(invite: Invite | None, event: Event) -> Invite:
    """Apply one event."""
    if isinstance(event, InviteMade):
        return Invite(uses_left=event.uses_max, expires_at_s=event.expires_at_s)
    assert invite is not None, event
    match event:
        case InviteRedeemed():
            return replace(invite, uses_left=invite.uses_left - 1)
        case InviteRevoked():
            return replace(invite, is_revoked=True)
        case _:
            assert_never(event)


def normal_code(code: str) -> str:
    """Return the form in which a code is looked up: people copy it with spaces and small letters.

    >>> normal_code(" ab2cd-ef3gh ")
    'AB2CD-EF3GH'
    """
    return code.strip().upper()


def _made(command: MakeInvite, at_s: float) -> InviteMade:
    if not 1 <= command.uses_max <= USES_MAX:
        raise InvalidField("uses", f"expected 1 to {USES_MAX}")
    if not 1 <= command.days <= DAYS_MAX:
        raise InvalidField("days", f"expected 1 to {DAYS_MAX}")
    return InviteMade(uses_max=command.uses_max, expires_at_s=at_s + command.days * DAY_S)
