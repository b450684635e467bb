"""What `signalbox mail` sends: bodies of what was said on the command line.

Secrets are on none: they come from a variable of the environment, or are asked for at the terminal.
"""

from __future__ import annotations

import getpass
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from signalbox.domain.errors import InvalidField
from signalbox.domain.webhook import read_url
from signalbox.ops import eml
from signalbox.ops.mail_command import ACCOUNT_KEYS, INSTANCE_KEYS, TENANT_KEYS
from signalbox.ops.settings import SettingsError

if TYPE_CHECKING:
    import argparse

Body = dict[str, Any]

PORTS: Final = range(1, 65_536)
LARGE_FILES: Final = (
    ("large_files_mb", "max_size_mb"),
    ("large_files_store", "storage_url"),
    ("large_files_url", "public_base_url"),
    ("large_files_days", "file_ttl_days"),
)


def tenant(given: argparse.Namespace) -> Body:
    """Return what is to be known of a tenant. Raises: `SettingsError`."""
    _require_url(given.client_base_url)
    body = _given(given, TENANT_KEYS)
    if given.auth is not None:
        body["client_auth"] = _auth(given)
    elif given.auth_user is not None or given.auth_secret_env is not None:
        raise SettingsError("mail: --auth-user and --auth-secret-env need --auth")
    files = {key: _value(given, name) for name, key in LARGE_FILES if _value(given, name)}
    if given.large_files is not None:
        is_on = given.large_files != "off"
        action = {"action": given.large_files} if is_on else {}
        body["large_file_config"] = {"enabled": is_on, **action, **files}
    elif files:
        raise SettingsError("mail: --large-files-… need --large-files")
    return body


def changes(body: Body) -> Body:
    """Return what is to change. Raises: `SettingsError` when nothing is."""
    if not body:
        raise SettingsError("mail: nothing to change was given: --help names what can be")
    return body


def account(given: argparse.Namespace) -> Body:
    """Return a mail account. Raises: `SettingsError`."""
    _require_port("--port", given.port)
    _require_port("--imap-port", given.imap_port)
    body = {"id": given.account, "tenant_id": given.tenant, **_given(given, ACCOUNT_KEYS)}
    if given.user:
        body["password"] = secret("--password-env", given.password_env, given.user)
    if given.imap_user:
        body["imap_password"] = secret(
            "--imap-password-env", given.imap_password_env, given.imap_user
        )
    if given.dkim_key is not None:
        body["dkim_private_key"] = _octets(given.dkim_key).decode(errors="replace")
    return body


def instance(given: argparse.Namespace) -> Body:
    """Return what is to change of the installation. Raises: `SettingsError`."""
    _require_port("--imap-port", given.bounce_imap_port)
    body = _given(given, INSTANCE_KEYS)
    if given.imap_password_env is not None or given.bounce_imap_user:
        body["bounce_imap_password"] = secret(
            "--imap-password-env", given.imap_password_env, given.bounce_imap_user or "the mailbox"
        )
    return body


def age(given: argparse.Namespace) -> Body:
    """Return how old mails are to be. Raises: `SettingsError`."""
    if given.older_than_s is None:
        return {}
    if given.older_than_s < 0:
        raise SettingsError(f"mail: --older-than-s: expected 0 or more, got {given.older_than_s}")
    return {"older_than_seconds": given.older_than_s}


def mail(given: argparse.Namespace) -> tuple[Body, tuple[str, ...]]:
    """Return the mail of a file as an item of add-messages, and what is not in that.

    Raises: `SettingsError`.
    """
    octets = _octets(given.file)
    try:
        item, left_out = eml.item_of(octets)
    except eml.BadEml as error:
        raise SettingsError(f"mail: {given.file}: {error}") from None
    ids = {"tenant_id": given.tenant, "account_id": given.account}
    optional = {
        "priority": given.priority,
        "batch_code": given.batch,
        "deferred_ts": moment("--not-before", given.not_before),
    }
    named = {"id": given.id or eml.id_of(octets), **ids, **item}
    item = named | {key: value for key, value in optional.items() if value is not None}
    return item, tuple(left_out)


def secret(option: str, variable: str | None, whose: str) -> str:
    """Return a secret. Raises: `SettingsError` when it is nowhere and nobody can be asked."""
    if variable is not None:
        if variable not in os.environ:
            raise SettingsError(f"mail: {option}: {variable} is not set")
        return os.environ[variable]
    if not sys.stdin.isatty():
        raise SettingsError(f"mail: needs {option}, or a terminal to ask at for {whose}'s password")
    return getpass.getpass(f"password of {whose}: ")


def moment(option: str, given: str | None) -> int | None:
    """Return a time in Unix seconds. Raises: `SettingsError` when it is none.

    >>> moment("--since", "2026-11-21T14:30"), moment("--since", "1795271400")
    (1795271400, 1795271400)
    """
    if given is None:
        return None
    if given.isascii() and given.isdigit():
        return int(given)
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        raise SettingsError(
            f"mail: {option}: expected Unix seconds or a time like 2026-11-21T14:30:00Z, "
            f"got {given!r}"
        ) from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


def _require_url(url: str | None) -> None:
    """Raise `SettingsError` unless it can be called; an empty one is none."""
    try:
        if url:
            read_url(url)
    except InvalidField as error:
        raise SettingsError(f"mail: --base-url: {error.reason}") from None


def _require_port(option: str, port: int | None) -> None:
    if port is not None and port not in PORTS:
        raise SettingsError(f"mail: {option}: expected {PORTS[0]} to {PORTS[-1]}, got {port}")


def _auth(given: argparse.Namespace) -> Body:
    if given.auth == "none":
        return {"method": "none"}
    whose = given.auth_user or f"{given.tenant}'s server"
    password = secret("--auth-secret-env", given.auth_secret_env, whose)
    if given.auth == "bearer":
        return {"method": "bearer", "token": password}
    if not given.auth_user:
        raise SettingsError("mail: --auth basic needs --auth-user")
    return {"method": "basic", "user": given.auth_user, "password": password}


def _given(given: argparse.Namespace, keys: tuple[str, ...]) -> Body:
    return {key: _value(given, key) for key in keys if _value(given, key) is not None}


def _value(given: argparse.Namespace, name: str) -> object:
    value: object = vars(given)[name]
    return value


def _octets(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise SettingsError(f"mail: {file}: {error.strerror}") from None
