"""A mail account: an SMTP server that a tenant sends through, with its limits and its receipts.

What a field may hold is the client's business, as with the gateway this replaces: a host that isn't
there fails when something is sent. Only what can't be stored is refused.
"""

from dataclasses import dataclass, field, fields
from typing import Annotated, Final, Literal, NewType

from signalbox.domain.errors import InvalidField
from signalbox.domain.personal import PRIVATE, Private

ID_OCTETS_MAX: Final = 512  # ids name streams, and the index of those takes no more than 2,704
TEXT_CHARACTERS_MAX: Final = 65_536
NUMBER_MAX: Final = 2**31 - 1  # what the read models can hold
IMPLICIT_TLS_PORT: Final = 465  # RFC 8314, 7.3
IMAPS_PORT: Final = 993  # RFC 8314, 7.2
MINUTE_S: Final = 60
HOUR_S: Final = 3_600
DAY_S: Final = 86_400

Sealed = NewType("Sealed", str)
"""A secret, sealed outside the domain; empty when there is none."""

PrivateSecret = Annotated[Sealed, PRIVATE]
"""One that goes with its tenant: whoever has our key can't open it any more then."""

UNSEALED: Final = Sealed("")

Security = Literal["implicit", "starttls", "plain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MailAccount:
    """How a tenant's mails leave, and under which limits; times are Unix seconds.

    A limit that is None, zero or less is none. `use_tls` None means: what the port says.
    `source_ip` or `ip_pool` name what the mails leave from, empty where the system decides.
    """

    account_id: str
    host: Private
    port: int
    user: Private = ""
    password_sealed: PrivateSecret = field(default=UNSEALED, repr=False)
    ttl_s: int = 300
    limit_per_minute: int | None = None
    limit_per_hour: int | None = None
    limit_per_day: int | None = None
    limit_behavior: str = "defer"
    use_tls: bool | None = None
    batch_size: int | None = None
    is_pec: bool = False
    imap_host: Private = ""
    imap_port: int = IMAPS_PORT
    imap_user: Private = ""
    imap_password_sealed: PrivateSecret = field(default=UNSEALED, repr=False)
    imap_ssl: bool = True
    source_ip: str = ""
    ip_pool: str = ""
    dkim_domain: str = ""
    dkim_selector: str = ""
    dkim_private_key_sealed: PrivateSecret = field(default=UNSEALED, repr=False)
    created_at_s: float = 0.0
    updated_at_s: float = 0.0

    @property
    def security(self) -> Security:
        """How the connection is protected: not at all, from the start, or by STARTTLS."""
        implicit = self.port == IMPLICIT_TLS_PORT
        if self.use_tls is False or (self.use_tls is None and not implicit):
            return "plain"
        return "implicit" if implicit else "starttls"

    @property
    def logs_in(self) -> bool:
        """True when the server is told user and password; one alone is not enough."""
        return bool(self.user and self.password_sealed)

    @property
    def limits(self) -> tuple[tuple[int, int], ...]:
        """The limits in force, shortest first: (seconds, mails that may be sent in them)."""
        given = (
            (MINUTE_S, self.limit_per_minute),
            (HOUR_S, self.limit_per_hour),
            (DAY_S, self.limit_per_day),
        )
        return tuple((window_s, most) for window_s, most in given if most is not None and most > 0)

    @property
    def rejects_over_limit(self) -> bool:
        """True when what is too much fails; else it waits."""
        return self.limit_behavior == "reject"


def require_storable(account: MailAccount) -> None:
    """Refuse what no store can hold. Raises: `InvalidField`."""
    require_id("id", account.account_id)
    for one in fields(account):
        require_value(one.name, getattr(account, one.name))


def can_be_id(value: str) -> bool:
    """True when a stream can be named after it."""
    return _is_text(value) and len(value.encode()) <= ID_OCTETS_MAX


def require_id(name: str, value: str) -> None:
    """Refuse an id that no stream can be named after. Raises: `InvalidField`."""
    if not can_be_id(value):
        raise InvalidField(name, f"expected text without NUL, {ID_OCTETS_MAX} octets at most")


def require_value(name: str, value: object) -> None:
    """Refuse a text that is none, or too long, and a number that is too large.

    Raises: `InvalidField`.
    """
    if isinstance(value, str) and not _is_text(value):
        raise InvalidField(name, f"expected text without NUL, at most {TEXT_CHARACTERS_MAX} long")
    if isinstance(value, int | float) and not abs(value) <= NUMBER_MAX:  # NaN is no number either
        raise InvalidField(name, f"at most {NUMBER_MAX} is possible")


def _is_text(value: str) -> bool:
    """True when Postgres can hold it: no NUL, no half of a surrogate pair."""
    if len(value) > TEXT_CHARACTERS_MAX or "\0" in value:
        return False
    return not any("\ud800" <= character <= "\udfff" for character in value)
