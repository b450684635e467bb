"""What becomes of mails that wait when what they wait for changes: it blocks, beside the actor.

held for a batch that nothing holds any more ──▶ lined up
waiting for an account that was removed      ──▶ MailFailed
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import gevent

from signalbox.actors.mail_changes import BY, tell_operators
from signalbox.actors.mail_feeder import RETRY_S, TROUBLE
from signalbox.actors.mail_streams import HELD, account_of, row_of
from signalbox.domain import mail as domain
from signalbox.eventstore.errors import Conflict, FenceLost, Unavailable
from signalbox.eventstore.journal import Append, Write

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from signalbox.actors.mail_feeder import MailFeeder, Tracked
    from signalbox.actors.mail_messages import Parts
    from signalbox.actors.tenures import Tenure

log = logging.getLogger(__name__)

FAIL: Final = domain.FailMail(0, domain.NO_ACCOUNT)
BATCH: Final = 200
BATCH_OCTETS_MAX: Final = 4 * 2**20


def look_through(
    parts: Parts, tenure: Tenure, feeder: MailFeeder, tenant_id: str, kinds: Collection[str]
) -> None:
    """Look through what waits, by the kinds of its rows, and do as the module says."""
    while tenure.holds():
        try:
            accounts = _accounts(parts, tenant_id, kinds)
        except Unavailable:
            gevent.sleep(RETRY_S)
        else:
            known = [kind for kind in kinds if account_of(kind) in accounts]
            held = [kind for kind in known if kind.startswith(HELD)]
            _look_through(parts, tenure, feeder, tenant_id, held, _line_up)
            orphaned = [kind for kind in kinds if kind not in known]
            _look_through(parts, tenure, feeder, tenant_id, orphaned, _fail)
            return


def _accounts(parts: Parts, tenant_id: str, kinds: Collection[str]) -> Collection[str]:
    """Return a tenant's accounts; the log alone can say that one is missing."""
    known = parts.tenants.known(tenant_id).accounts
    if all(account_of(kind) in known for kind in kinds):
        return known
    return parts.tenants.newest(tenant_id).accounts


def _look_through(
    parts: Parts,
    tenure: Tenure,
    feeder: MailFeeder,
    tenant_id: str,
    kinds: Sequence[str],
    settle: Callable[[Parts, Tenure, str, Sequence[Tracked]], None],
) -> None:
    after = 0
    while kinds and tenure.holds():
        try:
            found, last = feeder.held(kinds, after, BATCH, BATCH_OCTETS_MAX)
            if not last:
                return
            settle(parts, tenure, tenant_id, found)
        except FenceLost:
            return
        except Conflict:
            continue  # One of them changed meanwhile, and may have another row.
        except TROUBLE as error:
            log.warning("waiting mails can't be read", extra={"error": str(error)})
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


def _fail(parts: Parts, tenure: Tenure, tenant_id: str, found: Sequence[Tracked]) -> None:
    """Those that are being sent are left to what becomes of that."""
    tenant, now_s = parts.tenants.known(tenant_id), parts.journal.now().timestamp()
    failed = [
        (one, domain.decide(one.mail, FAIL, now_s))
        for one in found
        if one.data_key == tenant.data_key and not one.mail.in_flight
    ]
    writes = [
        Write(one.stream_id, one.version + 1, events, one.data_key)
        for one, events in failed
        if events
    ]
    if writes:
        done = [write.stream_id for write in writes]
        parts.journal.write(Append(writes=writes, by=BY, fence=tenure.fence, done=done))
    for one, events in failed:
        tell_operators(tenant, one, events)
