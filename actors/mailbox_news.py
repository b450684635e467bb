"""Takes what is new in a mailbox, and remembers how far that was.

What was taken and not noted, because the process ended in between, is taken again: whoever takes it
must not mind.
"""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING, Final

from signalbox.actors.callback_inbox import TROUBLE
from signalbox.actors.transports.imap import ANYWHERE, open_mailbox
from signalbox.eventstore.errors import FenceLost

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from signalbox.actors.transports.imap import Access, Place

log = logging.getLogger(__name__)

NOTED_EVERY: Final = 50  # messages
POLL_S: Final = 120.0  # what is not read by then is read at the next poll


def take_news(
    place: Place,
    *,
    last_uid: Callable[[int], int],
    take: Callable[[bytes], None],
    note: Callable[[int, int], None],
    access: Access = ANYWHERE,
    since: date | None = None,
) -> int:
    """Hand every new message to `take`; return how many.

    `last_uid` tells how far a mailbox of some UIDVALIDITY was read, `note` stores it.

    Raises: `MailboxAway`, `FenceLost`, and what the store raises. A message that `take` can't bear
    otherwise is logged and left behind.
    """
    taken = uid = 0
    deadline_s = monotonic() + POLL_S
    with open_mailbox(place, access) as mailbox:
        for uid in mailbox.uids(last_uid(mailbox.uidvalidity), since):
            _take(take, mailbox.fetch(uid), uid)
            taken += 1
            if taken % NOTED_EVERY == 0:
                note(mailbox.uidvalidity, uid)
            if monotonic() > deadline_s:
                break
        if taken % NOTED_EVERY:
            note(mailbox.uidvalidity, uid)
    return taken


def _take(take: Callable[[bytes], None], raw: bytes, uid: int) -> None:
    try:
        take(raw)
    except (*TROUBLE, FenceLost):
        raise
    except Exception:  # One odd message must not keep all others from being read.
        log.exception("message left behind", extra={"uid": uid})
