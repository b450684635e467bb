"""`signalbox invite`: codes that let somebody open an account, for operators to give away."""

from __future__ import annotations

import sys
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from signalbox.actors.invites import Invites
from signalbox.actors.phone_directory import PhoneDirectory
from signalbox.domain.errors import InvalidField, InvalidInvite
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.mapper import utc_now
from signalbox.ops import tables
from signalbox.ops.settings import SettingsError
from signalbox.ops.store import open_journal, open_log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from signalbox.eventstore.log import EventLog
    from signalbox.ops.settings import Settings

UNKNOWN = 1  # exit code


def make(settings: Settings, *, uses: int, days: int, by: str) -> int:
    """Print the code of a new invite, alone on stdout; what it is good for goes to stderr.

    Raises:
        SettingsError: uses or days out of bounds, or the store is away.
    """
    with _opened(settings) as (_, invites):
        try:
            code = invites.make(uses_max=uses, days=days, by=by)
        except InvalidField as refused:
            raise SettingsError(f"--{refused.field}: {refused.reason}") from None
    sys.stdout.write(f"{code}\n")
    times = "once" if uses == 1 else f"{uses} times"
    sys.stderr.write(f"signalbox: opens an account {times} within {days} days\n")
    return 0


def revoke(settings: Settings, code: str, *, by: str) -> int:
    """Make an invite worthless; return the exit code, 1 when there is no such invite.

    `code` may be what `show` prints of its digest.

    Raises:
        SettingsError: the store is away.
    """
    with _opened(settings) as (event_log, invites):
        try:
            invites.revoke(invites.find(event_log, code), by=by)
        except InvalidInvite:
            sys.stderr.write("signalbox: no such invite\n")
            return UNKNOWN
    sys.stderr.write("signalbox: invite revoked\n")
    return 0


def show(settings: Settings) -> int:
    """Print all invites, by the begin of their digests: nobody has their codes.

    Raises:
        SettingsError: the store is away.
    """
    shown = tables.table("digest", "uses left", "expires", "valid")
    with _opened(settings) as (event_log, invites):
        for one in invites.listed(event_log):
            expires = tables.clock(datetime.fromtimestamp(one.invite.expires_at_s, UTC))
            valid = "yes" if one.is_valid else "revoked" if one.invite.is_revoked else "no"
            shown.add_row(one.digest, f"{one.invite.uses_left:,}", expires, valid)
    tables.show(tables.standard_output(), "Invites", shown)
    return 0


@contextmanager
def _opened(settings: Settings) -> Iterator[tuple[EventLog, Invites]]:
    with closing(open_log(settings)) as log, closing(open_journal(settings, log)) as journal:
        try:
            yield log, Invites(PhoneDirectory(log, journal), utc_now)
        except Unavailable as error:
            raise SettingsError(f"database: {error}") from None
