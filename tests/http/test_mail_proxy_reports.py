"""What tenants' servers answer to reports, and what is made of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

import pytest

from signalbox.actors.mail_calls import Wish, sync_url
from signalbox.domain.mail_content import MailContent
from signalbox.domain.personal import ERASED
from signalbox.domain.tenant import Tenant
from signalbox.http.mail_proxy.reports import DOCUMENTED, ORIGINAL, SyncWording
from signalbox.projections.mail_views import ReportEvent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TENANT = Tenant(tenant_id="acme", exists=True)
SENT = ReportEvent(
    tenant_id="acme", pk="pk1", client_id="m1", position=7, kind="sent", at_s=1706000000.75,
    until_s=0.0, code="250", reason="OK", bounce="", refused_recipients=0,
)  # fmt: skip


KINDS: Final[tuple[Literal["sent", "bounce"], ...]] = ("sent", "bounce")


class Contents:
    """The contents of mails by pk, and whom events concern by position."""

    def __init__(
        self, *to: str, body: str = "", concerned: Mapping[int, str | int] | None = None
    ) -> None:
        self._to = to
        self._body = body
        self._concerned = concerned or {}
        self.at_once: list[int] = []

    def contents(self, pks: Sequence[str]) -> Mapping[str, MailContent]:
        """Return the same for all, or nothing."""
        self.at_once.append(len(pks))
        mail = MailContent(sender="a@example.com", to=self._to, body=self._body)
        return dict.fromkeys(pks, mail) if self._to else {}

    def concerned(self, pks: Sequence[str]) -> Mapping[int, str | int]:
        """Return the same, whichever mails they are."""
        assert len(set(pks)) == len(pks)
        return self._concerned


WORDING = SyncWording(Contents("Ann <ann@example.org>, bob@example.org"), DOCUMENTED)


@pytest.mark.parametrize(
    ("answer", "wish"),
    [
        (b'{"ok": true, "next_sync_after": 1706003600}', Wish(rest_until_s=1706003600.0)),
        (b'{"ok": true, "queued": 2}', Wish(has_more=True)),
        (b'{"sent": 1, "error": 1, "deferred": 0}', Wish()),
        (b'{"error": ["m1"], "not_found": ["m2"], "queued": 0}', Wish()),
        (b'{"queued": -1, "next_sync_after": -5}', Wish()),
        (b'{"queued": "2", "next_sync_after": "soon"}', Wish()),
        (b'{"queued": true, "next_sync_after": null}', Wish()),
        (b'{"next_sync_after": 1e300}', Wish()),
        (b'{"next_sync_after": 1' + b"0" * 4_000 + b"}", Wish()),
        (b"[1, 2]", Wish()),
        (b"<html>", Wish()),
        (b"\xff\xfe", Wish()),
        (b"[" * 100_000, Wish()),
        (b"", Wish()),
    ],
)
def test_an_answer_asks_for_what_makes_sense_in_it(answer: bytes, wish: Wish) -> None:
    assert WORDING.read(answer) == wish


def test_a_report_is_written_as_it_is_documented() -> None:
    assert json.loads(WORDING.body(TENANT, [SENT])) == {
        "reports": [
            {
                "tenant_id": "acme",
                "id": "m1",
                "pk": "pk1",
                "sent_ts": 1706000000.75,
                "recipient_email": "ann@example.org",
            }
        ]
    }
    assert json.loads(WORDING.body(TENANT, [])) == {"reports": []}


def test_a_tenant_may_want_it_as_the_original_writes_it() -> None:
    tenant = Tenant(tenant_id="acme", report_format=ORIGINAL)
    body = json.loads(WORDING.body(tenant, [SENT]))
    assert body == {"delivery_report": [{"id": "m1", "sent_ts": 1706000000}]}
    assert WORDING.rest_goes_first(TENANT)
    assert not WORDING.rest_goes_first(tenant)


@pytest.mark.parametrize(
    "contents", [Contents(), Contents(ERASED), Contents("nobody <>"), Contents("(" * 1_200)]
)
def test_a_recipient_nobody_knows_any_more_is_left_out(contents: Contents) -> None:
    body = json.loads(SyncWording(contents, DOCUMENTED).body(TENANT, [SENT]))
    assert "recipient_email" not in body["reports"][0]


@pytest.mark.parametrize(
    "to",
    [
        ("(" * 1_200, "ann@example.org"),
        ("ann@example.org", "a:" * 5_000),
        ("ann@example.org, " + "bob@example.org, " * 100_000,),
    ],
)
def test_the_first_recipient_is_told_whoever_else_there_is(to: tuple[str, ...]) -> None:
    body = json.loads(SyncWording(Contents(*to), DOCUMENTED).body(TENANT, [SENT]))
    assert body["reports"][0]["recipient_email"] == "ann@example.org"


@pytest.mark.parametrize(
    ("whom", "told"),
    [("bob@example.org", "bob@example.org"), (0, "ann@example.org"), (2, "cy@example.org")],
)
def test_whom_an_event_concerns_is_told_whoever_is_the_first(whom: str | int, told: str) -> None:
    to = ("Ann <ann@example.org>, bob@example.org", "ann@example.org", "cy@example.org")
    bounce = replace(SENT, kind="bounce", position=8)
    wording = SyncWording(Contents(*to, concerned={8: whom}), DOCUMENTED)
    sent, bounced = json.loads(wording.body(TENANT, [SENT, bounce]))["reports"]
    assert (sent["recipient_email"], bounced["recipient_email"]) == ("ann@example.org", told)


@pytest.mark.parametrize(
    ("characters", "at_once"),
    [(100, [10, 20, 40, 80, 80, 70]), (2_000_000, [10, 5, 2, *[1] * 283])],
)
def test_mails_are_read_a_few_at_a_time_the_fewer_the_larger_they_are(
    characters: int, at_once: list[int]
) -> None:
    contents = Contents("ann@example.org", body="x" * characters)
    events = [replace(SENT, pk=f"pk{n}", kind=kind) for n in range(300) for kind in KINDS]
    body = json.loads(SyncWording(contents, DOCUMENTED).body(TENANT, events))
    assert contents.at_once == at_once
    assert {one["recipient_email"] for one in body["reports"]} == {"ann@example.org"}
    assert len(body["reports"]) == 600


@pytest.mark.parametrize(
    ("base", "path", "url"),
    [
        ("https://app.example.com", "", "https://app.example.com/mail-proxy/sync"),
        ("https://app.example.com/", "/proxy_sync", "https://app.example.com/proxy_sync"),
        ("https://app.example.com/a/", "sync?x=1", "https://app.example.com/a/sync?x=1"),
    ],
)
def test_the_address_is_put_together(base: str, path: str, url: str) -> None:
    tenant = Tenant(tenant_id="acme", client_base_url=base, client_sync_path=path)
    assert sync_url(tenant) == url
