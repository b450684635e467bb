"""Has mails come back to the installation's own mailbox, where somebody configured that.

`bounces+{pk}@example.com` as `bounce_return_path` tells even servers that return nothing of a mail
which one it was. A mail with a return path of its own keeps it, and so does certified mail, whose
provider takes it from its owner only.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from signalbox.eventstore.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from signalbox.actors.mail_instance import MailInstance
    from signalbox.actors.transports.smtp.job import MailTransport, SmtpJob, SmtpOutcome

log = logging.getLogger(__name__)

KEY_MARK: Final = "{pk}"


class ComingBack:
    """A transport that hands mails on to another one."""

    def __init__(self, transport: MailTransport, instance: MailInstance) -> None:
        self._transport = transport
        self._instance = instance

    def send(self, job: SmtpJob, tell: Callable[[SmtpOutcome], None]) -> None:
        """Begin to send, with the return path that is configured."""
        wanted = "" if job.mail.return_path or job.account.is_pec else self._return_path()
        if wanted:
            mail = replace(job.mail, return_path=wanted.replace(KEY_MARK, job.pk))
            job = replace(job, mail=mail)
        self._transport.send(job, tell)

    def _return_path(self) -> str:
        """Return what is configured; the log is asked only the first time."""
        try:
            instance = self._instance.known()
        except Unavailable as error:
            log.warning("return path not known yet", extra={"error": error.reason})
            return ""
        return instance.bounce_return_path if instance.bounce_enabled else ""
