"""What statuses are called and what they lead to."""

import pytest
from smpplib import consts

from signalbox.domain.command_status import (
    BindPolicy,
    CommandStatus,
    SubmitPolicy,
    bind_policy,
    describe,
    submit_policy,
)


def test_every_status_of_the_standard_has_its_name() -> None:
    names = {
        value: f"{name.removeprefix('SMPP_')} (0x{value:08X})"
        for name, value in vars(consts).items()
        if name.startswith("SMPP_ESME_")
    }

    assert len(names) == len(CommandStatus)
    assert {value: describe(value) for value in names} == names


def test_a_status_without_a_name_shows_its_number() -> None:
    assert describe(0x400) == "SMSC status (0x00000400)"
    assert describe(0xFFFFFFFF) == "SMSC status (0xFFFFFFFF)"


@pytest.mark.parametrize(
    ("kind", "statuses"),
    [
        ("accepted", [0x00]),
        ("throttle", [0x58, 0x14]),
        ("transient", [0x08, 0x64, 0x45, 0xFE, 0xFF, 0x61]),
        ("session", [0x04, 0x02, 0x03]),
        ("permanent", [0x01, 0x06, 0x07, 0x0A, 0x0B, 0x0C, 0x15, 0x33, 0x34, 0x40, 0x42, 0x43]),
        ("permanent", [0x44, 0x48, 0x49, 0x50, 0x51, 0x54, 0x55, 0x62, 0x63, 0x65, 0x66]),
        ("permanent", [0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0x400, 0xFFFFFFFF]),
    ],
)
def test_each_answer_to_a_submission_leads_somewhere(kind: str, statuses: list[int]) -> None:
    assert {status: submit_policy(status).kind for status in statuses} == dict.fromkeys(
        statuses, kind
    )


def test_a_throttled_part_is_tried_without_counting() -> None:
    assert submit_policy(0x58) == SubmitPolicy("throttle", 1.0, 0)


def test_a_transient_refusal_is_retried_twice_and_a_failed_submission_once() -> None:
    assert submit_policy(0x08) == SubmitPolicy("transient", 30.0, 3)
    assert submit_policy(0x45) == SubmitPolicy("transient", 30.0, 2)


def test_a_permanent_refusal_is_never_retried() -> None:
    assert submit_policy(0x0B) == SubmitPolicy("permanent", 0.0, 1)


@pytest.mark.parametrize(
    ("status", "policy"),
    [
        (0x00, BindPolicy("bound", 0.0)),
        (0x05, BindPolicy("temporary", 30.0)),
        (0x08, BindPolicy("temporary", 30.0)),
        (0x0D, BindPolicy("temporary", 30.0)),
        (0x400, BindPolicy("temporary", 30.0)),
        (0x0E, BindPolicy("configuration", 300.0)),
        (0x0F, BindPolicy("configuration", 300.0)),
        (0x53, BindPolicy("configuration", 300.0)),
    ],
)
def test_a_refused_bind_waits_as_long_as_its_reason_lasts(status: int, policy: BindPolicy) -> None:
    assert bind_policy(status) == policy
