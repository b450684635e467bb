"""Which mails may be forgotten, and when."""

import pytest
from support.mail_histories import ACME, FAILED, SENT, Told, created, queued, rejected

from signalbox.domain.mail import MailBounced, MailDeferred
from signalbox.domain.tenant import TenantUpdated
from signalbox.domain.tenant_config import TenantConfig

NOW: int = 1_000  # what the clock of these read models says, in seconds from T0
DAY_S = 86_400
BOUNCED = MailBounced("soft", "422", "full")


def due(told: Told, older_than_s: float, limit: int = 100) -> str:
    return " ".join(sorted(told.models.mails_due(ACME, older_than_s, limit)))


def test_a_mail_may_go_when_its_client_was_told_long_enough_ago(told: Told) -> None:
    told.tenant(*created())
    sent = told.mail("a", queued(client_id="1"), SENT, at=0)
    failed = told.mail("b", queued(client_id="2"), FAILED, at=0)
    told.acknowledged(sent, at=100)
    told.acknowledged(failed, at=200)
    told.mail("untold", queued(client_id="3"), SENT, at=0)
    assert due(told, NOW - 100) == ""
    assert due(told, NOW - 101) == "a"
    assert due(told, NOW - 201) == "a b"
    assert due(told, 0) == "a b"
    assert due(told, -5) == "a b"
    assert len(told.models.mails_due(ACME, 0, 1)) == 1


def test_the_last_thing_told_of_a_mail_counts(told: Told) -> None:
    told.tenant(*created())
    told.acknowledged(told.mail("p", queued(), SENT), at=100)
    bounce = told.mail("p", BOUNCED, at=300)
    assert due(told, 0) == ""
    told.acknowledged(bounce, at=400)
    assert due(told, NOW - 300) == ""
    assert due(told, NOW - 401) == "p"


def test_what_waits_to_be_sent_stays(told: Told) -> None:
    told.tenant(*created())
    told.mail("a", queued(client_id="1"), at=0)
    told.acknowledged(told.mail("b", queued(client_id="2"), MailDeferred(5.0, "limit"), at=0))
    assert due(told, 0) == ""


def test_a_rejected_mail_goes_like_any_other(told: Told) -> None:
    told.tenant(*created())
    told.acknowledged(told.mail("p", rejected()), at=1)
    assert due(told, 10) == "p"


@pytest.mark.parametrize("exists", [True, False])
def test_where_there_is_no_server_the_age_counts(told: Told, *, exists: bool) -> None:
    if exists:
        told.tenant(*created(client_base_url=""))
    told.mail("p", queued(), SENT, at=100)
    assert due(told, NOW - 100) == ""
    assert due(told, NOW - 101) == "p"


def test_a_server_that_is_no_more_holds_nothing_back(told: Told) -> None:
    told.tenant(*created())
    told.mail("p", queued(), SENT, at=100)
    assert due(told, 0) == ""
    told.tenant(TenantUpdated(TenantConfig()))
    assert due(told, 0) == "p"


def test_mails_are_kept_as_long_as_their_tenant_wishes(told: Told) -> None:
    for tenant_id, days in (("short", 1), ("default", None), ("long", 9)):
        told.tenant(*created(retention_days=days), of=tenant_id)
        position = told.mail(tenant_id, queued(tenant_id=tenant_id), SENT, of=tenant_id)
        told.acknowledged(position, of=tenant_id, at=NOW - 5 * DAY_S)
    assert told.models.mails_expired(5, 100) == [("short", "short")]
    assert sorted(told.models.mails_expired(4, 100)) == [("default", "default"), ("short", "short")]
    assert told.models.mails_expired(4, 1) != []
