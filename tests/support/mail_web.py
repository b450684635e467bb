"""A web process with the mail proxy's surface alone, above the real gateway, in this process.

with Web(database_url) as web:
    key = web.call("POST", "/tenant", {"id": "acme"}).json["api_key"]
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from support.described import DescribedClient

from signalbox.eventstore.journal import Journal
from signalbox.eventstore.log import EventLog
from signalbox.http.app import create_app
from signalbox.http.mail_proxy.openapi import document
from signalbox.ops.mail import Mail
from signalbox.ops.mail_sections import Mail as MailSection
from signalbox.ops.parts import follow
from signalbox.ops.settings import Settings

if TYPE_CHECKING:
    from types import TracebackType

    import falcon.testing

SECRET_KEY: Final = "a secret key for tests, long enough"
TOKEN: Final = "the admin's token"
ADMIN: Final = {"X-API-Token": TOKEN}
TIMEOUT_S: Final = 5.0


class Web:
    """The process. A projector runs elsewhere. Several share a database."""

    def __init__(self, database_url: str) -> None:
        self._closing = ExitStack()
        settings = Settings(home=Path(), secret_key=SECRET_KEY, mail=MailSection(api_token=TOKEN))
        self.log = EventLog(database_url, SECRET_KEY)
        self._closing.callback(self.log.close)
        self.journal = Journal(self.log)
        self._closing.callback(self.journal.close)
        self.mail = Mail(settings, self.log, self.journal)
        self.signals: list[frozenset[str]] = []
        follower = follow(self.log, self.mail.told, self.signals.append)
        self._closing.callback(follower.close)
        assert follower.listening.wait(TIMEOUT_S)
        surface = self.mail.surface(lambda: max(self.journal.last_position, follower.position))
        shapes = [surface.guard(alone=True)]
        app = create_app(surface.routes(alone=True), {}, None, shapes=shapes)
        self.client = DescribedClient(app, document())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.close()

    def call(
        self, method: str, path: str, body: object = None, headers: dict[str, str] = ADMIN
    ) -> falcon.testing.Result:
        """Return the answer."""
        octets = b"" if body is None else json.dumps(body).encode()
        return self.client.simulate_request(method, path, body=octets, headers=headers)

    def tenant(self, tenant_id: str) -> dict[str, str]:
        """Have a tenant with an account; return the headers with its key."""
        made = self.call("POST", "/tenant", {"id": tenant_id})
        account = {"id": "smtp1", "tenant_id": tenant_id, "host": "127.0.0.1", "port": 25}
        assert self.call("POST", "/account", account).status_code == 200
        return {"X-API-Token": made.json["api_key"]}
