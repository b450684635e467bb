"""An organisation that phones and applications share: whoever comes first claims it by a secret.

    Claim ──▶ OrgClaimed;  Lock ──▶ OrgLocked

The stream is `org-<id>`. Its first version is the claim: of two who claim at once, one has it, and
the other is as good as anybody who comes later. Wrong secrets are counted elsewhere; only that
there were too many is an event.
"""

import re
from dataclasses import dataclass, replace
from typing import Final, assert_never

OWNER_PREFIX: Final = "org_"
ORG_ID: Final = re.compile(r"[A-Za-z0-9_-]{3,64}")
SECRET: Final = re.compile(r"[\x20-\x7e]{12,50}")
"""What a secret may be claimed with: what every header, and every keyboard, can carry."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody wants the name, known from then on by a secret of this hash."""

    secret_hash: str


@dataclass(frozen=True, slots=True)
class Lock:
    """Too many secrets were tried; nobody new is let in before `until_s` (Unix)."""

    until_s: float


Command = Claim | Lock


@dataclass(frozen=True, slots=True)
class OrgClaimed:
    """The name belongs to whoever knows the secret."""

    secret_hash: str


@dataclass(frozen=True, slots=True)
class OrgLocked:
    """Secrets were being guessed; nobody new is let in before `until_s` (Unix)."""

    until_s: float


Event = OrgClaimed | OrgLocked


@dataclass(frozen=True, slots=True)
class Org:
    """A claimed name."""

    secret_hash: str
    locked_until_s: float = 0.0


def decide(org: Org | None, command: Command, at_s: float) -> tuple[Event, ...]:
    """Return the events of one command at `at_s` (Unix); none when nothing changes."""
    match command:
        case Claim(secret_hash):
            return () if org else (OrgClaimed(secret_hash),)
        case Lock(until_s):
            lasts = org is not None and org.locked_until_s <= at_s < until_s
            return (OrgLocked(until_s),) if lasts else ()
        case _:
            assert_never(command)


def evolve(org: Org | None, event: Event) -> Org:
    """Apply one event."""
    match event:
        case OrgClaimed(secret_hash):
            return Org(secret_hash)
        case OrgLocked(until_s):
            assert org is not None, event
            return replace(org, locked_until_s=until_s)
        case _:
            assert_never(event)


def stream_of(org_id: str) -> str:
    """Return the stream of an organisation."""
    return f"org-{org_id}"


def owner_of(org_id: str) -> str:
    """Return the organisation as the owner of messages and phones."""
    return f"{OWNER_PREFIX}{org_id}"
