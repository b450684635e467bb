"""One message through a phone: never two phones, never backwards, whatever comes in any order."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from signalbox.domain.errors import NotPushedToPhone, UnknownPhoneMessage
from signalbox.domain.phone_message import (
    Archive,
    Command,
    Event,
    ExpireOutbound,
    InboundReceived,
    OutboundExpired,
    OutboundGivenUp,
    OutboundPushed,
    OutboundQueued,
    PhoneMessage,
    PhoneMessageArchived,
    PushOutbound,
    QueueOutbound,
    ReceiveInbound,
    Reported,
    ReportStatus,
    Status,
    StatusReported,
    StatusReportIgnored,
    comparable,
    decide,
    evolve,
    inbox_of,
    key_of,
    owner_of,
    stream_of,
)

NOW_S: Final = 1_800_000_000.0
TTL_S: Final = 3600.0
QUEUE: Final = QueueOutbound(
    owner="usr_a",
    to="+15551234567",
    text="hello",
    segments=1,
    expires_at_s=NOW_S + TTL_S,
    peer_digest="d1",
    number=7,
    sim=1,
)
QUEUED: Final = OutboundQueued(
    owner="usr_a",
    to="+15551234567",
    text="hello",
    segments=1,
    expires_at_s=NOW_S + TTL_S,
    peer_digest="d1",
    number=7,
    sim=1,
)
LONG: Final = replace(QUEUED, segments=2)
PUSHED: Final = OutboundPushed(phone_id="dev_1", connection=10, attempt=1)
SENT: Final = StatusReported(status="sent", at_s=NOW_S, phone_id="dev_1")
DELIVERED: Final = StatusReported(status="delivered", at_s=NOW_S, phone_id="dev_1")
FAILED: Final = StatusReported(status="failed", at_s=NOW_S, phone_id="dev_1", error="no service")
RECEIVE: Final = ReceiveInbound(
    owner="org_a",
    sender="SUPPORT",
    text="",
    phone_id="pixel",
    received_at_s=NOW_S - 5,
    peer_digest="d2",
    number=3,
    device_ts_ms=1_800_000_000_000,
    sim_slot=0,
    sim_number="+15550001111",
)
RECEIVED: Final = InboundReceived(
    owner="org_a",
    sender="SUPPORT",
    text="",
    phone_id="pixel",
    received_at_s=NOW_S - 5,
    peer_digest="d2",
    number=3,
    device_ts_ms=1_800_000_000_000,
    sim_slot=0,
    sim_number="+15550001111",
)


def replay(history: Sequence[Event]) -> PhoneMessage | None:
    message = None
    for event in history:
        message = evolve(message, event, NOW_S)
    return message


def state(*history: Event) -> PhoneMessage:
    message = replay(history)
    assert message is not None
    return message


def when(command: Command, given: Sequence[Event] = (), now_s: float = NOW_S) -> tuple[Event, ...]:
    return decide(replay(given), command, now_s)


def said(status: Reported, **changes: object) -> ReportStatus:
    told = ReportStatus(status=status, at_s=NOW_S, phone_id="dev_1")
    return replace(told, **changes)  # type: ignore[arg-type]


def push(connection: int = 10, phone_id: str = "dev_1", **changes: object) -> PushOutbound:
    is_same_phone = phone_id == "dev_1"
    command = PushOutbound(phone_id=phone_id, connection=connection, is_same_phone=is_same_phone)
    return replace(command, **changes)  # type: ignore[arg-type]


# how it begins


def test_a_text_that_is_to_be_sent_is_queued_once() -> None:
    assert when(QUEUE) == (QUEUED,)
    assert when(QUEUE, given=[QUEUED]) == ()


def test_a_text_that_came_in_is_received_once() -> None:
    assert when(RECEIVE) == (RECEIVED,)
    assert when(RECEIVE, given=[RECEIVED]) == ()


def test_a_phones_clock_that_is_ahead_is_not_believed() -> None:
    ahead = replace(RECEIVE, received_at_s=NOW_S + 1)
    assert when(ahead) == (replace(RECEIVED, received_at_s=NOW_S),)


def test_what_is_known_of_a_message() -> None:
    queued, received = state(QUEUED), state(RECEIVED)
    assert (queued.direction, queued.status, queued.peer) == ("outbound", "queued", "+15551234567")
    assert (received.direction, received.status, received.peer) == (
        "inbound", "received", "SUPPORT",
    )  # fmt: skip
    assert queued.is_open
    assert not received.is_open
    assert (received.device_ts_ms, received.sim_slot) == (1_800_000_000_000, 0)


@pytest.mark.parametrize("command", [said("sent"), push(), ExpireOutbound(), Archive()])
def test_what_nobody_queued_is_unknown(command: Command) -> None:
    with pytest.raises(UnknownPhoneMessage):
        when(command)


@pytest.mark.parametrize("status", ["sent", "delivered", "failed"])
def test_nothing_is_reported_of_what_came_in(status: Reported) -> None:
    with pytest.raises(UnknownPhoneMessage):
        when(said(status, phone_id=""), given=[RECEIVED])


@pytest.mark.parametrize("command", [push(), ExpireOutbound()])
def test_what_came_in_is_neither_pushed_nor_given_up(command: Command) -> None:
    assert when(command, given=[RECEIVED], now_s=NOW_S + 2 * TTL_S) == ()


@pytest.mark.parametrize("message", [QUEUED, RECEIVED])
def test_a_message_is_put_aside_once(message: Event) -> None:
    assert when(Archive(), given=[message]) == (PhoneMessageArchived(),)
    assert when(Archive(), given=[message, PhoneMessageArchived()]) == ()


def test_what_was_put_aside_is_still_sent() -> None:
    assert when(push(), given=[QUEUED, PhoneMessageArchived()]) == (PUSHED,)


# how it gets to a phone


def test_any_phone_may_have_it_first() -> None:
    assert when(push(), given=[QUEUED]) == (PUSHED,)
    other = push(phone_id="dev_2")
    assert when(other, given=[QUEUED]) == (replace(PUSHED, phone_id="dev_2"),)


def test_no_other_phone_gets_it_after_that() -> None:
    assert when(push(99, "dev_2"), given=[QUEUED, PUSHED], now_s=NOW_S + 60) == ()


def test_the_same_connection_does_not_get_it_twice() -> None:
    assert when(push(10), given=[QUEUED, PUSHED], now_s=NOW_S + 60) == ()


def test_an_older_connection_does_not_get_it_again() -> None:
    assert when(push(9), given=[QUEUED, PUSHED], now_s=NOW_S + 60) == ()


def test_a_newer_connection_of_its_phone_gets_it_again_after_a_while() -> None:
    assert when(push(11), given=[QUEUED, PUSHED], now_s=NOW_S + 29.9) == ()
    again = OutboundPushed(phone_id="dev_1", connection=11, attempt=2)
    assert when(push(11), given=[QUEUED, PUSHED], now_s=NOW_S + 30) == (again,)


def test_a_phone_without_a_name_may_come_back_as_another() -> None:
    again = OutboundPushed(phone_id="line-2", connection=11, attempt=2)
    same = push(11, "line-2", is_same_phone=True)
    assert when(same, given=[QUEUED, PUSHED], now_s=NOW_S + 30) == (again,)


def test_it_is_given_up_when_no_push_was_ever_confirmed() -> None:
    history = [QUEUED, PUSHED, replace(PUSHED, connection=11, attempt=2)]
    third = OutboundPushed(phone_id="dev_1", connection=12, attempt=3)
    assert when(push(12), given=history, now_s=NOW_S + 60) == (third,)
    assert when(push(13), given=[*history, third], now_s=NOW_S + 60) == (OutboundGivenUp(3),)
    assert when(push(13), given=[*history, third], now_s=NOW_S + 10) == ()
    message = state(*history, third, OutboundGivenUp(3))
    assert (message.status, message.error) == ("failed", "no confirmation")


def test_too_late_a_push_gives_it_up() -> None:
    assert when(push(), given=[QUEUED], now_s=NOW_S + TTL_S) == (OutboundExpired(),)


@pytest.mark.parametrize("end", [SENT, DELIVERED, FAILED, OutboundExpired(), OutboundGivenUp(1)])
def test_what_is_settled_is_not_pushed_again(end: Event) -> None:
    assert when(push(11), given=[QUEUED, PUSHED, end], now_s=NOW_S + 60) == ()


# what becomes of it in time


@pytest.mark.parametrize("history", [[QUEUED], [QUEUED, PUSHED]])
def test_it_is_given_up_when_its_time_is_over_and_not_before(history: list[Event]) -> None:
    assert when(ExpireOutbound(), given=history, now_s=NOW_S + TTL_S - 0.1) == ()
    assert when(ExpireOutbound(), given=history, now_s=NOW_S + TTL_S) == (OutboundExpired(),)
    message = state(*history, OutboundExpired())
    assert (message.status, message.error, message.is_open) == ("failed", "expired", False)


@pytest.mark.parametrize("end", [SENT, DELIVERED, FAILED, OutboundExpired(), OutboundGivenUp(1)])
def test_what_is_settled_does_not_expire(end: Event) -> None:
    assert when(ExpireOutbound(), given=[QUEUED, PUSHED, end], now_s=NOW_S + 2 * TTL_S) == ()


# what the phone says: the whole table, for a message of one part and of two

GUESS: Final = OutboundExpired()
ACCEPTED, IGNORED, NOTHING = "accepted", "ignored", "nothing"


@pytest.mark.parametrize(("before", "told", "short", "long"), [
    ([], "sent", ACCEPTED, ACCEPTED),
    ([], "delivered", ACCEPTED, ACCEPTED),
    ([], "failed", ACCEPTED, ACCEPTED),
    ([SENT], "sent", NOTHING, NOTHING),
    ([SENT], "delivered", ACCEPTED, ACCEPTED),
    ([SENT], "failed", ACCEPTED, ACCEPTED),
    ([DELIVERED], "sent", IGNORED, IGNORED),
    ([DELIVERED], "delivered", NOTHING, NOTHING),
    ([DELIVERED], "failed", IGNORED, IGNORED),
    ([FAILED], "sent", IGNORED, IGNORED),
    ([FAILED], "delivered", ACCEPTED, IGNORED),
    ([FAILED], "failed", NOTHING, NOTHING),
    ([SENT, FAILED], "sent", IGNORED, IGNORED),
    ([SENT, FAILED], "delivered", ACCEPTED, IGNORED),
    ([FAILED, DELIVERED], "failed", IGNORED, IGNORED),
    ([GUESS], "sent", ACCEPTED, ACCEPTED),
    ([GUESS], "delivered", ACCEPTED, ACCEPTED),
    ([GUESS], "failed", IGNORED, IGNORED),
    ([GUESS, SENT], "failed", ACCEPTED, ACCEPTED),
    ([GUESS, SENT, FAILED], "sent", IGNORED, IGNORED),
])  # fmt: skip
def test_a_report_moves_a_message_forward_or_is_kept_as_ignored(
    before: list[Event], told: Reported, short: str, long: str
) -> None:
    for queued, expected in ((QUEUED, short), (LONG, long)):
        history = [queued, PUSHED, *before]
        accepted = StatusReported(status=told, at_s=NOW_S, phone_id="dev_1")
        ignored = StatusReportIgnored(status=told, current=state(*history).status, phone_id="dev_1")
        outcomes = {ACCEPTED: (accepted,), IGNORED: (ignored,), NOTHING: ()}
        assert when(said(told), given=history) == outcomes[expected], queued


@pytest.mark.parametrize(("queued", "outcome"), [(QUEUED, "sent"), (LONG, "failed")])
def test_a_good_word_may_override_the_failure_of_a_short_text(
    queued: OutboundQueued, outcome: Status
) -> None:
    history = [queued, PUSHED, FAILED]
    after = [*history, *when(said("sent", overrides_failure=True), given=history)]
    assert state(*after).status == outcome


def test_a_bad_word_may_come_too_late_after_a_good_one() -> None:
    for queued in (QUEUED, LONG):
        history = [queued, PUSHED, SENT]
        (ignored,) = when(said("failed", keeps_success=True), given=history)
        assert ignored == StatusReportIgnored(status="failed", current="sent", phone_id="dev_1")
        history = [queued, PUSHED]
        after = [*history, *when(said("failed", keeps_success=True), given=history)]
        assert state(*after).status == "failed"


def test_delivered_at_once_means_sent_at_the_same_time() -> None:
    for history in ([QUEUED], [QUEUED, PUSHED]):
        message = state(*history, DELIVERED)
        assert message.sent_at_s == message.delivered_at_s == NOW_S


def test_the_time_of_sending_stays() -> None:
    later = replace(DELIVERED, at_s=NOW_S + 9)
    message = state(QUEUED, PUSHED, SENT, later)
    assert (message.sent_at_s, message.delivered_at_s) == (NOW_S, NOW_S + 9)


def test_the_reason_of_a_failure_is_kept_until_it_proves_wrong() -> None:
    told = said("failed", error="no service")
    assert when(told, given=[QUEUED, PUSHED]) == (FAILED,)
    assert state(QUEUED, PUSHED, FAILED).error == "no service"
    assert state(QUEUED, PUSHED, FAILED, DELIVERED).error == ""


def test_the_same_contradiction_is_kept_once() -> None:
    history = [QUEUED, PUSHED, DELIVERED]
    ignored = when(said("failed"), given=history)
    assert when(said("failed"), given=[*history, *ignored]) == ()
    assert when(said("sent"), given=[*history, *ignored]) != ()


def test_only_the_phone_that_got_it_has_a_say() -> None:
    for history in ([QUEUED, PUSHED], [QUEUED, PUSHED, SENT]):
        with pytest.raises(NotPushedToPhone):
            when(said("sent", phone_id="dev_2"), given=history)


def test_what_no_phone_got_yet_belongs_to_the_one_that_tells_of_it() -> None:
    told = when(said("sent"), given=[QUEUED])
    assert told == (SENT,)
    assert state(QUEUED, *told).phone_id == "dev_1"
    with pytest.raises(NotPushedToPhone):
        when(said("delivered", phone_id="dev_2"), given=[QUEUED, *told])
    assert when(push(), given=[QUEUED, *told]) == ()


def test_anybody_has_a_say_where_phones_have_no_names() -> None:
    told = StatusReported(status="sent", at_s=NOW_S)
    assert when(said("sent", phone_id=""), given=[QUEUED]) == (told,)


@pytest.mark.parametrize(("told_s", "believed_s"), [
    (NOW_S + 5, NOW_S + 5),
    (NOW_S + 11, NOW_S + 10),
    (NOW_S - 1, NOW_S),
    (0.0, NOW_S),
])  # fmt: skip
def test_a_time_is_believed_between_acceptance_and_now(told_s: float, believed_s: float) -> None:
    (told,) = when(said("sent", at_s=told_s), given=[QUEUED, PUSHED], now_s=NOW_S + 10)
    assert told == replace(SENT, at_s=believed_s)


def test_nothing_is_delivered_before_it_was_sent() -> None:
    history = [QUEUED, PUSHED, replace(SENT, at_s=NOW_S + 5)]
    (told,) = when(said("delivered", at_s=NOW_S + 3), given=history, now_s=NOW_S + 10)
    assert told == replace(DELIVERED, at_s=NOW_S + 5)


# names


@pytest.mark.parametrize("owner", ["usr_0a", "org_acme", "org_a-b_c-", "org_-"])
@pytest.mark.parametrize("key", ["7", "0198f3a000007000800000000000000b"])
def test_a_stream_tells_its_owner_and_its_key(owner: str, key: str) -> None:
    stream = stream_of(owner, key)
    assert (owner_of(stream), key_of(stream)) == (owner, key)


def test_owners_have_inboxes_of_their_own() -> None:
    assert inbox_of("usr_a") != inbox_of("usr_b")


@pytest.mark.parametrize(("one", "other"), [
    ("+1 (555) 123-4567", "+15551234567"), ("+49/171.1", "+491711"), ("Support", "SUPPORT"),
    ("Straße", "STRASSE"),
])  # fmt: skip
def test_spellings_of_a_peer_are_told_to_be_the_same(one: str, other: str) -> None:
    assert comparable(one) == comparable(other) != comparable("+1555")


# any sequence

PHONES: Final = ("dev_1", "dev_2", "dev_3")
ATTEMPTS_MAX: Final = 3
RANKS: Final[dict[Status, int]] = {
    "queued": 0, "sending": 1, "sent": 2, "delivered": 3, "failed": 3,
}  # fmt: skip


class AnyMessage(RuleBasedStateMachine):
    """A message that phones, reports and the clock come to in any order."""

    @initialize(segments=st.integers(1, 3))
    def begin(self, segments: int) -> None:
        self.now_s = NOW_S
        self.connection = 10
        self.events: list[Event] = []
        self.message: PhoneMessage | None = None
        self.before: PhoneMessage | None = None
        self.overriding = False
        self.command(replace(QUEUE, segments=segments))

    def command(self, command: Command) -> tuple[Event, ...]:
        self.before = self.message
        self.overriding = isinstance(command, ReportStatus) and command.overrides_failure
        try:
            events = decide(self.message, command, self.now_s)
        except NotPushedToPhone:
            assert isinstance(command, ReportStatus)
            assert self.state.phone_id not in {"", command.phone_id}
            return ()
        for event in events:
            self.message = evolve(self.message, event, self.now_s)
        self.events += events
        assert decide(self.message, command, self.now_s) == (), "deciding again changes nothing"
        return events

    @property
    def state(self) -> PhoneMessage:
        assert self.message is not None
        return self.message

    @rule(seconds=st.sampled_from([0.5, 10, 30, 600, 3000]))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(phone=st.sampled_from(PHONES), is_new=st.booleans())
    def phone_has_room(self, phone: str, is_new: bool) -> None:  # noqa: FBT001  a strategy's
        self.connection += is_new
        self.command(
            PushOutbound(
                phone_id=phone,
                connection=self.connection,
                is_same_phone=phone == self.state.phone_id,
                attempts_max=ATTEMPTS_MAX,
            )
        )

    @rule(
        phone=st.sampled_from([*PHONES, ""]),
        status=st.sampled_from(["sent", "delivered", "failed"]),
        ago_s=st.floats(-900, 9000),
        overrides=st.booleans(),
    )
    def phone_reports(
        self,
        phone: str,
        status: Reported,
        ago_s: float,
        overrides: bool,  # noqa: FBT001
    ) -> None:
        told_s = self.now_s - ago_s
        self.command(
            ReportStatus(status=status, at_s=told_s, phone_id=phone, overrides_failure=overrides)
        )

    @rule()
    def expires(self) -> None:
        self.command(ExpireOutbound())

    @precondition(lambda self: not self.state.archived)
    @rule()
    def is_put_aside(self) -> None:
        self.command(Archive())

    @invariant()
    def one_phone_at_most(self) -> None:
        pushed = [one for one in self.events if isinstance(one, OutboundPushed)]
        told = [one for one in self.events if isinstance(one, StatusReported) and one.phone_id]
        assert {one.phone_id for one in (*pushed, *told)} <= {self.state.phone_id}
        assert [one.attempt for one in pushed] == list(range(1, len(pushed) + 1))
        assert len(pushed) == self.state.attempts <= ATTEMPTS_MAX
        connections = [one.connection for one in pushed]
        assert connections == sorted(set(connections))

    @invariant()
    def never_backwards(self) -> None:
        before, after = self.before, self.state
        if before is None or RANKS[after.status] >= RANKS[before.status]:
            return
        assert (before.status, after.status) == ("failed", "sent")
        assert before.is_guess or (self.overriding and before.segments == 1)

    @invariant()
    def settled_stays_settled(self) -> None:
        before, after = self.before, self.state
        if before is not None and not before.is_open:
            assert not after.is_open
        if before is not None and before.status == "delivered":
            assert after.status == "delivered"
        if before is not None and before.status == "failed" != after.status:
            assert before.is_guess or before.segments == 1

    @invariant()
    def times_are_possible(self) -> None:
        before, after = self.before, self.state
        times = [after.accepted_at_s, after.sent_at_s, after.delivered_at_s, self.now_s]
        known = [one for one in times if one is not None]
        assert known == sorted(known)
        assert (after.sent_at_s is not None) >= (after.status in {"sent", "delivered"})
        assert (after.delivered_at_s is not None) == (after.status == "delivered")
        if before is not None and before.sent_at_s is not None:
            assert after.sent_at_s == before.sent_at_s

    @invariant()
    def the_error_is_that_of_a_failure(self) -> None:
        assert self.state.status == "failed" or not self.state.error

    @invariant()
    def replaying_tells_the_same(self) -> None:
        kept = [one for one in self.events if isinstance(one, StatusReportIgnored)]
        assert len(kept) <= 3
        assert self.state.archived == (PhoneMessageArchived() in self.events)


AnyMessage.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestAnyMessage = AnyMessage.TestCase
