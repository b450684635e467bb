"""The command `signalbox license make`: a signed licence, for those who give licences away."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signalbox.actors.license_key import LicenseKey
from signalbox.domain.errors import BadLicense
from signalbox.ops.keys import FILE_MODE
from signalbox.ops.settings import SettingsError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from pathlib import Path


def make(arguments: argparse.Namespace) -> int:
    """Print a signed licence; with a new key also write both halves of it.

    Raises:
        SettingsError: no key can be read or made, or the gateway would refuse the licence.
    """
    _require_day(arguments.valid_until)
    claims = {
        "company": arguments.company,
        "valid_until": arguments.valid_until,
        "max_connections": arguments.max_connections,
        "max_tps": arguments.max_tps,
        "iat": int(datetime.now(UTC).timestamp()),
    }
    _refuse_what_gateways_would(claims)
    if arguments.secret_env is not None:
        token = jwt.encode(claims, _secret(arguments.secret_env), algorithm="HS256")
    else:
        private_key = _read(arguments.private_key) if arguments.private_key else _new(arguments)
        token = jwt.encode(claims, private_key, algorithm="EdDSA")
    sys.stdout.write(f"{token}\n")
    return 0


def _require_day(text: str) -> None:
    try:
        is_day = date.fromisoformat(text).isoformat() == text
    except ValueError:
        is_day = False
    if not is_day:
        raise SettingsError(f"--valid-until: expected a day like 2027-12-31, got {text!r}")


def _refuse_what_gateways_would(claims: Mapping[str, object]) -> None:
    try:
        LicenseKey("").read(json.dumps(claims).encode())
    except BadLicense as refusal:
        raise SettingsError(str(refusal)) from None


def _secret(variable: str) -> str:
    secret = os.environ.get(variable, "")
    if not secret:
        raise SettingsError(f"--secret-env: {variable} is not set")
    try:
        LicenseKey(secret)
    except ValueError as error:
        raise SettingsError(f"--secret-env: {variable}: {error}") from None
    return secret


def _read(file: Path) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except OSError as error:
        raise SettingsError(f"--private-key: {file}: {error.strerror}") from None
    except (ValueError, TypeError):
        raise SettingsError(f"--private-key: {file} needs to hold a key without password") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(f"--private-key: {file} holds no Ed25519 key")
    return key


def _new(arguments: argparse.Namespace) -> Ed25519PrivateKey:
    """Make a key, and write it for its owner's eyes only, beside it the public one."""
    private_key, file = Ed25519PrivateKey.generate(), arguments.new_key
    pem = private_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public_file = file.with_name(f"{file.name}.pub")
    try:
        with open(file, "xb", opener=_for_owner) as private:
            private.write(pem)
        public_file.write_text(_public_pem(private_key), encoding="ascii")
    except OSError as error:
        raise SettingsError(f"--new-key: {error.filename}: {error.strerror}") from None
    sys.stderr.write(f"signalbox: the key is in {file}; LICENSE_KEY is what {public_file} holds\n")
    return private_key


def _for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, FILE_MODE)


def _public_pem(private_key: Ed25519PrivateKey) -> str:
    return (
        private_key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
