"""Receipts of certified mail ("posta elettronica certificata", Italian D.P.R. 68/2005).

    X-Ricevuta: accettazione ──▶ pec_acceptance     avvenuta-consegna ──▶ pec_delivery
                non-accettazione, errore-consegna, preavviso-errore-consegna, … ──▶ pec_error

The provider names the mail by the Message-ID it got (`X-Riferimento-Message-ID`), and sends it back
with what it delivered. A subject counts only in mails from the providers' own sender.
"""

from dataclasses import dataclass
from email.message import Message
from email.utils import getaddresses
from typing import Final

from signalbox.domain import dsn
from signalbox.domain.mail import PecReceipt

SENDER: Final = "posta-certificata"
KINDS: Final[dict[str, PecReceipt]] = {
    "accettazione": "pec_acceptance",
    "presa-in-carico": "pec_acceptance",
    "avvenuta-consegna": "pec_delivery",
    "consegna": "pec_delivery",
    "non-accettazione": "pec_error",
    "errore-consegna": "pec_error",
    "mancata-consegna": "pec_error",
    "preavviso-errore-consegna": "pec_error",
    "rilevazione-virus": "pec_error",
}
SUBJECTS: Final[tuple[tuple[str, PecReceipt], ...]] = (
    ("accettazione:", "pec_acceptance"),
    ("presa in carico:", "pec_acceptance"),
    ("consegna:", "pec_delivery"),
    ("avviso di non accettazione", "pec_error"),
    ("avviso di mancata consegna", "pec_error"),
    ("problema di sicurezza", "pec_error"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a provider says of a mail; `details` only where something went wrong."""

    origin: dsn.Origin
    kind: PecReceipt
    details: str = ""


def read(raw: bytes) -> Receipt | None:
    """Return what a mail says of one that was certified, None if it is no receipt."""
    message = dsn.parse(raw)
    kind = _kind(message)
    if kind is None:
        return None
    details = dsn.first_text(message) if kind == "pec_error" else ""
    return Receipt(origin=_origin(message), kind=kind, details=details)


def _kind(message: Message) -> PecReceipt | None:
    named = dsn.text_of(message, "X-Ricevuta").strip().lower().replace("_", "-")
    if named:
        return KINDS.get(named.replace(" ", "-"))
    senders = getaddresses([dsn.text_of(message, "From")])
    if not any(address.lower().partition("@")[0] == SENDER for _, address in senders):
        return None
    subject = dsn.text_of(message, "Subject").strip().lower()
    return next((kind for prefix, kind in SUBJECTS if subject.startswith(prefix)), None)


def _origin(message: Message) -> dsn.Origin:
    guess = dsn.guess_in(dsn.text_of(message, "X-Riferimento-Message-ID"))
    found = dsn.origin_of(message)
    return found if found.pk or not guess else dsn.Origin(guess=guess)
