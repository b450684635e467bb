"""Every refusal the domain can give.

Three families of failure exist: `Refused` (the rules say no; the caller can understand and mend
it), `signalbox.eventstore.errors.Unavailable` (try again later) and plain assertions (our own
fault). The errors are facts with fields; `str()` gives the sentence, a surface chooses status and
body.
"""

from dataclasses import dataclass


class Refused(Exception):  # noqa: N818  a refusal is an answer, not an accident
    """The rules say no. Nothing was stored."""


@dataclass(eq=False)
class UnknownLink(Refused):
    """No link of that number is configured."""

    link_id: int

    def __str__(self) -> str:
        return "unknown esme"


@dataclass(eq=False)
class LinkIsDisabled(Refused):
    """An operator switched the link off."""

    link_id: int

    def __str__(self) -> str:
        return "link disabled"


@dataclass(eq=False)
class TextTooLong(Refused):
    """The text needs more parts than one message may have."""

    parts: int
    parts_max: int

    def __str__(self) -> str:
        return f"message needs {self.parts} parts, at most {self.parts_max} are allowed"


@dataclass(eq=False)
class InvalidField(Refused):
    """A field holds something that can't be sent; `reason` never quotes the value."""

    field: str
    reason: str

    def __str__(self) -> str:
        return f"invalid {self.field}: {self.reason}"


@dataclass(eq=False)
class RejectedByFilter(Refused):
    """A content filter of the operator turns the message away; that alone is stored."""

    filter: str

    def __str__(self) -> str:
        return f"rejected by filter {self.filter}"


class IdempotencyConflict(Refused):
    """The key was used before for another request."""

    def __str__(self) -> str:
        return "idempotency key was used for a different request"


class UserExists(Refused):
    """The e-mail address is taken (case-insensitive)."""

    def __str__(self) -> str:
        return "user already exists"


@dataclass(eq=False)
class UnknownUser(Refused):
    """No user has that number, or none any more."""

    user_id: int

    def __str__(self) -> str:
        return "user not found"


@dataclass(eq=False)
class UserIsAdmin(Refused):
    """An administrator is not removed like everybody else."""

    user_id: int

    def __str__(self) -> str:
        return "user is an admin"


class UnknownApplication(Refused):
    """No application of that number exists, or it may not be used by this user."""

    def __str__(self) -> str:
        return "failed to login"


class WrongCredentials(Refused):
    """No such user, or the password does not match; the two are never told apart."""

    def __str__(self) -> str:
        return "invalid email or password"


@dataclass(eq=False)
class TooManyAttempts(Refused):
    """A limit on attempts was reached."""

    retry_after_s: int

    def __str__(self) -> str:
        return "too many attempts, try again later"


@dataclass(eq=False)
class BadLicense(Refused):
    """What was uploaded is no licence, or nobody vouches for it."""

    reason: str

    def __str__(self) -> str:
        return f"invalid license: {self.reason}"


@dataclass(eq=False)
class LicensePast(Refused):
    """The licence brought has run out already."""

    valid_until: str

    def __str__(self) -> str:
        return f"license was valid until {self.valid_until}"


@dataclass(eq=False)
class LicenseOlder(Refused):
    """A newer licence is in force."""

    serial: int
    current: int

    def __str__(self) -> str:
        return "license is older than the current one"


class LicenseExpired(Refused):
    """The licence has run out: what was accepted goes on, nothing new is accepted."""

    def __str__(self) -> str:
        return "license expired"


class LicenseRequired(Refused):
    """There is no licence, and the configuration demands one."""

    def __str__(self) -> str:
        return "license required"


@dataclass(eq=False)
class LicenseExceeded(Refused):
    """As many links as the licence allows are on."""

    connections_max: int

    def __str__(self) -> str:
        return f"license allows {self.connections_max} connections"


class IpExists(Refused):
    """The address is being warmed up already."""

    def __str__(self) -> str:
        return "IP already exists"


class UnknownIp(Refused):
    """The address is not being warmed up."""

    def __str__(self) -> str:
        return "IP not found"


@dataclass(eq=False)
class GroupingExists(Refused):
    """An address can't have two ramps for one grouping."""

    grouping: str

    def __str__(self) -> str:
        return "Grouping already exists"


@dataclass(eq=False)
class UnknownGrouping(Refused):
    """The address has no ramp for that grouping."""

    grouping: str

    def __str__(self) -> str:
        return "Grouping not found"


@dataclass(eq=False)
class TenantErased(Refused):
    """The tenant's data key was destroyed; nothing personal can be stored for it any more."""

    tenant_id: str

    def __str__(self) -> str:
        return "tenant was erased"
