"""One message's rules: given what happened, when a command comes, then these events follow."""

from collections.abc import Sequence
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from signalbox.domain.command_status import CommandStatus
from signalbox.domain.errors import InvalidField, LinkIsDisabled, Refused, TextTooLong, UnknownLink
from signalbox.domain.link import InDoubt, Link, LinkSpec
from signalbox.domain.message import (
    REROUTES_MAX,
    UNKNOWN_OUTCOMES_MAX,
    AcceptMessage,
    AttemptSubmit,
    Command,
    Event,
    Message,
    MessageAccepted,
    MessageRerouted,
    MessageSubmitted,
    ReceiptRecorded,
    RecordReceipt,
    RecordResponse,
    RecordSilence,
    RerouteMessage,
    SubmitAttempted,
    SubmitOutcomeUnknown,
    SubmitRefused,
    accept,
    decide,
    evolve,
    id_of,
    message_status,
    stream_of,
)
from signalbox.domain.receipts import FINAL, PartStatus
from signalbox.domain.text import LongMode

NOW_S: Final = 1_790_000_000.0
SPEC: Final = LinkSpec(name="a", host="smsc.example", port=2775, system_id="us")
LINK: Final = Link(1, SPEC, enabled=True)

OK: Final = CommandStatus.ESME_ROK
INVALID: Final = CommandStatus.ESME_RINVDSTADR
SYSTEM: Final = CommandStatus.ESME_RSYSERR
SUBMIT_FAILED: Final = CommandStatus.ESME_RSUBMITFAIL
THROTTLED: Final = CommandStatus.ESME_RTHROTTLED
NOT_BOUND: Final = CommandStatus.ESME_RINVBNDSTS


def accepted(parts: int = 1) -> MessageAccepted:
    return MessageAccepted(
        link_id=1, app_id=7, task_id=1000, source="Signalbox", destination="49170", text="hi",
        encoding="gsm7", long_mode="udh8", parts=parts,
    )  # fmt: skip


ACCEPTED: Final = accepted()
ATTEMPTED: Final = SubmitAttempted(part=1, attempt=1, link_id=1)
SUBMITTED: Final = MessageSubmitted(part=1, smsc_id="A1", link_id=1)
HELD: Final = SubmitOutcomeUnknown(1, "no answer in time", "hold")


def replay(history: Sequence[Event], at_s: float = NOW_S) -> Message:
    message: Message | None = None
    for event in history:
        message = evolve(message, event, at_s)
    assert message is not None
    return message


def when(command: Command, given: Sequence[Event], now_s: float = NOW_S) -> tuple[Event, ...]:
    return decide(replay(given), command, now_s)


def response(status: int, smsc_id: str = "", age_s_max: float = 1200) -> RecordResponse:
    return RecordResponse(1, status, smsc_id, pause_s=4, age_s_max=age_s_max)


def receipt(status: PartStatus, smsc_id: str = "A1") -> RecordReceipt:
    return RecordReceipt(1, smsc_id, status, status.upper(), "000", "2611210241")


def received(status: PartStatus, smsc_id: str = "A1") -> ReceiptRecorded:
    return ReceiptRecorded(1, smsc_id, status, status.upper(), "000", "2611210241")


def refused(status: int, error: str, retry_in_s: float | None) -> SubmitRefused:
    return SubmitRefused(1, status, error, retry_in_s)


def text_of(text: str, link: Link = LINK, parts_max: int = 10) -> tuple[MessageAccepted]:
    command = AcceptMessage(
        app_id=7, task_id=1000, source="Signalbox", destination="49170", text=text,
        transaction_id="t-1", campaign="spring", request_digest="d", parts_max=parts_max,
    )  # fmt: skip
    return accept(link, command)


# acceptance


def test_a_short_text_is_accepted_as_one_part_with_everything_the_request_said() -> None:
    assert text_of("hi") == (
        MessageAccepted(
            link_id=1, app_id=7, task_id=1000, source="Signalbox", destination="49170", text="hi",
            encoding="gsm7", long_mode="udh8", parts=1, transaction_id="t-1", campaign="spring",
            request_digest="d",
        ),
    )  # fmt: skip


def test_a_text_beyond_the_alphabet_of_the_link_is_accepted_as_ucs2() -> None:
    (event,) = text_of("😀" * 40)
    assert (event.encoding, event.parts) == ("ucs2", 2)


@pytest.mark.parametrize(("mode", "parts"), [("udh8", 2), ("udh16", 3), ("sar", 2), ("payload", 1)])
def test_the_long_mode_of_the_link_decides_how_many_parts_there_are(
    mode: LongMode, parts: int
) -> None:
    spec = LinkSpec(name="a", host="h", port=1, system_id="us", long_mode=mode)
    (event,) = text_of("x" * 306, Link(1, spec, enabled=True))
    assert (event.long_mode, event.parts) == (mode, parts)


def test_a_text_of_more_parts_than_allowed_is_refused() -> None:
    with pytest.raises(TextTooLong, match="needs 2 parts, at most 1 are allowed"):
        text_of("x" * 161, parts_max=1)


def test_an_empty_text_is_refused() -> None:
    with pytest.raises(InvalidField, match="invalid message: empty"):
        text_of("")


def test_a_link_that_is_switched_off_or_not_configured_accepts_nothing() -> None:
    for link, refusal in ((Link(1, SPEC, enabled=False), LinkIsDisabled), (Link(1), UnknownLink)):
        with pytest.raises(refusal):
            text_of("hi", link)


def test_a_message_id_and_its_stream_name_each_other() -> None:
    assert id_of(stream_of("0192-a")) == "0192-a"


def test_a_link_that_stands_in_for_another_is_named_beside_the_one_that_was_asked_for() -> None:
    command = AcceptMessage(
        app_id=7, task_id=1, source="S", destination="49170", text="hi", requested_link_id=2
    )
    (event,) = accept(LINK, command)
    assert (event.link_id, event.carrier_id, event.first_link_id) == (2, 1, 1)
    assert evolve(None, event, NOW_S).link_id == 1


# changing the link

REROUTE: Final = RerouteMessage(2, "link down")
REROUTED: Final = MessageRerouted(2, "link down")


def test_a_message_that_waits_goes_over_to_another_link_with_all_its_parts() -> None:
    assert when(REROUTE, given=(accepted(2),)) == (REROUTED,)
    attempts = when(AttemptSubmit(2, 2), given=(accepted(2), REROUTED))
    assert attempts == (SubmitAttempted(2, 1, 2),)


def test_a_message_stays_where_it_is() -> None:
    assert when(RerouteMessage(1, "link down"), given=(ACCEPTED,)) == ()


def test_no_part_changes_its_link_once_one_was_attempted() -> None:
    refused = SubmitRefused(1, SYSTEM, "busy", 30.0)
    for history in ((ATTEMPTED,), (ATTEMPTED, refused), (ATTEMPTED, MessageSubmitted(1, "a", 1))):
        assert when(REROUTE, given=(accepted(2), *history)) == ()


def test_a_message_is_not_passed_on_for_ever() -> None:
    there_and_back = [MessageRerouted(2 - n % 2, "link down") for n in range(REROUTES_MAX - 1)]
    given = (ACCEPTED, *there_and_back)
    (last,) = when(RerouteMessage(9, "link down"), given)
    assert when(RerouteMessage(10, "link down"), (*given, last)) == ()


# attempts


def test_a_waiting_part_is_attempted() -> None:
    assert when(AttemptSubmit(1, 1), given=(ACCEPTED,)) == (ATTEMPTED,)


def test_each_part_is_attempted_by_itself() -> None:
    given = (accepted(2), ATTEMPTED)
    assert when(AttemptSubmit(2, 1), given) == (SubmitAttempted(2, 1, 1),)


@pytest.mark.parametrize("given", [
    (ACCEPTED, ATTEMPTED),
    (ACCEPTED, ATTEMPTED, SUBMITTED),
    (ACCEPTED, ATTEMPTED, HELD),
    (ACCEPTED, ATTEMPTED, refused(INVALID, "e", None)),
    (ACCEPTED, ATTEMPTED, received("delivered")),
])  # fmt: skip
def test_a_part_on_its_way_or_past_it_is_not_attempted_again(given: Sequence[Event]) -> None:
    assert when(AttemptSubmit(1, 1), given) == ()


def test_a_part_put_off_is_attempted_when_its_time_has_come() -> None:
    given = (ACCEPTED, ATTEMPTED, refused(SYSTEM, "e", 30.0))
    assert when(AttemptSubmit(1, 1), given, NOW_S + 29.9) == ()
    assert when(AttemptSubmit(1, 1), given, NOW_S + 30.0) == (SubmitAttempted(1, 2, 1),)


# answers


def test_an_answer_with_an_id_submits_the_part() -> None:
    assert when(response(OK, "A1"), given=(ACCEPTED, ATTEMPTED)) == (SUBMITTED,)


def test_an_answer_without_an_id_submits_it_too() -> None:
    assert when(response(OK), given=(ACCEPTED, ATTEMPTED)) == (MessageSubmitted(1, "", 1),)


def test_the_same_answer_again_changes_nothing() -> None:
    assert when(response(OK, "A1"), given=(ACCEPTED, ATTEMPTED, SUBMITTED)) == ()


def test_the_answer_to_a_second_copy_is_told_for_it_has_an_id_of_its_own() -> None:
    given = (ACCEPTED, ATTEMPTED, SUBMITTED)
    assert when(response(OK, "A2"), given) == (MessageSubmitted(1, "A2", 1),)


@pytest.mark.parametrize("resolution", ["resend", "hold", "fail"])
def test_a_late_answer_settles_what_was_in_doubt(resolution: InDoubt) -> None:
    given = (ACCEPTED, ATTEMPTED, SubmitOutcomeUnknown(1, "no answer in time", resolution))
    assert when(response(OK, "A1"), given) == (SUBMITTED,)
    assert replay((*given, SUBMITTED)).part(1).status == "submitted"


def test_a_late_refusal_of_an_attempt_given_up_changes_nothing() -> None:
    assert when(response(INVALID), given=(ACCEPTED, ATTEMPTED, HELD)) == ()


def test_a_permanent_error_is_final() -> None:
    error = "ESME_RINVDSTADR (0x0000000B)"
    assert when(response(INVALID), given=(ACCEPTED, ATTEMPTED)) == (refused(INVALID, error, None),)


def test_a_transient_error_is_tried_three_times_30_seconds_apart() -> None:
    error = "ESME_RSYSERR (0x00000008)"
    put_off = refused(SYSTEM, error, 30.0)
    first = (ACCEPTED, ATTEMPTED)
    second = (*first, put_off, SubmitAttempted(1, 2, 1))
    third = (*second, put_off, SubmitAttempted(1, 3, 1))
    assert when(response(SYSTEM), first) == (put_off,)
    assert when(response(SYSTEM), second) == (put_off,)
    assert when(response(SYSTEM), third) == (refused(SYSTEM, error, None),)


def test_a_failed_submit_is_tried_once_more() -> None:
    error = "ESME_RSUBMITFAIL (0x00000045)"
    put_off = refused(SUBMIT_FAILED, error, 30.0)
    assert when(response(SUBMIT_FAILED), given=(ACCEPTED, ATTEMPTED)) == (put_off,)
    given = (ACCEPTED, ATTEMPTED, put_off, SubmitAttempted(1, 2, 1))
    assert when(response(SUBMIT_FAILED), given) == (refused(SUBMIT_FAILED, error, None),)


def test_throttling_puts_the_part_off_for_the_pause_of_the_link_without_end_of_tries() -> None:
    put_off = refused(THROTTLED, "ESME_RTHROTTLED (0x00000058)", 4.0)
    given: tuple[Event, ...] = (ACCEPTED,)
    for attempt in range(1, 20):
        given = (*given, SubmitAttempted(1, attempt, 1))
        assert when(response(THROTTLED), given) == (put_off,)
        given = (*given, put_off)


def test_throttling_does_not_use_up_the_tries_for_other_errors() -> None:
    throttled = refused(THROTTLED, "ESME_RTHROTTLED (0x00000058)", 4.0)
    again = (throttled, ATTEMPTED)
    given = (ACCEPTED, ATTEMPTED, *again, *again, *again)
    (event,) = when(response(SYSTEM), given)
    assert event == refused(SYSTEM, "ESME_RSYSERR (0x00000008)", 30.0)


def test_a_part_refused_for_too_long_fails() -> None:
    error = "ESME_RTHROTTLED (0x00000058)"
    given = (ACCEPTED, ATTEMPTED, refused(THROTTLED, error, 4.0), ATTEMPTED)
    assert when(response(THROTTLED), given, NOW_S + 1200) == (refused(THROTTLED, error, 4.0),)
    assert when(response(THROTTLED), given, NOW_S + 1201) == (refused(THROTTLED, error, None),)


def test_a_lost_session_is_tried_at_once_three_times_in_all() -> None:
    error = "ESME_RINVBNDSTS (0x00000004)"
    again = (refused(NOT_BOUND, error, 0.0), ATTEMPTED)
    assert when(response(NOT_BOUND), (ACCEPTED, ATTEMPTED)) == again[:1]
    assert when(response(NOT_BOUND), (ACCEPTED, ATTEMPTED, *again)) == again[:1]
    given = (ACCEPTED, ATTEMPTED, *again, *again)
    assert when(response(NOT_BOUND), given) == (refused(NOT_BOUND, error, None),)


# silence


@pytest.mark.parametrize(("policy", "status"), [
    ("resend", "pending"), ("hold", "unknown"), ("fail", "failed"),
])  # fmt: skip
def test_silence_is_resolved_as_the_link_says(policy: InDoubt, status: PartStatus) -> None:
    doubt = SubmitOutcomeUnknown(1, "cut", policy)
    given = (ACCEPTED, ATTEMPTED)
    assert when(RecordSilence(1, "cut", policy), given) == (doubt,)
    assert replay((*given, doubt)).part(1).status == status


def test_silence_about_a_part_that_is_not_on_its_way_changes_nothing() -> None:
    silence = RecordSilence(1, "cut", "resend")
    assert when(silence, given=(ACCEPTED,)) == ()
    assert when(silence, given=(ACCEPTED, ATTEMPTED, SUBMITTED)) == ()


def test_a_part_is_resent_twice_and_then_held() -> None:
    resend = SubmitOutcomeUnknown(1, "cut", "resend")
    given = (ACCEPTED, ATTEMPTED, resend, ATTEMPTED, resend, ATTEMPTED)
    held = SubmitOutcomeUnknown(1, "cut", "hold")
    assert when(RecordSilence(1, "cut", "resend"), given) == (held,)


# receipts


def test_a_receipt_is_recorded() -> None:
    given = (ACCEPTED, ATTEMPTED, SUBMITTED)
    assert when(receipt("delivered"), given) == (received("delivered"),)


def test_the_same_receipt_again_changes_nothing_whatever_came_between() -> None:
    given = (ACCEPTED, ATTEMPTED, SUBMITTED, received("enroute"), received("delivered"))
    assert when(receipt("enroute"), given) == ()
    assert when(receipt("delivered"), given) == ()


def test_a_receipt_after_the_final_one_is_recorded_but_takes_nothing_back() -> None:
    given = (ACCEPTED, ATTEMPTED, SUBMITTED, received("delivered"))
    assert when(receipt("expired"), given) == (received("expired"),)
    assert replay((*given, received("expired"))).part(1).status == "delivered"


def test_a_message_that_arrived_was_not_lost_after_all() -> None:
    given = (ACCEPTED, ATTEMPTED, SUBMITTED, received("undeliverable"), received("delivered"))
    assert replay(given).part(1).status == "delivered"


def test_a_receipt_before_the_answer_settles_the_part_and_the_answer_adds_the_id() -> None:
    early = (ACCEPTED, ATTEMPTED, received("delivered"))
    assert not replay(early).needs_work
    assert when(response(OK, "A1"), early) == (SUBMITTED,)
    part = replay((*early, SUBMITTED)).part(1)
    assert (part.status, part.smsc_id) == ("delivered", "A1")


def test_a_receipt_settles_a_part_that_was_held() -> None:
    given = (ACCEPTED, ATTEMPTED, HELD, received("delivered"))
    assert replay(given).part(1).status == "delivered"


# the one word


@pytest.mark.parametrize(("parts", "word"), [
    (("pending", "pending"), "queued"),
    (("pending", "submitted"), "sending"),
    (("submitted", "submitted"), "submitted"),
    (("submitted", "enroute"), "submitted"),
    (("submitted", "delivered"), "sending"),
    (("delivered", "delivered"), "delivered"),
    (("delivered", "expired"), "partially_delivered"),
    (("expired", "failed"), "failed"),
    (("expired", "rejected"), "rejected"),
    (("deleted", "expired"), "deleted"),
    (("unknown", "unknown"), "unknown"),
    (("unknown", "delivered"), "sending"),
])  # fmt: skip
def test_the_parts_add_up_to_one_word(parts: tuple[PartStatus, ...], word: str) -> None:
    assert message_status(parts) == word
    assert message_status(parts[::-1]) == word


def test_needs_work_ends_when_every_part_has_an_outcome() -> None:
    given: tuple[Event, ...] = (accepted(2), ATTEMPTED, SUBMITTED)
    assert replay(given).needs_work
    failed = SubmitRefused(2, INVALID, "e", None)
    assert not replay((*given, SubmitAttempted(2, 1, 1), failed)).needs_work


# laws


@given(st.text(max_size=400), st.integers(1, 10))
def test_any_text_is_accepted_or_refused(text: str, parts_max: int) -> None:
    try:
        (event,) = text_of(text, parts_max=parts_max)
    except Refused:
        return
    assert 1 <= event.parts <= parts_max


STATUSES: Final = st.sampled_from([*CommandStatus, 0x400, 0xFFFFFFFF])
RECEIPTS: Final = st.sampled_from(
    ["enroute", "accepted", "unknown", "delivered", "expired", "deleted", "undeliverable",
     "rejected"],
)  # fmt: skip
SMSC_IDS: Final = st.sampled_from(["", "A1", "A2"])
PARTS: Final = st.integers(1, 3)


class AnyHistory(RuleBasedStateMachine):
    """A message of three parts to which everything happens, in any order, at any time."""

    @initialize()
    def accept(self) -> None:
        self.now_s = NOW_S
        self.message = evolve(None, accepted(3), self.now_s)
        self.history: list[tuple[Event, float]] = [(accepted(3), self.now_s)]

    def command(self, command: Command) -> tuple[Event, ...]:
        before = self.message
        events = decide(before, command, self.now_s)
        assert len(events) <= 1
        for event in events:
            self.message = evolve(self.message, event, self.now_s)
            self.history.append((event, self.now_s))
        for was, now in zip(before.parts, self.message.parts, strict=True):
            self.absorbs(was.status, now.status, events)
        return events

    @staticmethod
    def absorbs(was: PartStatus, now: PartStatus, events: tuple[Event, ...]) -> None:
        if was not in FINAL or was == now:
            return
        # Only a late answer settles what was given up, only an arrival overrules a loss.
        late = was == "failed" and isinstance(events[0], MessageSubmitted)
        arrived = was in {"undeliverable", "expired"} and now == "delivered"
        assert late or arrived, (was, now)

    @rule(part=PARTS)
    def attempt(self, part: int) -> None:
        waited = self.message.part(part).waits_for_submit
        due = self.message.part(part).retry_at_s <= self.now_s
        assert bool(self.command(AttemptSubmit(part, self.message.link_id))) == (waited and due)

    @rule(link_id=st.integers(1, 3))
    def reroute(self, link_id: int) -> None:
        touched = any(part.attempts or not part.needs_work for part in self.message.parts)
        moved = self.command(RerouteMessage(link_id, "link down"))
        assert not (moved and touched)
        assert not moved or self.message.link_id == link_id

    @rule(part=PARTS, status=STATUSES, smsc_id=SMSC_IDS, pause_s=st.floats(0, 30))
    def respond(self, part: int, status: int, smsc_id: str, pause_s: float) -> None:
        self.command(RecordResponse(part, status, smsc_id, pause_s, age_s_max=1200))

    @rule(part=PARTS, in_doubt=st.sampled_from(["resend", "hold", "fail"]))
    def fall_silent(self, part: int, in_doubt: InDoubt) -> None:
        self.command(RecordSilence(part, "cut", in_doubt))

    @rule(part=PARTS, status=RECEIPTS, smsc_id=SMSC_IDS)
    def report(self, part: int, status: PartStatus, smsc_id: str) -> None:
        command = RecordReceipt(part, smsc_id, status, "", "", "")
        self.command(command)
        assert self.command(command) == ()

    @rule(seconds=st.floats(0, 2000))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @invariant()
    def a_part_on_its_way_needs_work(self) -> None:
        for part in self.message.parts:
            assert part.needs_work or not part.in_flight

    @invariant()
    def doubt_is_bounded(self) -> None:
        for part in self.message.parts:
            resent = part.unknown_outcomes if part.status == "pending" else 0
            assert resent < UNKNOWN_OUTCOMES_MAX

    @invariant()
    def the_history_replays_to_the_same_message(self) -> None:
        message: Message | None = None
        for event, at_s in self.history:
            message = evolve(message, event, at_s)
        assert message == self.message


AnyHistory.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnyHistory = AnyHistory.TestCase


@given(st.data())
def test_work_on_a_message_ends_whatever_the_smsc_answers(data: st.DataObject) -> None:
    message, now_s = evolve(None, ACCEPTED, NOW_S), NOW_S
    steps = 0
    while message.needs_work:
        steps += 1
        assert steps < 500
        now_s = max(now_s + 1, message.part(1).retry_at_s)
        for command in (AttemptSubmit(1, 1), data.draw(ANSWERS)):
            for event in decide(message, command, now_s):
                message = evolve(message, event, now_s)


ANSWERS: Final = st.one_of(
    st.builds(RecordResponse, st.just(1), STATUSES, SMSC_IDS, st.just(4.0), st.just(1200.0)),
    st.builds(RecordSilence, st.just(1), st.just("cut"), st.just("resend")),
)
