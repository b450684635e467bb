"""Asks the gate of IP warm-up for a mail: all of its recipients may leave, or it waits.

A mail goes to an account's server once, from one address. So each grouping among its recipients is
asked for at the same address, and what was granted is given back unless everybody gets it. Asking
may wait for DNS and for the store: it blocks, and is no business of an actor's own greenlet.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, date
from typing import TYPE_CHECKING, Final

import gevent

from signalbox.actors.grants import Denied, Grant
from signalbox.actors.transports.smtp import addresses, faults
from signalbox.domain.mail import Share
from signalbox.domain.sending_day import Outcome
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.mapper import utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from signalbox.actors.mx import Groupings
    from signalbox.actors.transports.smtp.job import SmtpOutcome
    from signalbox.actors.warmup_gate import WarmupGate
    from signalbox.domain.mail import Mail
    from signalbox.domain.mail_account import MailAccount
    from signalbox.domain.mail_content import MailContent

log = logging.getLogger(__name__)

ROOM_S: Final = 300.0  # when to ask again for a mail with more recipients than there is room for
RETRY_S: Final = 1.0
SETTLE_TRIES: Final = 60
ADDRESSES_MAX: Final = 20  # of a pool, asked for one mail
_BLOCKED: Final = re.compile(r"[45]\.7\.\d")  # security or policy status (RFC 3463, 3.8)


@dataclass(frozen=True, slots=True)
class Warm:
    """All of a mail may leave, from this address."""

    source_ip: str
    shares: tuple[Share, ...] = ()


@dataclass(frozen=True, slots=True)
class Cold:
    """None of it may: why, and when to ask again (Unix seconds); None: never."""

    reason: str
    until_s: float | None


class Warmth:
    """Its methods block; `ask` and `allows` raise `Unavailable`."""

    def __init__(
        self, gate: WarmupGate, groupings: Groupings, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._gate = gate
        self._groupings = groupings
        self._now = now

    def ask(self, account: MailAccount, mail: Mail, content: MailContent) -> Warm | Cold:
        """Ask for all of a mail's recipients, by the account's address or pool."""
        wanted = self._by_grouping(_recipients(mail, content))
        if not wanted:
            return Warm(account.source_ip)
        if account.source_ip:
            return self._ask_at(account.source_ip, mail, wanted)
        for ip in {ip for ip, _, _ in mail.counted}:  # Repeats are free there, and only there.
            answer = self._ask_at(ip, mail, wanted)
            if isinstance(answer, Warm):
                return answer
        return self._choose(account.ip_pool, mail, wanted)

    def allows(self, warm: Warm) -> bool:
        """Tell whether what was granted may leave now."""
        return all(self._gate.still_allowed(_grant(warm.source_ip, one)) for one in warm.shares)

    def release(self, warm: Warm) -> None:
        """Give all of it back: nothing reached a server."""
        for share in warm.shares:
            self._settle(_grant(warm.source_ip, share), Outcome(), share.recipients)

    def settle(self, warm: Warm, outcome: SmtpOutcome | None) -> None:
        """Say what became of it; None: nobody knows."""
        if outcome is not None and not outcome.reached_mail_from and outcome.result != "sent":
            self.release(warm)
            return
        bounced, deferred = map(self._by_grouping, _refused(outcome))
        for share in warm.shares:
            result = _outcome(
                share,
                outcome,
                bounced.get(share.grouping, 0),
                deferred.get(share.grouping, 0),
            )
            self._settle(_grant(warm.source_ip, share), result, 0)

    def _choose(self, pool: str, mail: Mail, wanted: Mapping[str, int]) -> Warm | Cold:
        """Ask the addresses of a pool, until one takes all groupings."""
        first, recipients = next(iter(wanted.items()))
        tried: set[str] = set()
        cold = Cold("NO_IPS", None)
        for _ in range(ADDRESSES_MAX):
            urgent = mail.priority == 0
            try:
                answer = self._gate.choose(pool, first, recipients, urgent=urgent, without=tried)
            except KeyError:
                return Cold(f"no pool of addresses {pool}", None)
            if isinstance(answer, Denied):
                return _cold(answer) if not tried else cold
            rest = {name: count for name, count in wanted.items() if name != first}
            found = self._complete(answer, first, recipients, mail, rest)
            if isinstance(found, Warm):
                return found
            cold = found
            tried.add(answer.ip)
        return cold

    def _complete(
        self, grant: Grant, grouping: str, recipients: int, mail: Mail, rest: Mapping[str, int]
    ) -> Warm | Cold:
        """Add what the other groupings need at the same address."""
        mine = Warm(grant.ip, (_share(grant),))
        if grant.recipients < recipients:
            self.release(mine)
            return Cold(f"no room for all of {grouping}", self._later())
        others = self._ask_at(grant.ip, mail, rest)
        if isinstance(others, Cold):
            self.release(mine)
            return others
        return replace(others, shares=(*mine.shares, *others.shares))

    def _ask_at(self, ip: str, mail: Mail, wanted: Mapping[str, int]) -> Warm | Cold:
        warm = Warm(ip)
        for grouping, recipients in wanted.items():
            answer = self._reserve(ip, mail, grouping, recipients)
            if isinstance(answer, Grant):
                warm = replace(warm, shares=(*warm.shares, _share(answer)))
                if answer.recipients + answer.repeats >= recipients:
                    continue
            self.release(warm)
            if isinstance(answer, Denied):
                return _cold(answer)
            return Cold(f"no room for all of {grouping}", self._later())
        return warm

    def _reserve(self, ip: str, mail: Mail, grouping: str, recipients: int) -> Grant | Denied:
        """Ask for one grouping; those that were counted on the same day before are repeats."""
        for day in sorted(
            (d for i, g, d in mail.counted if (i, g) == (ip, grouping)), reverse=True
        ):
            repeats = min(recipients, mail.counted[ip, grouping, day])
            answer = self._gate.reserve(ip, grouping, recipients - repeats, repeats=repeats)
            if isinstance(answer, Denied) or answer.date == date.fromisoformat(day):
                return answer
            self.release(Warm(ip, (_share(answer),)))
            break  # That was another day.
        return self._gate.reserve(ip, grouping, recipients)

    def _by_grouping(self, entries: Iterable[str]) -> dict[str, int]:
        """Return how many recipients there are of each grouping, most first."""
        found, _ = addresses.read(entries)
        whole = {one.address for one in found if "@" in one.address}
        return dict(Counter(map(self._of_address, whole)).most_common())

    def _of_address(self, address: str) -> str:
        domain = address.rpartition("@")[2]
        try:
            name = domain.encode("idna").decode()
        except UnicodeError:
            name = domain
        return self._groupings.of(name)

    def _settle(self, grant: Grant, outcome: Outcome, released: int) -> None:
        """Settle, however long the store is away; what is never settled stays counted."""
        for _ in range(SETTLE_TRIES):
            try:
                self._gate.settle(grant, outcome, released)
            except Unavailable:
                gevent.sleep(RETRY_S)
            else:
                return
        log.warning("warm-up not settled", extra={"reservation": grant.reservation_id})

    def _later(self) -> float:
        return self._now().timestamp() + ROOM_S


def _share(grant: Grant) -> Share:
    return Share(
        grouping=grant.grouping,
        date=grant.date.isoformat(),
        recipients=grant.recipients,
        repeats=grant.repeats,
        reservation_id=grant.reservation_id,
        over_target=grant.over_target,
    )


def _grant(ip: str, share: Share) -> Grant:
    return Grant(
        ip=ip,
        grouping=share.grouping,
        date=date.fromisoformat(share.date),
        recipients=share.recipients,
        repeats=share.repeats,
        reservation_id=share.reservation_id,
        over_target=share.over_target,
    )


def _cold(denied: Denied) -> Cold:
    until = denied.retry_at
    return Cold(denied.reason, until.astimezone(UTC).timestamp() if until else None)


def _recipients(mail: Mail, content: MailContent) -> Sequence[str]:
    everybody = (*content.to, *content.cc, *content.bcc)
    if not mail.remaining:
        return everybody
    found, _ = addresses.unique(everybody)
    return [one for place, one in enumerate(found) if place in mail.remaining]


def _refused(outcome: SmtpOutcome | None) -> tuple[list[str], list[str]]:
    """Return whom the server won't take the mail for, and whom not yet."""
    refused = outcome.refused if outcome else {}
    later = {one for one, (code, _) in refused.items() if faults.is_temporary(code)}
    return [one for one in refused if one not in later], list(later)


def _outcome(share: Share, outcome: SmtpOutcome | None, bounced: int, deferred: int) -> Outcome:
    """Return what became of a share; the last two are recipients refused among others."""
    everybody = share.recipients + share.repeats
    if outcome is None or outcome.result == "in_doubt":
        return Outcome(attempted=everybody)
    blocked = everybody if _BLOCKED.search(outcome.reason) else 0
    match outcome.result:
        case "sent":
            bounced = min(everybody, bounced)
            deferred = min(everybody - bounced, deferred)
            return Outcome(
                attempted=everybody,
                delivered=everybody - bounced - deferred,
                bounced=bounced,
                deferred=deferred,
            )
        case "temporary":
            return Outcome(attempted=everybody, deferred=everybody, blocked=blocked)
        case _:
            return Outcome(attempted=everybody, bounced=everybody, blocked=blocked)
