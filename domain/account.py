"""Users who log in, and the applications they send for.

    RegisterUser ──▶ UserRegistered ──▶ AdminGranted, AdminRevoked, PasswordRehashed, …
                            ▲                         │ RemoveUser
                            └────── UserRemoved ◀─────┘
    RegisterApp ──▶ AppRegistered

A user's stream is named after a digest of the e-mail address, so that two registrations of one
address meet in one version of it. Whoever registers an address again after its user was removed is
another user: the same stream, a new number.
"""

from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Final, assert_never

from signalbox.domain.errors import InvalidField, UnknownUser, UserExists, UserIsAdmin
from signalbox.domain.personal import Personal

ALLOWED_IPS_MAX: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterUser:
    """Somebody gets access.

    `password_hash` is an argon2 string; `app_id` 0 means no application of one's own.
    """

    user_id: int
    email: str
    password_hash: str
    app_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveUser:
    """Somebody loses access; an administrator only when `admins_too`."""

    user_id: int
    admins_too: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ToggleAdmin:
    """Somebody becomes an administrator, or no longer is one."""

    user_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RehashPassword:
    """The password behind `old_hash` is hashed as new ones are."""

    old_hash: str
    password_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterApp:
    """An application gets a number, a name and a secret (sealed with the gateway's key).

    `allowed_ips` are addresses or networks (CIDR) it may send from; none means from anywhere.
    """

    name: str
    secret_sealed: str
    secret_fingerprint: str
    allowed_ips: tuple[str, ...] = ()


UserCommand = RegisterUser | RemoveUser | ToggleAdmin | RehashPassword


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRegistered:
    """Somebody was given access."""

    user_id: int
    email: Personal
    password_hash: str
    app_id: int
    is_admin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRemoved:
    """Somebody's access ended, with all tokens; the address is free again."""

    user_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminGranted:
    """A user became an administrator."""

    user_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminRevoked:
    """A user is no administrator any more."""

    user_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordRehashed:
    """A user's password is the same, but harder to guess from its hash."""

    user_id: int
    password_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AppRegistered:
    """An application may send from now on."""

    name: str
    secret_sealed: str
    secret_fingerprint: str
    allowed_ips: tuple[str, ...] = ()


UserEvent = UserRegistered | UserRemoved | AdminGranted | AdminRevoked | PasswordRehashed
Event = UserEvent | AppRegistered


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user as decisions see it."""

    user_id: int
    password_hash: str
    app_id: int
    is_admin: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """An application as decisions see it."""

    name: str
    secret_sealed: str
    secret_fingerprint: str
    allowed_ips: tuple[str, ...] = ()


def user_stream_of(email_digest: str) -> str:
    """Name a user's stream by the digest of the normalised address."""
    return f"user-{email_digest}"


def app_stream_of(app_id: int) -> str:
    """Name an application's stream."""
    return f"app-{app_id}"


def decide_user(user: User | None, command: UserCommand) -> tuple[UserEvent, ...]:
    """Decide on a user; nothing to tell means that it is so already.

    Raises: `UserExists`, `InvalidField` (registration), `UnknownUser`, `UserIsAdmin` (removal).
    """
    match command:
        case RegisterUser():
            return _register(user, command)
        case RemoveUser():
            return _remove(_known(user, command.user_id), command)
        case ToggleAdmin():
            return _toggle_admin(_known(user, command.user_id))
        case RehashPassword():
            return _rehash(user, command)
        case _:
            assert_never(command)


def decide_app(app: App | None, command: RegisterApp) -> tuple[AppRegistered]:
    """Decide on a new application. Raises: `InvalidField`."""
    assert app is None, app
    _require_networks(command.allowed_ips)
    registered = AppRegistered(
        name=command.name,
        secret_sealed=command.secret_sealed,
        secret_fingerprint=command.secret_fingerprint,
        allowed_ips=command.allowed_ips,
    )
    return (registered,)


def evolve_user(user: User | None, event: UserEvent) -> User | None:
    """Apply one event; None while nobody has the address."""
    match event:
        case UserRegistered():
            return User(
                user_id=event.user_id,
                password_hash=event.password_hash,
                app_id=event.app_id,
                is_admin=event.is_admin,
            )
        case UserRemoved():
            return None
    assert user is not None, event
    match event:
        case AdminGranted():
            return replace(user, is_admin=True)
        case AdminRevoked():
            return replace(user, is_admin=False)
        case PasswordRehashed():
            return replace(user, password_hash=event.password_hash)
        case _:
            assert_never(event)


def evolve_app(_app: App | None, event: AppRegistered) -> App:
    """Apply one event."""
    return App(
        name=event.name,
        secret_sealed=event.secret_sealed,
        secret_fingerprint=event.secret_fingerprint,
        allowed_ips=event.allowed_ips,
    )


def _register(user: User | None, command: RegisterUser) -> tuple[UserEvent, ...]:
    if user is not None:
        raise UserExists
    name, at, host = command.email.partition("@")
    if not (name and at and host) or any(c.isspace() for c in command.email):
        raise InvalidField("email", "not an address")
    registered = UserRegistered(
        user_id=command.user_id,
        email=command.email,
        password_hash=command.password_hash,
        app_id=command.app_id,
    )
    return (registered,)


def _remove(user: User, command: RemoveUser) -> tuple[UserEvent, ...]:
    if user.is_admin and not command.admins_too:
        raise UserIsAdmin(user.user_id)
    return (UserRemoved(user_id=user.user_id),)


def _toggle_admin(user: User) -> tuple[UserEvent, ...]:
    if user.is_admin:
        return (AdminRevoked(user_id=user.user_id),)
    return (AdminGranted(user_id=user.user_id),)


def _rehash(user: User | None, command: RehashPassword) -> tuple[UserEvent, ...]:
    if user is None or user.password_hash != command.old_hash:
        return ()  # Removed meanwhile, or another log-in was first.
    return (PasswordRehashed(user_id=user.user_id, password_hash=command.password_hash),)


def _known(user: User | None, user_id: int) -> User:
    """Return the user if it is the one that was meant, and not one before or after it."""
    if user is None or user.user_id != user_id:
        raise UnknownUser(user_id)
    return user


def _require_networks(allowed_ips: tuple[str, ...]) -> None:
    if len(allowed_ips) > ALLOWED_IPS_MAX:
        raise InvalidField("allowed_ips", f"at most {ALLOWED_IPS_MAX} are possible")
    for network in allowed_ips:
        try:
            ip_network(network)
        except ValueError:
            raise InvalidField("allowed_ips", "expected addresses or networks (CIDR)") from None
