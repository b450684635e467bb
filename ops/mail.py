"""The mail proxy, put together: what web and relay processes need of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from signalbox.actors.mail_instance import INSTANCE_EVENTS, MailInstance
from signalbox.actors.mail_nudges import MailNudges
from signalbox.actors.mails import Mails
from signalbox.actors.tenants import TENANT_EVENTS, Tenants
from signalbox.http.body import BodyReader
from signalbox.http.mail_proxy.auth import is_loopback
from signalbox.http.mail_proxy.routes import MailProxy
from signalbox.ops.mail_reads import MailReads
from signalbox.projections.mail_readers import MailModels

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg.rows import TupleRow

    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog
    from signalbox.ops.settings import Settings

BY: Final = "gateway"

Told = tuple[tuple[str, ...], "Callable[[TupleRow], None]"]


class Mail:
    """Tenants and their mails, in any process."""

    def __init__(self, settings: Settings, event_log: EventLog, journal: Journal) -> None:
        self._settings = settings
        self._log = event_log
        self.tenants = Tenants(event_log, journal)
        self.instance = MailInstance(event_log, journal)
        longest = settings.mail.address_characters_max
        self.mails = Mails(event_log, journal, self.tenants, longest)
        self.models = MailModels(event_log)

    @property
    def told(self) -> tuple[Told, ...]:
        """What of the log is news to whom."""
        decode = self._log.decode_row
        return (
            (TENANT_EVENTS, lambda row: self.tenants.follow(decode(row))),
            (INSTANCE_EVENTS, lambda row: self.instance.follow(decode(row))),
        )

    def surface(self, position: Callable[[], int]) -> MailProxy:
        """Return the HTTP surface; what it reads has all up to `position`."""
        given = self._settings.mail
        return MailProxy(
            tenants=self.tenants,
            mails=self.mails,
            instance=self.instance,
            reads=MailReads(self.models, position, self._settings.projector.read_wait_s),
            run_now=MailNudges(self._log).run_now,
            body=BodyReader(given.body_bytes_max),
            admin_token=given.api_token,
            is_open=is_open(self._settings),
            sync_interval_s=given.sync_interval_s,
        )


def is_open(settings: Settings) -> bool:
    """Tell whether everybody is the admin: nobody but this machine's users reaches the server.

    Whatever stands before it would make the world one of those.
    """
    server = settings.server
    stands_alone = is_loopback(server.host) and not server.trusted_proxies
    return stands_alone and not settings.mail.api_token
