"""What is encrypted and with which key.

SECRET_KEY ── HKDF ──▶ one key per purpose. `SecretBox` seals operational secrets (an application's
secret); `TenantKeys` holds a random data key per tenant for personal content, wrapped, in a table
outside the log: destroying the row's key erases the tenant. All of it is AES-256-GCM with random
96-bit nonces.
"""

import base64
import hmac
import os
from collections.abc import Iterable
from hashlib import blake2b
from time import monotonic
from typing import Any, Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from psycopg import Connection
from psycopg.rows import tuple_row

from signalbox.domain.errors import TenantErased
from signalbox.eventstore.postgres import Pool

NONCE_OCTETS: Final = 12
KEY_OCTETS: Final = 32
REMEMBERED_S: Final = 60.0  # how long a process goes on with a key after another destroyed it


def derive(secret_key: str, purpose: str) -> bytes:
    """Return the 32-octet key of one purpose (RFC 5869)."""
    kdf = HKDF(algorithm=SHA256(), length=KEY_OCTETS, salt=None, info=purpose.encode())
    return kdf.derive(secret_key.encode())


class SecretBox:
    """Seals short secrets with a key derived from SECRET_KEY, and makes keyed digests."""

    def __init__(self, secret_key: str) -> None:
        self._cipher = AESGCM(derive(secret_key, "secrets"))
        self._digest_key = derive(secret_key, "digests")

    def seal(self, secret: str) -> str:
        """Encrypt; the result is ASCII."""
        nonce = os.urandom(NONCE_OCTETS)
        sealed = nonce + self._cipher.encrypt(nonce, secret.encode(), None)
        return base64.b64encode(sealed).decode()

    def open(self, sealed: str) -> str:
        """Decrypt what `seal` made. Raises: `ValueError` when the key is another one."""
        octets = base64.b64decode(sealed)
        try:
            plain = self._cipher.decrypt(octets[:NONCE_OCTETS], octets[NONCE_OCTETS:], None)
        except InvalidTag:
            raise ValueError("sealed with another SECRET_KEY") from None
        return plain.decode()

    def digest(self, *parts: str) -> str:
        """Return a keyed digest (32 hex digits) of the parts; nobody can guess a part from it."""
        return self._hash(parts).hexdigest()

    def uuid(self, *parts: str) -> UUID:
        """Return a UUID (version 8, RFC 9562) that only depends on the parts and SECRET_KEY."""
        octets = bytearray(self._hash(parts).digest())
        octets[6] = 0x80 | (octets[6] & 0x0F)
        octets[8] = 0x80 | (octets[8] & 0x3F)
        return UUID(bytes=bytes(octets))

    def app_key(self, app_id: int, app_secret: str) -> bytes:
        """Return the key that signs an application's tokens."""
        return hmac.digest(self._digest_key, f"jwt\0{app_id}\0{app_secret}".encode(), "sha256")

    def token_key(self, purpose: str) -> bytes:
        """Return a key that signs tokens of one purpose, and that no application's key equals."""
        return hmac.digest(self._digest_key, f"jwt of\0{purpose}".encode(), "sha256")

    def _hash(self, parts: tuple[str, ...]) -> blake2b:
        # Lengths go in, so that ("a", "bc") and ("ab", "c") differ.
        text = "\0".join(f"{len(part)}:{part}" for part in parts)
        return blake2b(text.encode(), digest_size=16, key=self._digest_key)


class TenantKeys:
    """The data keys of the tenants, unwrapped and cached in this process."""

    def __init__(self, pool: Pool, secret_key: str) -> None:
        self._pool = pool
        self._wrapping = AESGCM(derive(secret_key, "tenant keys"))
        self._ciphers: dict[str, AESGCM | None] = {}  # None: destroyed, and never made again
        self._forgotten_s = monotonic()

    def cipher(self, tenant_id: str) -> AESGCM:
        """Return the tenant's cipher for writing, making its key the first time.

        Raises: `TenantErased`.
        """
        self._forget_now_and_then()
        cached = self._ciphers.get(tenant_id)
        if cached is not None:
            return cached
        nonce, key = os.urandom(NONCE_OCTETS), AESGCM.generate_key(256)
        wrapped = nonce + self._wrapping.encrypt(nonce, key, tenant_id.encode())
        with self._pool.connection() as connection:
            connection.execute(
                "INSERT INTO signalbox.tenant_keys (tenant_id, wrapped_key) VALUES (%s, %s)"
                " ON CONFLICT DO NOTHING",
                (tenant_id, wrapped),
            )
        self._ciphers.pop(tenant_id, None)  # Who read before the first write has found none.
        found = self.reading_cipher(tenant_id)
        if found is None:
            raise TenantErased(tenant_id)
        return found

    def reading_cipher(self, tenant_id: str) -> AESGCM | None:
        """Return the tenant's cipher for reading, or None when its key was destroyed.

        Raises: `ValueError` when SECRET_KEY is not the one the key was wrapped with.
        """
        self._forget_now_and_then()
        if tenant_id in self._ciphers:
            return self._ciphers[tenant_id]
        with self._pool.connection() as connection:
            row = connection.execute(
                "SELECT wrapped_key FROM signalbox.tenant_keys WHERE tenant_id = %s", (tenant_id,)
            ).fetchone()
        wrapped = row["wrapped_key"] if row is not None else None
        cipher = None if wrapped is None else self._unwrapped(tenant_id, bytes(wrapped))
        return self._ciphers.setdefault(tenant_id, cipher)

    def fetch(self, connection: Connection[Any], tenant_ids: Iterable[str]) -> None:
        """Get the keys of many tenants at once, those that are not known here.

        Raises: `ValueError` when SECRET_KEY is not the one the keys were wrapped with.
        """
        self._forget_now_and_then()
        unknown = [tenant_id for tenant_id in tenant_ids if tenant_id not in self._ciphers]
        if not unknown:
            return
        cursor = connection.cursor(row_factory=tuple_row)
        cursor.execute(
            "SELECT tenant_id, wrapped_key FROM signalbox.tenant_keys WHERE tenant_id = ANY(%s)",
            (unknown,),
        )
        wrapped: dict[str, bytes | None] = dict(cursor.fetchall())
        for tenant_id in unknown:
            key = wrapped.get(tenant_id)
            cipher = None if key is None else self._unwrapped(tenant_id, bytes(key))
            self._ciphers.setdefault(tenant_id, cipher)

    def _unwrapped(self, tenant_id: str, wrapped: bytes) -> AESGCM:
        nonce, sealed = wrapped[:NONCE_OCTETS], wrapped[NONCE_OCTETS:]
        try:
            return AESGCM(self._wrapping.decrypt(nonce, sealed, tenant_id.encode()))
        except InvalidTag:
            raise ValueError("tenant keys were wrapped with another SECRET_KEY") from None

    def destroy(self, tenant_id: str) -> None:
        """Erase the tenant: whatever was sealed for it can never be read again."""
        with self._pool.connection() as connection:
            connection.execute(
                "INSERT INTO signalbox.tenant_keys (tenant_id, destroyed_at)"
                " VALUES (%s, clock_timestamp()) ON CONFLICT (tenant_id)"
                " DO UPDATE SET wrapped_key = NULL, destroyed_at = clock_timestamp()",
                (tenant_id,),
            )
        self.forget()

    def forget(self) -> None:
        """Drop the cache."""
        self._ciphers.clear()
        self._forgotten_s = monotonic()

    def _forget_now_and_then(self) -> None:
        """A key that another process destroyed is gone here, too, after a while."""
        if monotonic() - self._forgotten_s > REMEMBERED_S:
            self.forget()
