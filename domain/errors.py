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


class UnknownPhoneMessage(Refused):
    """The owner has no message of that id, or none of the direction that is meant."""

    def __str__(self) -> str:
        return "message not found"


class NotPushedToPhone(Refused):
    """The message is its owner's, but another phone got it."""

    def __str__(self) -> str:
        return "message was not given to this device"


@dataclass(eq=False)
class QueueFull(Refused):
    """As many messages as the owner may have wait for a phone."""

    pending_max: int
    retry_after_s: int = 60

    def __str__(self) -> str:
        return f"{self.pending_max} messages are waiting, no more are accepted"


class NoPhonePaired(Refused):
    """The owner has no phone, and the configuration demands one before it sends."""

    def __str__(self) -> str:
        return "no gateway device is paired"


class EmailTaken(Refused):
    """Somebody opened an account with this e-mail address already (case-insensitive)."""

    def __str__(self) -> str:
        return "email already registered"


class InvalidInvite(Refused):
    """The invite is unknown, used up, past or revoked; nobody learns which."""

    def __str__(self) -> str:
        return "invalid invite code"


@dataclass(eq=False)
class TooManyPhones(Refused):
    """As many phones as an account may have are paired with it."""

    phones_max: int

    def __str__(self) -> str:
        return f"{self.phones_max} devices are paired, no more are possible"


@dataclass(eq=False)
class UnknownPhone(Refused):
    """The account has no such phone, or none any more."""

    phone_id: str

    def __str__(self) -> str:
        return "device not found"


@dataclass(eq=False)
class TooManyLines(Refused):
    """As many phones as the owner may have are connected."""

    lines_max: int

    def __str__(self) -> str:
        return f"{self.lines_max} devices are connected, no more are possible"


class WrongSecret(Refused):
    """The secret is not the organisation's, or nobody claimed that; the two are not told apart."""

    def __str__(self) -> str:
        return "invalid org_id or secret_key"


@dataclass(eq=False)
class OrgIsLocked(Refused):
    """Too many secrets were tried for an organisation: for a while nobody new is let in."""

    retry_after_s: int

    def __str__(self) -> str:
        return "too many failed attempts, locked for now"


@dataclass(eq=False)
class UnknownTenant(Refused):
    """There is no tenant of that id, or none any more."""

    tenant_id: str

    def __str__(self) -> str:
        return f"Tenant '{self.tenant_id}' not found"


@dataclass(eq=False)
class UnknownMailAccount(Refused):
    """The tenant has no mail account of that id."""

    account_id: str

    def __str__(self) -> str:
        return "account not found or not owned by tenant"


class CannotActivateBatch(Refused):
    """Everything of the tenant is suspended: one batch alone can't be sent again."""

    def __str__(self) -> str:
        return "cannot activate single batch from full suspension"


@dataclass(eq=False)
class TenantHasTooMuch(Refused):
    """A tenant has as many of something as one may have."""

    what: str
    most: int

    def __str__(self) -> str:
        return f"a tenant has {self.most} {self.what} at most"


class BounceHostMissing(Refused):
    """Bounces are to be looked for, but nobody said where."""

    def __str__(self) -> str:
        return "Bounce enabled but imap_host not configured"
