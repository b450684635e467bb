"""Users and applications as the log has them.

Their streams have few events, so no actor keeps them: the log is read on demand, and what was found
stays in mind until the follower says that it changed (`forget`).
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import reduce
from typing import TYPE_CHECKING, Final, get_args

from eventsourcing.persistence import InterfaceError, OperationalError

from signalbox.actors.memory import Memory
from signalbox.domain import account
from signalbox.domain.names import names_of
from signalbox.eventstore.errors import Conflict, Unavailable
from signalbox.eventstore.journal import Append, Write
from signalbox.eventstore.postgres import Broken

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from signalbox.domain.account import App, User
    from signalbox.eventstore.journal import Journal
    from signalbox.eventstore.log import EventLog
    from signalbox.eventstore.secrets import SecretBox

ACCOUNT_EVENTS: Final = names_of(*get_args(account.UserEvent), account.AppRegistered)
REMEMBERED_MAX: Final = 10_000
ABSENCE_S: Final = 1.0  # how long "not there" is believed without asking again
DECISIONS_MAX: Final = 10  # how often a user may change under a decision about it


class Directory:
    """Every user and application. One per process; its methods raise `Unavailable`."""

    def __init__(self, log: EventLog, journal: Journal) -> None:
        self._log = log
        self._journal = journal
        self._users: Memory[str, User] = Memory(REMEMBERED_MAX, ABSENCE_S)
        self._apps: Memory[str, App] = Memory(REMEMBERED_MAX, ABSENCE_S)

    @property
    def secrets(self) -> SecretBox:
        """What seals an application's secret."""
        return self._log.secrets

    def stream_of(self, email: str) -> str:
        """Return the stream of whoever has the address, whatever its case."""
        return account.user_stream_of(self._log.secrets.digest("email", email.casefold()))

    def user(self, stream: str) -> User | None:
        """Return who has the address of a stream now, as far as this process was told."""
        return self._users.get(stream, lambda: self.newest_user(stream)[0])

    def app(self, app_id: int) -> App | None:
        """Return an application, None when there is none of that number."""
        stream = account.app_stream_of(app_id)
        return self._apps.get(stream, lambda: self._read_app(stream))

    def newest_user(self, stream: str) -> tuple[User | None, int]:
        """Return who has the address of a stream by the log, and the stream's version."""
        user, version = None, 0
        with store():
            for recorded in self._log.read(stream):
                assert isinstance(recorded.event, account.UserEvent), recorded
                user, version = account.evolve_user(user, recorded.event), recorded.version
        return user, version

    def next_number(self, sequence: str) -> int:
        """Draw from `user_ids` or `app_ids`."""
        with store():
            return self._log.next_number(sequence)

    def change(
        self,
        stream: str,
        command: account.UserCommand,
        *,
        by: str,
        request_id: str,
        tenant_id: str = "",
        beside: Sequence[Write] = (),
    ) -> User | None:
        """Decide on a user until nobody comes between; return it as it is once that is stored.

        `beside` is written with it or not at all.

        Raises: what `domain.account.decide_user` refuses with.
        """
        for _ in range(DECISIONS_MAX):
            user, version = self.newest_user(stream)
            events = account.decide_user(user, command)
            if not events:
                return user
            writes = (Write(stream, version + 1, events, tenant_id), *beside)
            if self._stored(Append(writes=writes, by=by, request_id=request_id)):
                return reduce(account.evolve_user, events, user)
        raise Unavailable("a user changes all the time")

    def forget(self, stream: str) -> bool:
        """Look a stream up again when it is asked for; tell if it was a known application's."""
        self._users.forget(stream)
        return self._apps.forget(stream)

    def _stored(self, append: Append) -> bool:
        try:
            self._journal.write(append)
        except Conflict:
            return False
        finally:
            for write in append.writes:
                self.forget(write.stream_id)
        return True

    def _read_app(self, stream: str) -> App | None:
        app = None
        with store():
            for recorded in self._log.read(stream):
                assert isinstance(recorded.event, account.AppRegistered), recorded
                app = account.evolve_app(app, recorded.event)
        return app


@contextmanager
def store() -> Iterator[None]:
    """Turn a store that is away into `Unavailable`."""
    try:
        yield
    except (*Broken, OperationalError, InterfaceError) as error:
        raise Unavailable("store does not answer") from error
