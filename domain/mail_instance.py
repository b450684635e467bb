"""What this installation's mail proxy knows of itself: its name, and where bounces come back to.

    UpdateInstance ──▶ InstanceUpdated      ReloadBounces ──▶ BouncesReloaded

The stream is `mail_instance`. How far the mailbox of bounces was read is in a stream per day,
`mail_instance-<yyyy-mm-dd>`, since it goes on for ever.
"""

from dataclasses import dataclass, field, fields, replace
from datetime import date
from typing import Final, assert_never

from signalbox.domain.errors import BounceHostMissing, InvalidField
from signalbox.domain.mail_account import IMAPS_PORT, UNSEALED, Sealed, require_value

STREAM: Final = "mail_instance"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """The installation; times are Unix seconds, 0 while nobody ever configured it."""

    name: str = "mail-proxy"
    bounce_enabled: bool = False
    bounce_imap_host: str = ""
    bounce_imap_port: int = IMAPS_PORT
    bounce_imap_user: str = ""
    bounce_imap_password_sealed: Sealed = field(default=UNSEALED, repr=False)
    bounce_imap_folder: str = "INBOX"
    bounce_imap_ssl: bool = True
    bounce_poll_interval_s: int = 60
    bounce_return_path: str = ""
    created_at_s: float = 0.0
    updated_at_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceChanges:
    """What is to be configured anew; None stays as it is."""

    name: str | None = None
    bounce_enabled: bool | None = None
    bounce_imap_host: str | None = None
    bounce_imap_port: int | None = None
    bounce_imap_user: str | None = None
    bounce_imap_password_sealed: Sealed | None = field(default=None, repr=False)
    bounce_imap_folder: str | None = None
    bounce_imap_ssl: bool | None = None
    bounce_poll_interval_s: int | None = None
    bounce_return_path: str | None = None


@dataclass(frozen=True, slots=True)
class UpdateInstance:
    """Some of the configuration changes."""

    changes: InstanceChanges


@dataclass(frozen=True, slots=True)
class ReloadBounces:
    """Whoever looks for bounces is to begin anew, with the rules as they are now."""


Command = UpdateInstance | ReloadBounces


@dataclass(frozen=True, slots=True)
class InstanceUpdated:
    """The installation is configured like this from now on."""

    instance: Instance


@dataclass(frozen=True, slots=True)
class BouncesReloaded:
    """Somebody wanted the rules for bounces to be read again."""


@dataclass(frozen=True, slots=True)
class BouncePolled:
    """The mailbox of bounces was read up to this message (RFC 3501, 2.3.1.1).

    `mailbox` tells it from others, whose UIDs may be as valid; empty: whichever is configured.
    """

    uidvalidity: int
    uid: int
    mailbox: str = ""


Event = InstanceUpdated | BouncesReloaded


def decide(instance: Instance, command: Command, at_s: float) -> tuple[Event, ...]:
    """Return the events of one command at `at_s` (Unix); none when nothing changes.

    Raises: `InvalidField`, `BounceHostMissing`.
    """
    match command:
        case UpdateInstance(changes):
            return _update(instance, changes, at_s)
        case ReloadBounces():
            if instance.bounce_enabled and not instance.bounce_imap_host:
                raise BounceHostMissing
            return (BouncesReloaded(),)
        case _:
            assert_never(command)


def evolve(instance: Instance, event: Event) -> Instance:
    """Apply one event."""
    match event:
        case InstanceUpdated(updated):
            return updated
        case BouncesReloaded():
            return instance
        case _:
            assert_never(event)


def day_stream_of(day: date) -> str:
    """Return the stream that tells how far the mailbox was read on a day."""
    return f"{STREAM}-{day.isoformat()}"


def _update(instance: Instance, changes: InstanceChanges, at_s: float) -> tuple[Event, ...]:
    given = {one.name: getattr(changes, one.name) for one in fields(changes)}
    after = replace(instance, **{name: value for name, value in given.items() if value is not None})
    if after == instance:
        return ()
    for one in fields(after):
        require_value(one.name, getattr(after, one.name))
    if after.bounce_poll_interval_s < 1:
        raise InvalidField("bounce_poll_interval", "expected at least one second")
    created_at_s = instance.created_at_s or at_s
    return (InstanceUpdated(replace(after, created_at_s=created_at_s, updated_at_s=at_s)),)
