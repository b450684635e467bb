"""Data keys without a database: every tenant has the same one, until it is destroyed."""

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from typing_extensions import override

from signalbox.domain.errors import TenantErased
from signalbox.eventstore.secrets import KEY_OCTETS, TenantKeys


class KnownKeys(TenantKeys):
    """Keys of zeros, so that what was sealed with them once can be opened for ever."""

    @override
    def __init__(self) -> None:
        self.destroyed: set[str] = set()

    @override
    def cipher(self, tenant_id: str) -> AESGCM:
        if tenant_id in self.destroyed:
            raise TenantErased(tenant_id)
        return AESGCM(bytes(KEY_OCTETS))

    @override
    def reading_cipher(self, tenant_id: str) -> AESGCM | None:
        return None if tenant_id in self.destroyed else self.cipher(tenant_id)

    @override
    def destroy(self, tenant_id: str) -> None:
        self.destroyed.add(tenant_id)
