"""A mail from the call that queued it to its last receipt: histories, and laws of all histories."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from signalbox.domain import mail as m
from signalbox.domain.mail import Mail, decide, evolve

NOW = 1_796_464_800.0
QUEUE = m.QueueMail(tenant_id="acme", client_id="m-1", account_id="smtp1", content="{}")
REJECT = m.RejectMail(
    tenant_id="acme", client_id="m-1", account_id="ghost", content="{}", reason="missing from"
)
QUEUED = m.MailQueued(tenant_id="acme", client_id="m-1", account_id="smtp1", content="{}")
REPLACED = m.MailReplaced(tenant_id="acme", client_id="m-1", account_id="smtp1", content="{}")
REJECTED = m.MailRejected(
    tenant_id="acme", client_id="m-1", account_id="ghost", content="{}", reason="missing from"
)
ATTEMPTED = m.MailAttempted(1)
SENT = m.MailSent(250, "ok")
BUSY = m.RecordTrouble(code=451, reason="busy")
PUT_OFF = m.MailDeferred(NOW + 60, "busy", retry=True, code=451, released=False)
PARTLY = m.RecordDelivery(code=250, response="ok", remaining_reply=(450, "later"))
DOUBT = m.RecordDoubt(in_doubt="resend", reason="lost")
SHARE = m.Share(grouping="&gmail", date="2026-12-05", recipients=2, reservation_id="r-1")


def replay(events: Iterable[m.Event]) -> Mail | None:
    mail = None
    for event in events:
        mail = evolve(mail, event, NOW)
    return mail


def when(command: m.Command, *, given: Iterable[m.Event] = (), now_s: float = NOW) -> Any:  # noqa: ANN401
    return decide(replay(given), command, now_s)


def state(*events: m.Event) -> Mail:
    mail = replay(events)
    assert mail is not None
    return mail


def test_a_mail_is_queued() -> None:
    assert when(QUEUE) == (QUEUED,)


@pytest.mark.parametrize(("given", "kept"), [(-4, 0), (0, 0), (3, 3), (9, 3)])
def test_a_priority_is_one_of_four(given: int, kept: int) -> None:
    assert when(replace(QUEUE, priority=given)) == (replace(QUEUED, priority=kept),)


def test_a_mail_that_waits_is_replaced_by_the_same_id() -> None:
    assert when(QUEUE, given=[QUEUED]) == (REPLACED,)
    assert when(QUEUE, given=[QUEUED, ATTEMPTED, PUT_OFF]) == (REPLACED,)
    anew = state(QUEUED, ATTEMPTED, PUT_OFF, REPLACED)
    assert (anew.status, anew.attempts, anew.retries) == ("pending", 0, 0)


@pytest.mark.parametrize(
    "outcome", [(), (SENT,), (m.MailFailed(550, "no"),), (SENT, m.MailBounced("hard", "511", ""))]
)
def test_a_mail_that_left_or_failed_is_not_queued_again(outcome: tuple[m.Event, ...]) -> None:
    assert when(QUEUE, given=[QUEUED, ATTEMPTED, *outcome]) == ()


def test_a_mail_that_was_deleted_or_rejected_may_come_again() -> None:
    assert when(QUEUE, given=[QUEUED, ATTEMPTED, SENT, m.MailDeleted()]) == (QUEUED,)
    assert when(QUEUE, given=[REJECTED]) == (QUEUED,)


def test_what_can_not_be_a_mail_takes_no_place_that_another_has() -> None:
    assert when(REJECT) == (REJECTED,)
    assert when(REJECT, given=[QUEUED]) == when(REJECT, given=[REJECTED]) == ()
    assert when(REJECT, given=[QUEUED, m.MailDeleted()]) == (REJECTED,)
    assert state(REJECTED).error == "missing from"


def test_a_mail_is_attempted_once_at_a_time() -> None:
    assert when(m.AttemptMail(), given=[QUEUED]) == (ATTEMPTED,)
    assert when(m.AttemptMail(), given=[QUEUED, ATTEMPTED]) == ()
    assert when(m.AttemptMail(), given=[QUEUED, ATTEMPTED, SENT]) == ()
    again = when(m.AttemptMail(), given=[QUEUED, ATTEMPTED, PUT_OFF])
    assert again == (m.MailAttempted(2),)


def test_a_mail_is_sent_although_some_recipients_were_refused() -> None:
    taken = m.RecordDelivery(code=250, response="ok", refused=1, refusals='{"c@x":[550,"no"]}')
    events = when(taken, given=[QUEUED, ATTEMPTED])
    assert events == (m.MailSent(250, "ok", 1, '{"c@x":[550,"no"]}'),)
    assert state(QUEUED, ATTEMPTED, *events).refused_recipients == 1


def test_recipients_that_may_follow_are_tried_again_alone() -> None:
    taken = replace(PARTLY, refused=1, refusals="{}", remaining=(1, 3))
    events = when(taken, given=[QUEUED, ATTEMPTED])
    partly = m.MailPartlySent(250, "ok", (1, 3), 1, "{}")
    wait = m.MailDeferred(NOW + 60, "later", retry=True, code=450, released=False)
    assert events == (partly, wait)
    waiting = state(QUEUED, ATTEMPTED, *events)
    assert (waiting.status, waiting.remaining, waiting.retries) == ("deferred", (1, 3), 1)
    again = [QUEUED, ATTEMPTED, *events, m.MailAttempted(2)]
    rest = m.RecordDelivery(code=250, response="ok", refused=1)
    assert when(rest, given=again) == (m.MailSent(250, "ok", 2),)
    assert state(*again, m.MailSent(250, "ok", 2)).remaining == ()


def test_a_mail_that_some_have_is_sent_whatever_becomes_of_the_others() -> None:
    partly = [QUEUED, ATTEMPTED, m.MailPartlySent(250, "ok", (1, 3), 1), PUT_OFF]
    again = [*partly, m.MailAttempted(2)]
    assert when(m.FailMail(550, "no"), given=again) == (m.MailSent(550, "no", 3),)
    held = when(replace(DOUBT, in_doubt="hold"), given=again)
    unsure = "Delivery in doubt, not sent again: lost"
    assert held == (m.MailInDoubt(2, "hold", "lost"), m.MailSent(0, unsure, 3))
    tired = when(replace(BUSY, delays_s=(60.0,)), given=again)
    assert tired == (m.MailSent(451, "Max retries (1) exceeded: busy", 3),)
    late = m.RecordDelivery(code=250, response="ok", remaining=(3,), delays_s=())
    assert when(late, given=again) == (m.MailSent(250, "ok", 2),)


def test_while_more_and_more_recipients_have_a_mail_nobody_gives_up() -> None:
    history: list[m.Event] = [QUEUED]
    for attempt in range(1, 10):
        history.append(m.MailAttempted(attempt))
        remaining = tuple(range(attempt, 10))
        events = when(replace(PARTLY, remaining=remaining), given=history)
        assert isinstance(events[0], m.MailPartlySent)
        assert isinstance(events[1], m.MailDeferred)
        assert events[1].until_s == NOW + m.RETRY_DELAYS_S[0]
        history += events
    assert state(*history).retries == 1


def test_a_mail_that_some_have_is_not_queued_again() -> None:
    given = [QUEUED, ATTEMPTED, m.MailPartlySent(250, "ok", (1,)), PUT_OFF]
    assert when(QUEUE, given=given) == ()
    assert when(m.DeleteMail(), given=given) == (m.MailDeleted(),)


def test_each_temporary_failure_waits_longer_and_the_sixth_is_the_last() -> None:
    history: list[m.Event] = [QUEUED]
    for attempt, delay_s in enumerate(m.RETRY_DELAYS_S, start=1):
        history.append(m.MailAttempted(attempt))
        events = when(BUSY, given=history)
        assert events == (replace(PUT_OFF, until_s=NOW + delay_s),)
        history += events
    history.append(m.MailAttempted(6))
    assert when(BUSY, given=history) == (m.MailFailed(451, "Max retries (5) exceeded: busy"),)


def test_what_is_put_off_by_a_limit_costs_no_retry() -> None:
    put_off = when(m.DeferMail(NOW + 5, "rate limit exceeded"), given=[QUEUED])
    assert put_off == (m.MailDeferred(NOW + 5, "rate limit exceeded"),)
    mail = state(QUEUED, *put_off)
    assert (mail.status, mail.retries, mail.deferred_until_s) == ("deferred", 0, NOW + 5)


def test_a_doubt_is_resent_or_held() -> None:
    resent = when(DOUBT, given=[QUEUED, ATTEMPTED])
    assert resent == (m.MailInDoubt(1, "resend", "lost"),)
    assert state(QUEUED, ATTEMPTED, *resent).status == "pending"
    waiting = when(replace(DOUBT, delay_s=60), given=[QUEUED, ATTEMPTED])
    assert waiting == (*resent, m.MailDeferred(NOW + 60, "lost"))
    held = when(replace(DOUBT, in_doubt="hold"), given=[QUEUED, ATTEMPTED])
    failed = m.MailFailed(0, "Delivery in doubt, not sent again: lost")
    assert held == (m.MailInDoubt(1, "hold", "lost"), failed)
    assert state(QUEUED, ATTEMPTED, *held).status == "error"


def test_a_mail_is_not_resent_for_ever() -> None:
    history: list[m.Event] = [QUEUED]
    for attempt in range(1, 7):
        history.append(m.MailAttempted(attempt))
        history += when(DOUBT, given=history)
    assert history[-2] == m.MailInDoubt(6, "hold", "lost")


@pytest.mark.parametrize("command", [BUSY, DOUBT, m.RecordDelivery(code=250, response="ok")])
def test_an_answer_to_nothing_changes_nothing(command: m.Command) -> None:
    for given in ([], [QUEUED], [QUEUED, ATTEMPTED, SENT], [QUEUED, ATTEMPTED, m.MailDeleted()]):
        assert when(command, given=given) == ()


def test_warm_up_counts_recipients_once_a_day_unless_nothing_was_told_of_them() -> None:
    attempted = m.MailAttempted(1, "192.0.2.1", (SHARE,))
    counted = {("192.0.2.1", "&gmail", "2026-12-05"): 2}
    assert state(QUEUED, attempted, PUT_OFF).counted == counted
    assert state(QUEUED, attempted, SENT).counted == counted
    assert state(QUEUED, attempted, m.MailInDoubt(1, "resend")).counted == counted
    assert state(QUEUED, attempted, m.MailDeferred(NOW, "warmup: held")).counted == {}
    released = when(replace(BUSY, released=True), given=[QUEUED, attempted])
    assert state(QUEUED, attempted, *released).counted == {}


def test_a_mail_bounces_once_and_not_before_it_left() -> None:
    bounce = m.RecordBounce(kind="hard", code="511", reason="no such user")
    bounced = m.MailBounced("hard", "511", "no such user")
    assert when(bounce, given=[QUEUED]) == ()
    assert when(bounce, given=[QUEUED, ATTEMPTED, SENT]) == (bounced,)
    assert when(bounce, given=[QUEUED, ATTEMPTED, SENT, bounced]) == ()


def test_a_mail_that_was_late_may_still_come_back_for_good() -> None:
    late, gone = m.MailBounced("soft", "447", "late"), m.MailBounced("hard", "511", "gone")
    soft = m.RecordBounce(kind="soft", code="447", reason="late")
    hard = m.RecordBounce(kind="hard", code="511", reason="gone")
    assert when(hard, given=[QUEUED, ATTEMPTED, SENT, late]) == (gone,)
    assert when(soft, given=[QUEUED, ATTEMPTED, SENT, late]) == ()
    assert when(soft, given=[QUEUED, ATTEMPTED, SENT, late, gone]) == ()


def test_certified_mail_gets_each_receipt_once() -> None:
    queued = replace(QUEUED, is_pec=True)
    receipt = m.RecordPecReceipt(kind="pec_acceptance", details="ok")
    recorded = m.PecReceiptRecorded("pec_acceptance", "ok")
    assert when(receipt, given=[queued]) == (recorded,)
    assert when(receipt, given=[queued, recorded]) == ()
    assert when(m.MissPecAcceptance(), given=[queued, recorded]) == ()
    assert when(m.MissPecAcceptance(), given=[queued]) == (m.PecAcceptanceMissed(),)
    assert when(m.MissPecAcceptance(), given=[queued, m.PecAcceptanceMissed()]) == ()


def test_deleting_may_leave_what_waits() -> None:
    assert when(m.DeleteMail(), given=[QUEUED]) == (m.MailDeleted(),)
    cleanup = m.DeleteMail("cleanup", if_settled=True)
    assert when(cleanup, given=[QUEUED]) == ()
    assert when(cleanup, given=[QUEUED, ATTEMPTED, SENT]) == (m.MailDeleted("cleanup"),)
    assert when(m.DeleteMail(), given=[QUEUED, m.MailDeleted()]) == when(m.DeleteMail()) == ()


class AnyHistory(RuleBasedStateMachine):
    """Whatever is asked of a mail in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.mail: Mail | None = None
        self.history: list[m.Event] = []
        self.now_s = NOW

    def ask(self, command: m.Command) -> tuple[m.Event, ...]:
        events = decide(self.mail, command, self.now_s)
        for event in events:
            self.mail = evolve(self.mail, event, self.now_s)
        self.history += events
        return events

    @rule(later_s=st.floats(0, 10_000))
    def wait(self, later_s: float) -> None:
        self.now_s += later_s

    @rule(until_s=st.sampled_from([0.0, NOW + 5000]))
    def queue(self, until_s: float) -> None:
        may = self.mail is None or self.mail.may_come_again
        assert bool(self.ask(replace(QUEUE, deferred_until_s=until_s))) == may

    @rule(
        command=st.sampled_from(
            [
                REJECT,
                m.AttemptMail(source_ip="192.0.2.1", shares=(SHARE,)),
                m.RecordDelivery(code=250, response="ok"),
                replace(PARTLY, remaining=(1, 2)),
                replace(PARTLY, remaining=(2,)),
                BUSY,
                replace(BUSY, released=True),
                m.FailMail(550, "no"),
                DOUBT,
                replace(DOUBT, delay_s=60.0),
                replace(DOUBT, in_doubt="hold"),
                m.DeferMail(NOW + 100, "limit"),
                m.RecordBounce(kind="soft", code="421", reason="full"),
                m.RecordPecReceipt(kind="pec_delivery"),
                m.MissPecAcceptance(),
                m.DeleteMail(),
                m.DeleteMail("cleanup", if_settled=True),
            ]
        )
    )
    def anything(self, command: m.Command) -> None:
        self.ask(command)

    @invariant()
    def only_what_is_open_is_in_flight(self) -> None:
        assert self.mail is None or not self.mail.in_flight or self.mail.is_open

    @invariant()
    def every_attempt_has_one_outcome_at_most(self) -> None:
        open_attempts, is_partly_sent = 0, False
        for event in self.history:
            is_partly_sent |= isinstance(event, m.MailPartlySent)
            match event:
                case m.MailAttempted():
                    open_attempts += 1
                case m.MailPartlySent() | m.MailInDoubt():
                    open_attempts -= 1
                case m.MailSent() if not is_partly_sent:
                    open_attempts -= 1
                case m.MailDeferred() | m.MailFailed() | m.MailDeleted() | m.MailQueued():
                    open_attempts = 0
                case m.MailSent():  # It may be given up between two attempts.
                    open_attempts = 0
                case _:
                    pass
            assert open_attempts in {0, 1}

    @invariant()
    def a_mail_is_tried_six_times_and_doubted_six_times_at_most(self) -> None:
        assert self.mail is None or self.mail.retries <= len(m.RETRY_DELAYS_S)
        assert self.mail is None or self.mail.doubts <= len(m.RETRY_DELAYS_S) + 1

    @invariant()
    def a_mail_that_some_have_neither_fails_nor_begins_anew(self) -> None:
        if self.mail is not None and self.mail.remaining:
            assert self.mail.status not in {"sent", "error"}
            assert not self.mail.may_come_again or self.mail.status == "deleted"

    @invariant()
    def what_failed_says_why(self) -> None:
        assert self.mail is None or self.mail.status != "error" or self.mail.error


AnyHistory.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestAnyHistory = AnyHistory.TestCase
