"""Where owners are told what happens: set in any process, with a secret that is shown once."""

import re
import socket
from collections.abc import Sequence

import pytest
from support.history import rows

from signalbox.actors.transports.outside import Outside
from signalbox.actors.webhooks import Webhooks
from signalbox.domain.errors import InvalidField
from signalbox.domain.webhook import KINDS, Webhook
from signalbox.eventstore.journal import Journal
from signalbox.eventstore.log import EventLog

URL = "https://hooks.example/in?key=1"
OWNER = "usr_1"


def look_up(host: str, _port: int) -> Sequence[str]:
    if host == "hooks.example":
        return ["8.8.8.8"]
    if host in {"127.0.0.1", "intranet.example"}:
        return ["8.8.8.8", "10.0.0.1"]
    raise socket.gaierror(socket.EAI_NONAME, "not known")


@pytest.fixture
def webhooks(event_log: EventLog, journal: Journal) -> Webhooks:
    return Webhooks(event_log, journal, Outside(resolve=look_up))


def shown(webhooks: Webhooks, owner: str = OWNER) -> Webhook:
    webhook = webhooks.show(owner)
    assert webhook is not None
    return webhook


def test_the_secret_is_shown_once_and_kept_sealed(webhooks: Webhooks, database_url: str) -> None:
    configured = webhooks.configure(OWNER, URL)
    assert re.fullmatch(r"whsec_[0-9A-Za-z]{32}", configured.secret)
    assert configured.webhook == shown(webhooks)
    assert webhooks.secret(configured.webhook) == configured.secret.encode()
    again = webhooks.configure(OWNER, URL, ["status"])
    assert (again.secret, again.webhook.kinds) == ("", frozenset({"status"}))
    assert webhooks.secret(again.webhook) == configured.secret.encode()
    query = "SELECT convert_from(state, 'UTF8') FROM signalbox.stored_events"
    assert not any(configured.secret[6:] in state for (state,) in rows(database_url, query))


def test_a_new_secret_takes_the_place_of_the_old_one(webhooks: Webhooks) -> None:
    first = webhooks.configure(OWNER, URL)
    second = webhooks.configure(OWNER, URL, new_secret=True)
    assert second.secret not in {"", first.secret}
    assert webhooks.secret(shown(webhooks)) == second.secret.encode()


def test_an_owner_without_one_has_none(webhooks: Webhooks) -> None:
    webhooks.configure(OWNER, URL)
    assert webhooks.show("usr_2") is None
    webhooks.disable("usr_2")
    webhooks.remove("usr_2")
    assert webhooks.show("usr_2") is None


def test_disabling_keeps_and_configuring_enables_it(webhooks: Webhooks) -> None:
    webhooks.configure(OWNER, URL)
    webhooks.disable(OWNER, by="usr_1", request_id="r1")
    assert (shown(webhooks).enabled, shown(webhooks).disabled_reason) == (False, "owner")
    assert webhooks.configure(OWNER, URL).secret == ""
    assert shown(webhooks) == Webhook(
        url=URL, secret_sealed=shown(webhooks).secret_sealed, kinds=KINDS
    )


def test_after_a_removal_everything_is_new(webhooks: Webhooks) -> None:
    first = webhooks.configure(OWNER, URL)
    webhooks.remove(OWNER)
    assert webhooks.show(OWNER) is None
    second = webhooks.configure(OWNER, URL)
    assert second.secret not in {"", first.secret}


def test_another_process_sees_it(webhooks: Webhooks, event_log: EventLog, journal: Journal) -> None:
    other = Webhooks(event_log, journal, Outside(resolve=look_up))
    assert other.known(OWNER) is None
    configured = webhooks.configure(OWNER, URL)
    assert other.known(OWNER) is None  # until it is told
    for recorded in event_log.read("webhook-usr_1"):
        assert recorded.tenant_id == OWNER
        other.follow(recorded)
    assert other.known(OWNER) == other.show(OWNER) == configured.webhook


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://intranet.example/", "address not allowed"),
        ("http://127.0.0.1:8088/", "address not allowed"),
        ("ftp://hooks.example/", "expected an http or https URL"),
    ],
)
def test_a_url_that_leads_inside_is_refused(webhooks: Webhooks, url: str, reason: str) -> None:
    with pytest.raises(InvalidField, match=reason) as refused:
        webhooks.configure(OWNER, url)
    assert refused.value.field == "url"
    assert webhooks.show(OWNER) is None


def test_a_name_nobody_knows_yet_is_taken(webhooks: Webhooks) -> None:
    assert webhooks.configure(OWNER, "https://soon.example/").secret


def test_unknown_kinds_are_refused(webhooks: Webhooks) -> None:
    with pytest.raises(InvalidField) as refused:
        webhooks.configure(OWNER, URL, ["everything"])
    assert refused.value.field == "kinds"
