"""Receipts as real centres write them."""

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signalbox.domain.receipts import (
    FINAL,
    MessageIdBase,
    PartStatus,
    Receipt,
    correlation_key,
    is_handset_acknowledgement,
    is_receipt,
    lookup_keys,
    next_status,
    read_receipt,
    receipt_text,
)

PLAIN = (
    "id:0123456789 sub:001 dlvrd:001 submit date:2401011200 done date:2401011201"
    " stat:DELIVRD err:000 text:Your code is 123"
)
STATUSES: tuple[PartStatus, ...] = get_args(PartStatus)
statuses = st.sampled_from(STATUSES)
fast = settings(deadline=None, max_examples=200)


def read(text: str) -> Receipt | None:
    return read_receipt(text, receipted_id=None, message_state=None)


def status_of(message_state: int | None, stat: str) -> PartStatus:
    receipt = read_receipt(f"id:1 stat:{stat}", receipted_id=None, message_state=message_state)
    assert receipt is not None
    return receipt.status


def test_the_standards_own_text_is_read_field_by_field() -> None:
    assert read(PLAIN) == Receipt(
        smsc_id="0123456789",
        status="delivered",
        error_code="000",
        stat="DELIVRD",
        submit_date="2401011200",
        done_date="2401011201",
    )


def test_parameters_come_before_the_text() -> None:
    receipt = read_receipt(PLAIN, receipted_id="ABC", message_state=5)

    assert receipt is not None
    assert (receipt.smsc_id, receipt.status, receipt.stat) == ("ABC", "undeliverable", "DELIVRD")


def test_parameters_alone_are_enough() -> None:
    assert read_receipt("", receipted_id="ABC", message_state=2) == Receipt(
        "ABC", "delivered", "", "", "", ""
    )


@pytest.mark.parametrize(
    ("text", "smsc_id", "stat", "error_code"),
    [
        ("ID:7 STAT:UNDELIV ERR:69", "7", "UNDELIV", "69"),
        ("id: 7 stat: EXPIRED err: 001", "7", "EXPIRED", "001"),
        ("id:7 sub:001 dlvrd:001 done_date:2401 stat:EXPIRED", "7", "EXPIRED", ""),
        ("id:a1b2-c3_d4@x stat:DELIVRD,", "a1b2-c3_d4@x", "DELIVRD", ""),
        ("id:7 err:1234567890123 stat:REJECTD", "7", "REJECTD", "123456789"),
        ("stat:DELIVRD id:7", "7", "DELIVRD", ""),
        ("id:7 stat: err:001", "7", "", "001"),
        ("id:7", "7", "", ""),
        ("id:7 stat:DELIVRD err:000\0", "7", "DELIVRD", "000"),
        ("id:7 Text:id:8 stat:DELIVRD", "7", "", ""),
        ("id:7 stat:DELIVRD id:8 stat:EXPIRED", "7", "DELIVRD", ""),
        ("paid:1 id:7 stat:DELIVRD", "7", "DELIVRD", ""),
    ],
)
def test_variants_of_the_text_are_understood(
    text: str, smsc_id: str, stat: str, error_code: str
) -> None:
    receipt = read(text)

    assert receipt is not None
    assert (receipt.smsc_id, receipt.stat, receipt.error_code) == (smsc_id, stat, error_code)


@pytest.mark.parametrize(
    "text", ["", "hi", "id: sub:001 stat:DELIVRD", "stat:DELIVRD", "id:" + "9" * 66]
)
def test_a_text_that_names_no_message_is_no_receipt(text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize(
    ("message_state", "stat", "status"),
    [
        (1, "ENROUTE", "enroute"),
        (1, "BUFFRED", "enroute"),
        (2, "DELIVRD", "delivered"),
        (3, "EXPIRED", "expired"),
        (4, "DELETED", "deleted"),
        (5, "UNDELIV", "undeliverable"),
        (5, "FAILED", "undeliverable"),
        (6, "ACCEPTD", "accepted"),
        (6, "acked", "accepted"),
        (7, "UNKNOWN", "unknown"),
        (7, "SNAFU", "unknown"),
        (8, "REJECTD", "rejected"),
    ],
)
def test_state_and_word_mean_the_same(message_state: int, stat: str, status: PartStatus) -> None:
    assert status_of(message_state, "") == status
    assert status_of(None, stat) == status


def test_a_state_nobody_defined_leaves_the_word_to_decide() -> None:
    assert status_of(99, "DELIVRD") == "delivered"
    assert status_of(99, "") == "unknown"


@pytest.mark.parametrize(
    ("esm_class", "expected"),
    [(0x00, False), (0x04, True), (0x44, True), (0x20, True), (0x08, False), (0x10, False)],
)
def test_esm_class_tells_receipts_from_messages(esm_class: int, *, expected: bool) -> None:
    assert is_receipt(esm_class, has_receipted_id=False, text=PLAIN, by_text=False) is expected


def test_an_id_parameter_makes_a_receipt_of_anything_but_an_acknowledgement() -> None:
    assert is_receipt(0x00, has_receipted_id=True, text="", by_text=False)
    assert not is_receipt(0x08, has_receipted_id=True, text="", by_text=False)
    assert [is_handset_acknowledgement(each) for each in (0x08, 0x10, 0x04, 0x00)] == [
        True,
        True,
        False,
        False,
    ]


def test_a_text_that_looks_like_a_receipt_is_one_only_where_the_link_says_so() -> None:
    assert not is_receipt(0x00, has_receipted_id=False, text=PLAIN, by_text=False)
    assert is_receipt(0x00, has_receipted_id=False, text=PLAIN, by_text=True)
    assert not is_receipt(0x00, has_receipted_id=False, text="id:7, see you", by_text=True)


def test_an_underscore_in_an_id_stays_one_whatever_the_default_alphabet() -> None:
    assert receipt_text(b"id:a_1", 0) == "id:a_1"
    assert receipt_text("id:a_1".encode("utf-16-be"), 8) == "id:a_1"


@pytest.mark.parametrize("current", sorted(FINAL))
def test_a_final_status_absorbs_unless_the_message_arrived_after_all(current: PartStatus) -> None:
    arrived_after_all = current in {"undeliverable", "expired"}

    for incoming in STATUSES:
        overruled = incoming == "delivered" and arrived_after_all
        assert next_status(current, incoming) == ("delivered" if overruled else current)


@given(statuses, st.lists(statuses, max_size=6))
def test_repeated_reports_change_nothing(current: PartStatus, reports: list[PartStatus]) -> None:
    for incoming in reports:
        current = next_status(current, incoming)
        assert next_status(current, incoming) == current


@given(st.permutations(["submitted", "enroute", "accepted", "unknown"]))
def test_the_order_of_intermediate_reports_does_not_matter(reports: list[PartStatus]) -> None:
    current: PartStatus = "pending"
    for incoming in reports:
        current = next_status(current, incoming)

    assert current == "unknown"


@pytest.mark.parametrize("late", ["pending", "submitted", "enroute"])
def test_a_late_report_does_not_lead_back(late: PartStatus) -> None:
    assert next_status("accepted", late) == "accepted"
    assert next_status(late, "accepted") == "accepted"


@pytest.mark.parametrize("final", sorted(FINAL))
def test_every_final_status_ends_the_unknown(final: PartStatus) -> None:
    assert next_status("unknown", final) == final


@pytest.mark.parametrize(
    ("smsc_id", "key"),
    [
        ("00ab12", "AB12"),
        (" ab12 ", "AB12"),
        ("0", "0"),
        ("000", "0"),
        ("", ""),
        ("00f1a2b3-0000-4000-8000-000000000001", "00F1A2B3-0000-4000-8000-000000000001"),
    ],
)
def test_spellings_of_one_id_share_a_key(smsc_id: str, key: str) -> None:
    assert correlation_key(smsc_id) == key


@pytest.mark.parametrize(
    ("receipt_id", "dlr_msgid", "keys"),
    [
        ("00255", 0, ("255",)),
        ("00255", 1, ("FF", "255")),
        ("00ff", 2, ("255", "FF")),
        ("7", 1, ("7",)),
        ("abc-7", 1, ("ABC-7",)),
        ("xyz", 2, ("XYZ",)),
        ("٣", 1, ("٣",)),
        ("9" * 5000, 1, ("9" * 5000,)),
        ("", 2, ()),
    ],
)
def test_a_receipts_id_is_looked_up_in_the_links_number_base_first(
    receipt_id: str, dlr_msgid: MessageIdBase, keys: tuple[str, ...]
) -> None:
    assert lookup_keys(receipt_id, dlr_msgid) == keys


@given(st.integers(0, 2**63))
def test_a_response_in_one_base_is_found_by_its_receipt_in_the_other(number: int) -> None:
    assert correlation_key(f"{number:x}") in lookup_keys(str(number), 1)
    assert correlation_key(str(number)) in lookup_keys(f"{number:08X}", 2)


@given(
    st.lists(
        st.one_of(
            st.sampled_from(["id:", "stat:", "err:", "done date:", "text:", " ", "\n", "7", "0x"]),
            st.text(max_size=20),
        ),
        max_size=60,
    ).map("".join),
    st.one_of(st.none(), st.text(max_size=100)),
    st.one_of(st.none(), st.integers(0, 2**64)),
)
@fast
def test_nothing_a_centre_writes_breaks_the_reader(
    text: str, receipted_id: str | None, message_state: int | None
) -> None:
    receipt = read_receipt(text, receipted_id=receipted_id, message_state=message_state)

    if receipt is None:
        return
    assert receipt.smsc_id
    assert receipt.status in STATUSES
    assert len(receipt.error_code) <= 9
    assert len(receipt.stat) <= 16
    for dlr_msgid in get_args(MessageIdBase):
        assert correlation_key(receipt.smsc_id) in lookup_keys(receipt.smsc_id, dlr_msgid)


@pytest.mark.parametrize("hostile", ["id:", "id: ", " ", "stat:done ", "\u0000", "submit date :"])
def test_only_the_beginning_of_a_hostile_text_is_looked_at(hostile: str) -> None:
    assert read(hostile * 20_000 + "id:7") == read((hostile * 20_000)[:1024])
