"""Mails as their clients see them, and what the clients are to be told of."""

import random
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import pytest
from support.histories import T0_S, dead_letters, rows_of
from support.mail_histories import (
    ACME,
    CONTENT,
    DELETED,
    FAILED,
    SENT,
    Told,
    created,
    queued,
    rejected,
)

from signalbox.domain import mail as domain
from signalbox.domain.mail import (
    AttemptMail,
    DeferMail,
    DeleteMail,
    FailMail,
    Mail,
    MailAttempted,
    MailBounced,
    MailDeferred,
    MailInDoubt,
    MailReplaced,
    MailSent,
    MissPecAcceptance,
    PecAcceptanceMissed,
    PecReceiptRecorded,
    QueueMail,
    RecordBounce,
    RecordDelivery,
    RecordDoubt,
    RecordTrouble,
    RejectMail,
)
from signalbox.domain.mail_content import MailContent
from signalbox.domain.names import Event
from signalbox.eventstore.log import EventLog
from signalbox.projections import mail_views
from signalbox.projections.building import build, rebuild
from signalbox.projections.mail_readers import MailModels
from signalbox.projections.mail_views import MailEvent, MailView, ReportEvent
from signalbox.projections.models import PROJECTIONS
from signalbox.projections.projector import Projector

RETRIED: Final = MailDeferred(T0_S + 60.0, "(451, 'later') (SMTP 451)", retry=True, code=451)
LIMITED: Final = MailDeferred(T0_S + 90.0, "rate limit")
BOUNCED: Final = MailBounced("hard", "511", "no such user")
ACCEPTED: Final = PecReceiptRecorded("pec_acceptance", "taken")
DOUBT: Final = MailInDoubt(1, "resend", "connection lost")
HELD: Final = (MailInDoubt(1, "hold"), domain.MailFailed(0, "in doubt"))


PARTLY: Final = (MailAttempted(1), domain.MailPartlySent(250, "ok", (1,), 1), RETRIED)


def replaced(**fields: Any) -> MailReplaced:  # noqa: ANN401  whatever the event has
    event = queued(**fields)
    return MailReplaced(**{name: getattr(event, name) for name in event.__slots__})


def test_a_sent_mail_tells_its_whole_life(told: Told) -> None:
    told.tenant(*created(), at=0)
    told.mail("p", queued(priority=1, batch_code="b", is_pec=True), at=1)
    told.mail("p", MailAttempted(1), at=2)
    deferral = told.mail("p", RETRIED, at=3)
    sent = told.mail("p", MailSent(250, "ok", 2), at=4)
    told.acknowledged(deferral, at=9)
    assert told.one() == MailView(
        pk="p",
        tenant_id=ACME,
        client_id="m-1",
        account_id="smtp1",
        priority=1,
        batch_code="b",
        status="sent",
        deferred_until_s=0.0,
        sent_at_s=T0_S + 4.0,
        error_at_s=0.0,
        error="",
        retries=1,
        refused_recipients=2,
        is_pec=True,
        created_at_s=T0_S + 1.0,
        updated_at_s=T0_S + 4.0,
        content=CONTENT,
        history=(
            MailEvent(
                position=deferral,
                kind="deferred",
                at_s=T0_S + 3.0,
                until_s=RETRIED.until_s,
                code="451",
                reason=RETRIED.reason,
                bounce="",
                refused_recipients=0,
                reported_at_s=T0_S + 9.0,
            ),
            MailEvent(
                position=sent,
                kind="sent",
                at_s=T0_S + 4.0,
                until_s=0.0,
                code="250",
                reason="",
                bounce="",
                refused_recipients=2,
            ),
        ),
    )


@pytest.mark.parametrize(
    ("events", "status", "error", "history"),
    [
        ((queued(),), "pending", "", []),
        ((queued(deferred_until_s=T0_S + 900.0),), "deferred", "", []),
        ((queued(deferred_until_s=T0_S - 900.0),), "pending", "", []),
        ((queued(), MailAttempted(1)), "pending", "", []),
        ((queued(), LIMITED), "deferred", "", ["deferred"]),
        ((queued(), LIMITED, DOUBT), "pending", "", ["deferred"]),
        ((queued(), FAILED), "error", FAILED.reason, ["error"]),
        ((queued(), *PARTLY), "deferred", "", ["deferred"]),
        ((queued(), *PARTLY, SENT), "sent", "", ["deferred", "sent"]),
        ((queued(), *HELD), "error", "in doubt", ["error"]),
        ((rejected(),), "error", "missing to", ["error"]),
        ((rejected(), queued()), "pending", "", ["error"]),
        ((queued(), LIMITED, replaced()), "pending", "", ["deferred"]),
        ((queued(), SENT, BOUNCED), "sent", "", ["sent", "bounce"]),
        ((queued(), SENT, ACCEPTED), "sent", "", ["sent", "pec_acceptance"]),
        ((queued(), SENT, DELETED, queued()), "pending", "", []),
        ((queued(), SENT, DELETED, queued(), FAILED), "error", FAILED.reason, ["error"]),
    ],
)
def test_a_mail_is_what_its_events_say(
    told: Told, events: Sequence[Event], status: str, error: str, history: list[str]
) -> None:
    for event in events:
        told.mail("p", event)
    found = told.one()
    assert (found.status, found.error) == (status, error)
    assert [event.kind for event in found.history] == history
    assert told.totals() == {status: 1}


def test_a_mail_that_was_given_up_for_its_last_recipients_tells_why(told: Told) -> None:
    told.mail("p", queued(), *PARTLY, MailSent(451, "Max retries (5) exceeded: later", 2))
    sent = told.one().history[-1]
    assert (sent.kind, sent.code, sent.reason) == ("sent", "451", "Max retries (5) exceeded: later")


def test_whatever_is_told_of_a_bounce_is_in_the_history(told: Told) -> None:
    told.mail("p", queued(), SENT, BOUNCED)
    bounce = told.one().history[-1]
    assert (bounce.bounce, bounce.code, bounce.reason) == ("hard", "511", "no such user")


def test_a_mail_handed_over_again_is_the_new_one_since_then(told: Told) -> None:
    told.mail("p", queued(batch_code="a"), RETRIED, at=1)
    newer = MailContent(sender="c@example.com", to=("d@example.com",))
    content = msgspec.json.encode(newer).decode()
    told.mail("p", replaced(content=content, account_id="smtp2", priority=0), at=5)
    found = told.one()
    assert (found.account_id, found.priority, found.batch_code) == ("smtp2", 0, "")
    assert (found.created_at_s, found.updated_at_s) == (T0_S + 1, T0_S + 5)
    assert (found.retries, found.deferred_until_s, found.content) == (0, 0.0, newer)
    assert told.totals(batch="a") == {}


def test_certified_mail_waits_for_a_receipt_until_one_comes_or_it_was_none(told: Told) -> None:
    told.mail("heard", queued(is_pec=True), SENT, ACCEPTED, at=1)
    told.mail("missed", queued(is_pec=True), SENT, PecAcceptanceMissed(), at=1)
    told.mail("ordinary", queued(), SENT, at=1)
    told.mail("open", queued(is_pec=True), at=1)
    told.mail("silent", queued(is_pec=True), SENT, at=2)
    told.mail("earlier", queued(is_pec=True), SENT, at=1)
    assert told.models.pec_overdue(T0_S + 3.0, 10) == ["earlier", "silent"]
    assert told.models.pec_overdue(T0_S + 2.0, 10) == ["earlier"]
    assert told.models.pec_overdue(T0_S + 3.0, 1) == ["earlier"]
    certified = {view.pk for view in told.mails() if view.is_pec}
    assert certified == {"heard", "open", "silent", "earlier"}


def test_a_list_is_by_priority_age_and_id(told: Told) -> None:
    told.mail("late", queued(client_id="a"), at=9)
    told.mail("b", queued(client_id="b"), at=2)
    told.mail("a", queued(client_id="a"), at=2)
    told.mail("urgent", queued(client_id="z", priority=0), SENT, at=20)
    assert told.pks() == "urgent a b late"
    assert told.pks(active_only=True) == "a b late"
    assert told.pks(limit=2) == "urgent a"
    assert told.pks(limit=2, offset=2) == "b late"
    assert told.pks("another") == ""


def test_histories_are_only_there_when_they_are_asked_for(told: Told) -> None:
    told.mail("p", queued(), SENT)
    (found,) = told.mails()
    assert found.history == ()


def test_the_queue_of_reports_is_in_the_order_of_the_log(told: Told) -> None:
    told.mail("a", queued(client_id="1"), LIMITED)
    told.mail("b", queued(client_id="2"), SENT)
    told.mail("x", queued(tenant_id="beta", client_id="9"), SENT, of="beta")
    sent = told.mail("a", SENT)
    told.mail("b", BOUNCED)
    everything = [("1", "deferred"), ("2", "sent"), ("1", "sent"), ("2", "bounce")]
    assert told.reports() == everything
    assert told.reports(limit=3) == everything[:3]
    assert told.reports(after=sent) == everything[3:]
    assert told.reports(of="beta") == [("9", "sent")]


def test_a_report_says_what_happened_to_which_mail(told: Told) -> None:
    told.mail("p", queued(), at=1)
    position = told.mail("p", RETRIED, at=2)
    assert told.models.mail_reports(ACME, 0, 10) == [
        ReportEvent(
            tenant_id=ACME,
            pk="p",
            client_id="m-1",
            position=position,
            kind="deferred",
            at_s=T0_S + 2.0,
            until_s=RETRIED.until_s,
            code="451",
            reason=RETRIED.reason,
            bounce="",
            refused_recipients=0,
        )
    ]


def test_an_acknowledgement_is_for_all_before_it(told: Told) -> None:
    first = told.mail("a", queued(client_id="1"), SENT)
    second = told.mail("b", queued(client_id="2"), SENT)
    told.mail("x", queued(tenant_id="beta"), SENT, of="beta")
    models = told.models
    assert (models.mail_acknowledged(ACME), models.mail_unacknowledged(ACME)) == (0, 2)
    assert models.mail_owing() == [ACME, "beta"]
    told.acknowledged(first)
    assert (told.models.mail_acknowledged(ACME), models.mail_unacknowledged(ACME)) == (first, 1)
    told.acknowledged(second)
    assert (told.models.mail_acknowledged(ACME), models.mail_unacknowledged(ACME)) == (second, 0)
    told.acknowledged(first)  # What arrives late takes nothing back.
    assert told.models.mail_acknowledged(ACME) == second
    assert models.mail_owing() == ["beta"]
    assert models.mail_acknowledged("nobody") == 0


def test_an_event_was_reported_with_the_first_acknowledgement_behind_it(told: Told) -> None:
    first = told.mail("p", queued(), LIMITED)
    told.acknowledged(first, at=10)
    second = told.mail("p", SENT)
    told.acknowledged(second, at=20)
    told.acknowledged(second, at=30)
    told.mail("p", BOUNCED)
    times = [event.reported_at_s for event in told.one().history]
    assert times == [T0_S + 10, T0_S + 20, 0.0]


def test_a_deleted_mail_is_nowhere(told: Told) -> None:
    told.mail("kept", queued(client_id="1"), SENT)
    told.mail("p", queued(client_id="2"), LIMITED)
    assert told.totals() == {"sent": 1, "deferred": 1}
    told.mail("p", DELETED)
    assert told.pks() == "kept"
    assert told.reports() == [("1", "sent")]
    assert told.totals() == {"sent": 1}
    assert told.models.mails_with_client_id("2", 2) == []


def test_what_is_told_of_a_mail_that_is_gone_changes_nothing(
    told: Told, event_log: EventLog
) -> None:
    told.mail("p", queued(), DELETED)
    told.mail("p", SENT, BOUNCED, DELETED)
    assert (told.mails(), told.totals(), told.reports()) == ([], {}, [])
    assert dead_letters(event_log) == []


def test_acknowledgements_go_with_the_last_event_they_were_about(
    told: Told, event_log: EventLog
) -> None:
    told.tenant(*created())
    first = told.mail("a", queued(client_id="1"), SENT)
    told.acknowledged(first)
    second = told.mail("b", queued(client_id="2"), SENT)
    told.acknowledged(second)
    told.mail("a", DELETED)
    assert told.pks() == "b"
    assert len(rows_of(event_log)["mail_acknowledgements"]) == 1
    assert told.one().history[0].reported_at_s
    told.mail("b", DELETED)
    assert told.pks() == ""
    assert rows_of(event_log)["mail_acknowledgements"] == []
    assert told.models.mail_acknowledged(ACME) == second


def test_totals_are_of_a_tenant_a_batch_or_everything(told: Told) -> None:
    told.mail("a", queued(batch_code="x"))
    told.mail("b", queued(batch_code="x"), LIMITED)
    told.mail("c", queued(), FAILED)
    told.mail("d", queued(tenant_id="beta", batch_code="x"), of="beta")
    assert told.totals() == {"pending": 1, "deferred": 1, "error": 1}
    assert told.totals(batch="x") == {"pending": 1, "deferred": 1}
    assert told.totals(batch="") == {"error": 1}
    assert told.totals(batch="y") == {}
    assert told.totals(None) == {"pending": 2, "deferred": 1, "error": 1}
    assert told.totals(None, "x") == {"pending": 2, "deferred": 1}


def test_a_client_s_id_finds_mails_of_every_tenant(told: Told) -> None:
    told.mail("a", queued(client_id="1"), at=1)
    told.mail("b", queued(tenant_id="beta", client_id="1"), of="beta", at=2)
    told.mail("c", queued(client_id="2"))
    assert told.models.mails_with_client_id("1", 5) == [("beta", "b"), (ACME, "a")]
    assert told.models.mails_with_client_id("1", 1) == [("beta", "b")]


def test_more_contents_than_go_into_one_query_are_read(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_views, "CONTENTS_AT_ONCE", 2)
    for number in range(5):
        told.mail(f"p{number}", queued(client_id=str(number)))
    assert [view.content for view in told.mails()] == [CONTENT] * 5
    assert told.models.mail_contents(["p4", "nothing"]) == {"p4": CONTENT}


def test_a_content_whose_key_is_destroyed_reads_erased(told: Told, event_log: EventLog) -> None:
    told.mail("p", queued())
    event_log.tenant_keys.destroy(f"tenant-{ACME}/1")
    assert told.one().content == mail_views.NO_CONTENT


def test_no_content_is_in_the_read_models(told: Told, event_log: EventLog) -> None:
    told.mail("p", queued(), MailSent(250, "ok", 1, '{"d@example.com": [550, "no"]}'))
    assert told.mails()
    stored = repr(rows_of(event_log))
    assert not [word for word in ("example.com", "Secret") if word in stored]


def test_whatever_a_server_says_can_be_stored(told: Told, event_log: EventLog) -> None:
    told.mail("p", queued(), domain.MailFailed(500, "a\0b"))
    found = told.one()
    assert (found.error, found.history[0].reason) == ("a�b", "a�b")
    assert dead_letters(event_log) == []


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_the_rows_are_what_the_domain_makes_of_it(
    event_log: EventLog, projector: Projector, seed: int
) -> None:
    told = Told(event_log, projector, MailModels(event_log))
    expected = random_histories(told, random.Random(seed))
    found = told.mails()
    assert {view.pk: shown(view) for view in found} == {
        pk: shown(mail) for pk, mail in expected.items() if mail.status != "deleted"
    }
    statuses = [mail.status for mail in expected.values() if mail.status != "deleted"]
    assert told.totals() == {status: statuses.count(status) for status in statuses}


@pytest.mark.parametrize("batch_events_max", [1, 7, 1000])
def test_made_anew_in_other_batches_the_rows_are_the_same(
    event_log: EventLog, projector: Projector, batch_events_max: int
) -> None:
    told = Told(event_log, projector, MailModels(event_log))
    told.tenant(*created())
    random_histories(told, random.Random(7))
    told.deleted(of="beta")
    told.mail("late", queued(tenant_id="beta"), of="beta")
    told.acknowledged(told.position // 2)
    build(projector)
    live = rows_of(event_log)
    rebuild(event_log, PROJECTIONS, batch_events_max=batch_events_max)
    assert rows_of(event_log) == live
    assert dead_letters(event_log) == []


def shown(mail: Mail | MailView) -> tuple[object, ...]:
    """Return what the domain knows of a mail, and the read model shows."""
    return (
        mail.status,
        mail.account_id,
        mail.batch_code,
        mail.deferred_until_s,
        mail.sent_at_s,
        mail.error_at_s,
        mail.error,
        mail.retries,
        mail.refused_recipients,
        mail.is_pec,
    )


def random_histories(told: Told, chance: random.Random) -> dict[str, Mail]:
    """Record what the domain decides on random commands to ten mails; return what they became."""
    mails: dict[str, Mail] = {}
    at = 0
    for _ in range(150):
        at += chance.randrange(3)
        pk = f"p{chance.randrange(10)}"
        command = random_command(chance, pk)
        for event in domain.decide(mails.get(pk), command, T0_S + at):
            told.mail(pk, event, at=at, request_id=f"r-{chance.randrange(20)}")
            mails[pk] = domain.evolve(mails.get(pk), event, float(T0_S + at))
    return mails


def random_command(chance: random.Random, pk: str) -> domain.Command:
    who = {"tenant_id": ACME, "client_id": pk, "content": queued().content}
    to = {**who, "account_id": chance.choice(["smtp1", "smtp2"])}
    to["batch_code"] = chance.choice(["", "b"])
    until_s = chance.choice([0.0, T0_S + 50.0])
    return chance.choice(
        [
            QueueMail(**to, deferred_until_s=until_s, is_pec=chance.random() < 0.5),
            RejectMail(**to, reason="missing to"),
            AttemptMail(),
            AttemptMail(),
            RecordDelivery(
                code=250,
                response="ok",
                refused=chance.randrange(2),
                remaining=chance.choice([(), (1, 2)]),
            ),
            RecordTrouble(code=451, reason="later", delays_s=(60.0,)),
            RecordDoubt(in_doubt=chance.choice(["resend", "hold"]), reason="lost"),
            DeferMail(until_s=T0_S + 70.0, reason="limit"),
            FailMail(code=550, reason="no"),
            RecordBounce(kind="soft", code="422", reason="full"),
            MissPecAcceptance(),
            DeleteMail(if_settled=chance.random() < 0.5),
        ]
    )
