"""Secrets that nobody chose: made once, kept in SIGNALBOX_HOME, readable by their owner only."""

import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from signalbox.ops.settings import Settings, SettingsError

SECRET_KEY_FILE: Final = "secret_key"  # noqa: S105  # a file name
ADMIN_API_KEY_FILE: Final = "admin_api_key"
SECRET_OCTETS: Final = 32
FILE_MODE: Final = 0o600


@dataclass(frozen=True, slots=True)
class Kept:
    """A secret and the sentence that tells an operator where it comes from; never the secret."""

    value: str
    origin: str


def keep(path: Path) -> Kept:
    """Return the secret kept at `path`, making it if there is none.

    Raises:
        SettingsError: the file can be neither read nor made, or it is empty.
    """
    try:
        return _read(path) if path.exists() else _make(path)
    except OSError as error:
        raise SettingsError(f"SIGNALBOX_HOME: cannot keep {path}: {error.strerror}") from None


def with_kept_keys(settings: Settings) -> tuple[Settings, str]:
    """Fill in SECRET_KEY and ADMIN_API_KEY where unset; say where the admin key is from."""
    secret_key, admin_api_key = settings.secret_key, settings.admin_api_key
    origin = "from ADMIN_API_KEY"
    if not secret_key:
        secret_key = keep(settings.home / SECRET_KEY_FILE).value
    if not admin_api_key:
        kept = keep(settings.home / ADMIN_API_KEY_FILE)
        admin_api_key, origin = kept.value, kept.origin
    filled = msgspec.structs.replace(settings, secret_key=secret_key, admin_api_key=admin_api_key)
    return filled, origin


def with_secret_key(settings: Settings) -> Settings:
    """Fill in the SECRET_KEY that `signalbox up` kept, if there is one; never make one."""
    path = settings.home / SECRET_KEY_FILE
    if settings.secret_key or not path.exists():
        return settings
    return msgspec.structs.replace(settings, secret_key=keep(path).value)


def require_secret_key(settings: Settings) -> None:
    """Refuse to go on without SECRET_KEY.

    Raises:
        SettingsError: it is not set.
    """
    if not settings.secret_key:
        raise SettingsError("SECRET_KEY is not set: give 32 random bytes or more, always the same")


def _read(path: Path) -> Kept:
    value = path.read_text(encoding="ascii").strip()
    if not value:
        raise SettingsError(f"{path} is empty: remove it and a new secret is made")
    path.chmod(FILE_MODE)
    return Kept(value, f"kept in {path}")


def _make(path: Path) -> Kept:
    """Write a new secret; of two processes that do so at once both return the first one's."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(SECRET_OCTETS) + "\n")
            file.flush()
            os.fsync(descriptor)
        os.link(name, path)
    except FileExistsError:
        return _read(path)
    finally:
        Path(name).unlink()
    return Kept(_read(path).value, f"made now and kept in {path}")
