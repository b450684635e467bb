"""Secrets of the mail proxy that have to be shown to others later: passwords, tokens, keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from signalbox.domain.mail_account import UNSEALED, Sealed

if TYPE_CHECKING:
    from signalbox.actors.transports.imap import Place
    from signalbox.eventstore.secrets import SecretBox

MAILBOX_DIGITS: Final = 16


class MailSecrets:
    """Seals secrets, and opens them. Nothing stays nothing."""

    def __init__(self, box: SecretBox) -> None:
        self._box = box

    def seal(self, secret: str) -> Sealed:
        """Return a secret as it may be stored."""
        return Sealed(self._box.seal(secret)) if secret else UNSEALED

    def open_secret(self, sealed: Sealed) -> str:
        """Return what was sealed. Raises: `ValueError` when SECRET_KEY is another one by now."""
        return self._box.open(sealed) if sealed else ""

    def mailbox(self, place: Place) -> str:
        """Return what tells a mailbox from others, and tells nobody where it is."""
        where = (place.host.lower(), str(place.port), place.user, place.folder)
        return self._box.digest("mailbox", *where)[:MAILBOX_DIGITS]
