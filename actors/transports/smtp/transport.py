"""Sends mails: what is handed over waits for a place, is composed, sent, and its outcome told.

    send ─▶ fetch attachments? ─▶ a place of the account's ─▶ a place of the process's
                                               └─▶ compose ─▶ sign? ─▶ SMTP ─▶ tell

An account that is slow takes no more than its own places, and places of the process are given in
turn. Attachments are fetched before a mail takes one.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

import gevent
from gevent.lock import Semaphore
from gevent.pool import Group

from signalbox.actors.transports.smtp import faults
from signalbox.actors.transports.smtp.connecting import Endpoint
from signalbox.actors.transports.smtp.dkim import BadKey, signed
from signalbox.actors.transports.smtp.faults import Fault, Stage
from signalbox.actors.transports.smtp.headers import Unsendable
from signalbox.actors.transports.smtp.job import SmtpOutcome
from signalbox.actors.transports.smtp.message import Ids, Message, compose
from signalbox.actors.transports.smtp.session import STOPPED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from signalbox.actors.transports.smtp.job import Result, SmtpJob
    from signalbox.actors.transports.smtp.message import File
    from signalbox.actors.transports.smtp.sessions import Sessions
    from signalbox.domain.mail_content import MailContent

log = logging.getLogger(__name__)

UNEXPECTED: Final = "the mail can't be sent for an unexpected reason"

Account = tuple[str, str]
"""Tenant and account; two tenants' accounts of one name have nothing to do with each other."""


@dataclass(eq=False)
class Unattached(Exception):  # noqa: N818  named after what is the matter with a mail
    """An attachment can't be had; `temporary` if it may be later."""

    reason: str
    temporary: bool = False

    def __str__(self) -> str:
        return self.reason


class FileSource(Protocol):
    """Fetches attachments."""

    def attached(self, tenant_id: str, mail: MailContent) -> tuple[MailContent, Sequence[File]]:
        """Return a mail as it is to be sent, and its files. Raises: `Unattached`."""

    def close(self) -> None:
        """Nothing more is fetched."""


@dataclass(slots=True)
class _Waiting:
    """What an account has to send, and how many greenlets do so."""

    jobs: deque[_Task] = field(default_factory=deque)
    running: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    job: SmtpJob
    tell: Callable[[SmtpOutcome], None]
    mail: MailContent
    files: Sequence[File] = ()

    def end(self, result: Result, reason: str) -> None:
        """Tell an outcome that no server has to do with."""
        self.told(SmtpOutcome(key=self.job.key, result=result, reason=reason))

    def told(self, outcome: SmtpOutcome) -> None:
        """Tell an outcome; that nobody can take it stops no other mail."""
        try:
            self.tell(outcome)
        except Exception:
            log.exception("nobody takes the outcome of a mail", extra={"mail": self.job.pk})


class SmtpTransport:
    """See the module; `per_account_max` and `mails_max` are how many are on their way at once."""

    def __init__(
        self,
        sessions: Sessions,
        files: FileSource,
        *,
        per_account_max: int = 5,
        mails_max: int = 50,
    ) -> None:
        self._sessions = sessions
        self._files = files
        self._per_account_max = per_account_max
        self._places = Semaphore(mails_max)
        self._waiting: dict[Account, _Waiting] = {}
        self._fetching = Group()
        self._sending = Group()
        self._closing = False

    def send(self, job: SmtpJob, tell: Callable[[SmtpOutcome], None]) -> None:
        """Begin to send; never blocks. The outcome is told once, from a greenlet."""
        task = _Task(job, tell, job.mail)
        if self._closing:
            gevent.spawn(task.end, "temporary", STOPPED)
        elif job.mail.attachments:
            self._fetching.spawn(self._fetch, task)
        else:
            self._queue(task)

    @property
    def busy(self) -> int:
        """How many greenlets fetch or send."""
        return len(self._fetching) + len(self._sending)

    def close(self, timeout_s: float) -> None:
        """Let what is being sent come to its end; what waits is told so at once, temporarily."""
        self._closing = True
        for waiting in self._waiting.values():
            while waiting.jobs:
                waiting.jobs.popleft().end("temporary", STOPPED)
        self._fetching.kill()
        self._sending.join(timeout_s)
        self._sending.kill()
        self._files.close()
        self._sessions.close()

    def _fetch(self, task: _Task) -> None:
        job = task.job
        try:
            mail, files = self._files.attached(job.tenant_id, job.mail)
        except Unattached as error:
            task.end("temporary" if error.temporary else "permanent", str(error))
        except gevent.GreenletExit:
            task.end("temporary", STOPPED)
        except Exception:  # whatever it is, the mail has an outcome
            log.exception("attachments of a mail can't be fetched", extra={"mail": job.pk})
            task.end("temporary", UNEXPECTED)
        else:
            self._queue(_Task(job, task.tell, mail, files))

    def _queue(self, task: _Task) -> None:
        account = (task.job.tenant_id, task.job.account.account_id)
        waiting = self._waiting.setdefault(account, _Waiting())
        waiting.jobs.append(task)
        if waiting.running < self._per_account_max:
            waiting.running += 1
            self._sending.spawn(self._work, account, waiting)

    def _work(self, account: Account, waiting: _Waiting) -> None:
        try:
            while waiting.jobs:
                with self._places:
                    if waiting.jobs:  # Another greenlet may have taken it meanwhile.
                        task = waiting.jobs.popleft()
                        task.told(self._outcome(task))
        finally:
            waiting.running -= 1
            if not waiting.running and not waiting.jobs:
                self._waiting.pop(account, None)

    def _outcome(self, task: _Task) -> SmtpOutcome:
        key = task.job.key
        try:
            return self._sent(task)
        except Fault as fault:
            return SmtpOutcome(
                key=key,
                result=fault.result,
                code=fault.code,
                reason=fault.reason,
                refused=fault.refused,
                reached_mail_from=fault.stage >= Stage.MAIL,
            )
        except (Unsendable, BadKey) as error:
            return SmtpOutcome(key=key, result="permanent", reason=str(error))
        except Exception:  # whatever it is, the mail has an outcome
            log.exception("a mail can't be sent", extra={"mail": task.job.pk})
            return SmtpOutcome(key=key, result="temporary", reason=UNEXPECTED)

    def _sent(self, task: _Task) -> SmtpOutcome:
        job = task.job
        message = _message(task)
        everybody = message.envelope.recipients
        message = replace(message, envelope=message.envelope.at(job.remaining))
        answer = self._sessions.send(_endpoint(job), message, job.account.ttl_s)
        later = {one for one, (code, _) in answer.refused.items() if faults.is_temporary(code)}
        return SmtpOutcome(
            key=job.key,
            result="sent",
            code=answer.code,
            reason=answer.reason,
            refused=answer.refused,
            remaining=tuple(place for place, one in enumerate(everybody) if one in later),
            reached_mail_from=True,
        )


def _message(task: _Task) -> Message:
    job, account = task.job, task.job.account
    message = compose(task.mail, Ids(job.client_id, job.pk), datetime.now(UTC), task.files)
    if not (account.dkim_domain and account.dkim_selector and job.dkim_private_key):
        return message
    data = signed(message.data, account.dkim_domain, account.dkim_selector, job.dkim_private_key)
    return Message(message.envelope, data, message.needs_smtputf8)


def _endpoint(job: SmtpJob) -> Endpoint:
    account = job.account
    return Endpoint(
        tenant_id=job.tenant_id,
        account_id=account.account_id,
        host=account.host,
        port=account.port,
        security=account.security,
        user=account.user,
        password=job.password,
        source_ip=job.source_ip or account.source_ip,
    )
