"""Receipts of certified mail."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bounces import ACCEPTED, ANSWER, DELIVERED, NOT_DELIVERED, PK, octets

from signalbox.domain.dsn import Origin
from signalbox.domain.pec import Receipt, read


def test_an_acceptance_names_the_mail_by_its_message_id() -> None:
    assert read(octets(ACCEPTED)) == Receipt(origin=Origin(guess=PK), kind="pec_acceptance")


def test_a_delivery_has_the_mail_in_it() -> None:
    assert read(octets(DELIVERED)) == Receipt(origin=Origin(pk=PK), kind="pec_delivery")


def test_an_error_says_what_was_wrong() -> None:
    receipt = read(octets(NOT_DELIVERED))
    assert receipt is not None
    assert (receipt.kind, receipt.details) == ("pec_error", "5.1.1 - indirizzo non valido")


@pytest.mark.parametrize(
    ("named", "kind"),
    [
        ("accettazione", "pec_acceptance"),
        ("presa_in_carico", "pec_acceptance"),
        ("Avvenuta-Consegna", "pec_delivery"),
        ("mancata_consegna", "pec_error"),
        ("non-accettazione", "pec_error"),
        ("preavviso-errore-consegna", "pec_error"),
        ("rilevazione-virus", "pec_error"),
    ],
)
def test_what_the_header_names_counts(named: str, kind: str) -> None:
    receipt = read(octets(ACCEPTED.replace("X-Ricevuta: accettazione", f"X-Ricevuta: {named}")))
    assert receipt is not None
    assert receipt.kind == kind


@pytest.mark.parametrize(
    ("subject", "kind"),
    [
        ("ACCETTAZIONE: x", "pec_acceptance"),
        ("CONSEGNA: x", "pec_delivery"),
        ("AVVISO DI NON ACCETTAZIONE: x", "pec_error"),
        ("AVVISO DI MANCATA CONSEGNA PER SUPERAMENTO TEMPO MASSIMO: x", "pec_error"),
    ],
)
def test_without_it_the_subject_counts_if_a_provider_wrote_it(subject: str, kind: str) -> None:
    text = f"From: Posta <posta-certificata@pec.example.it>\nSubject: {subject}\n\nx\n"
    receipt = read(octets(text))
    assert receipt is not None
    assert receipt.kind == kind
    assert read(octets(text.replace("posta-certificata", "ann"))) is None


@pytest.mark.parametrize("text", [ANSWER, "X-Ricevuta: altro\n\nx\n", "X-Trasporto: errore\n\nx\n"])
def test_what_is_no_receipt_is_none(text: str) -> None:
    assert read(octets(text)) is None


@given(st.binary(max_size=200))
def test_nothing_anybody_sends_is_too_odd(noise: bytes) -> None:
    read(noise)
    read(b"X-Ricevuta: accettazione\r\n" + noise)
