"""Lines up mails that waited for their batch, once nothing holds it any more."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import gevent

from signalbox.actors.mail_changes import BY
from signalbox.actors.mail_feeder import RETRY_S, TROUBLE
from signalbox.actors.mail_streams import HELD, row_of
from signalbox.eventstore.errors import Conflict, FenceLost
from signalbox.eventstore.journal import Append

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from signalbox.actors.mail_feeder import MailFeeder, Tracked
    from signalbox.actors.mail_messages import Parts
    from signalbox.actors.tenures import Tenure

log = logging.getLogger(__name__)

BATCH: Final = 200
BATCH_OCTETS_MAX: Final = 4 * 2**20


def release_held(
    parts: Parts, tenure: Tenure, feeder: MailFeeder, tenant_id: str, kinds: Iterable[str]
) -> None:
    """Look through all that is held, and put back what isn't to be any more; it blocks."""
    held = [kind for kind in kinds if kind.startswith(HELD)]
    after = 0
    while held and tenure.holds():
        try:
            found, last = feeder.held(held, after, BATCH, BATCH_OCTETS_MAX)
            if not last:
                return
            _line_up(parts, tenure, tenant_id, found)
        except FenceLost:
            return
        except Conflict:
            continue  # One of them came again meanwhile, and has another row.
        except TROUBLE as error:
            log.warning("held mails can't be read", extra={"error": str(error)})
            gevent.sleep(RETRY_S)
        else:
            after = last


def _line_up(parts: Parts, tenure: Tenure, tenant_id: str, found: Sequence[Tracked]) -> None:
    tenant, now_s = parts.tenants.known(tenant_id), parts.journal.now().timestamp()
    free = [one for one in found if not tenant.is_suspended(one.mail.batch_code)]
    if not free:
        return
    rows = [row_of(one.stream_id, one.mail, now_s) for one in free if one.mail.is_open]
    taken = [one.seq for one in free]
    parts.journal.write(Append(writes=(), by=BY, fence=tenure.fence, taken=taken, inbox=rows))
