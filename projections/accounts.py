"""Read models `users` and `apps`: who there is, and in which stream each user is decided on.

No personal content: a user's address stays in the log, and whoever lists users reads it there. No
secrets either: an application is known by the fingerprint of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, LiteralString

from signalbox.domain.account import (
    AdminGranted,
    AdminRevoked,
    AppRegistered,
    UserRegistered,
    UserRemoved,
)
from signalbox.projections.projection import Projection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from signalbox.eventstore.mapper import Recorded
    from signalbox.projections.projection import Cursor

TABLES: Final[LiteralString] = """
    CREATE TABLE users (
        user_id bigint PRIMARY KEY,
        stream_id text NOT NULL,
        app_id bigint NOT NULL,
        is_admin boolean NOT NULL
    );
    CREATE TABLE apps (
        app_id bigint PRIMARY KEY,
        name text NOT NULL,
        fingerprint text NOT NULL
    );
"""
_ADD_USER: Final[LiteralString] = """
    INSERT INTO users (user_id, stream_id, app_id, is_admin) VALUES (%s, %s, %s, %s)
"""
_ADD_APP: Final[LiteralString] = """
    INSERT INTO apps (app_id, name, fingerprint) VALUES (%s, %s, %s)
"""
_ALL: Final[LiteralString] = """
    SELECT u.user_id, u.stream_id, u.is_admin, u.app_id,
           coalesce(a.name, ''), coalesce(a.fingerprint, '')
    FROM users AS u LEFT JOIN apps AS a USING (app_id) ORDER BY u.user_id
"""


@dataclass(frozen=True, slots=True)
class UserRow:
    """A user with its application; `app_id` 0 and no name when it has none of its own."""

    user_id: int
    stream_id: str
    is_admin: bool
    app_id: int
    app_name: str
    app_fingerprint: str
    email: str = ""


def find_all(cursor: Cursor) -> list[UserRow]:
    """Return the users by number, without their addresses."""
    return [UserRow(*row) for row in cursor.execute(_ALL)]


def find_stream(cursor: Cursor, user_id: int) -> str | None:
    """Return the stream a user is decided on in; None when there is no such user."""
    row = cursor.execute("SELECT stream_id FROM users WHERE user_id = %s", (user_id,)).fetchone()
    return row[0] if row else None


def _apply(cursor: Cursor, batch: Sequence[Recorded]) -> None:
    for recorded in batch:
        match recorded.event:
            case UserRegistered(user_id=user_id, app_id=app_id, is_admin=is_admin):
                cursor.execute(_ADD_USER, (user_id, recorded.stream_id, app_id, is_admin))
            case UserRemoved(user_id=user_id):
                cursor.execute("DELETE FROM users WHERE user_id = %s", (user_id,))
            case AdminGranted(user_id=user_id):
                _set_admin(cursor, user_id, is_admin=True)
            case AdminRevoked(user_id=user_id):
                _set_admin(cursor, user_id, is_admin=False)
            case AppRegistered(name=name, secret_fingerprint=fingerprint):
                app_id = int(recorded.stream_id.removeprefix("app-"))
                cursor.execute(_ADD_APP, (app_id, name, fingerprint))


def _set_admin(cursor: Cursor, user_id: int, *, is_admin: bool) -> None:
    cursor.execute("UPDATE users SET is_admin = %s WHERE user_id = %s", (is_admin, user_id))


PROJECTION: Final = Projection(
    "accounts",
    (UserRegistered, UserRemoved, AdminGranted, AdminRevoked, AppRegistered),
    TABLES,
    _apply,
)
