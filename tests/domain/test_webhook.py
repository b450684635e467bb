"""Where owners are told what happens: URLs that can be called, and receivers nobody hears from."""

from collections.abc import Sequence
from typing import Final

import pytest

from signalbox.domain.errors import InvalidField
from signalbox.domain.webhook import (
    KINDS,
    URL_CHARS_MAX,
    CallbackMissed,
    CallbacksTakenAgain,
    Command,
    ConfigureWebhook,
    DisableWebhook,
    Event,
    RecordMissed,
    RecordTaken,
    RemoveWebhook,
    Url,
    Webhook,
    WebhookConfigured,
    WebhookDisabled,
    WebhookRemoved,
    decide,
    evolve,
    owner_of,
    read_url,
    stream_of,
)

URL: Final = "https://example.com/hook"
CONFIGURE: Final = ConfigureWebhook(url=URL, secret_sealed="sealed")
CONFIGURED: Final = WebhookConfigured(
    url=URL, secret_sealed="sealed", kinds=("inbound", "presence", "status")
)
DISABLED: Final = WebhookDisabled(reason="owner")


def after(*events: Event) -> Webhook | None:
    webhook: Webhook | None = None
    for event in events:
        webhook = evolve(webhook, event)
    return webhook


def when(command: Command, given: Sequence[Event] = ()) -> tuple[Event, ...]:
    return decide(after(*given), command)


def missed(callback_id: str, failures_max: int = 3) -> RecordMissed:
    return RecordMissed(callback_id=callback_id, failures_max=failures_max)


def test_a_webhook_is_configured_once_for_the_same_words() -> None:
    assert when(CONFIGURE) == (CONFIGURED,)
    assert when(CONFIGURE, [CONFIGURED]) == ()


def test_another_url_or_other_kinds_are_another_configuration() -> None:
    fewer = ConfigureWebhook(url=URL, secret_sealed="sealed", kinds=frozenset({"status"}))
    (configured,) = when(fewer, [CONFIGURED])
    assert configured == WebhookConfigured(url=URL, secret_sealed="sealed", kinds=("status",))


def test_configuring_again_enables_it_again_and_forgets_what_was_missed() -> None:
    history = [CONFIGURED, CallbackMissed("a"), WebhookDisabled(reason="failures", failures=1)]
    assert when(CONFIGURE, history) == (CONFIGURED,)
    webhook = after(*history, CONFIGURED)
    assert webhook is not None
    assert (webhook.enabled, webhook.failures) == (True, 0)


@pytest.mark.parametrize("kinds", [frozenset(), frozenset({"inbound", "else"})])
def test_unknown_kinds_and_none_are_refused(kinds: frozenset[str]) -> None:
    with pytest.raises(InvalidField) as refused:
        when(ConfigureWebhook(url=URL, secret_sealed="sealed", kinds=kinds))
    assert refused.value.field == "kinds"


def test_disabling_and_removing_are_done_once() -> None:
    disable = DisableWebhook("owner")
    assert when(disable, [CONFIGURED]) == (DISABLED,)
    assert when(disable, [CONFIGURED, DISABLED]) == ()
    assert when(RemoveWebhook(), [CONFIGURED, DISABLED]) == (WebhookRemoved(),)
    assert when(RemoveWebhook(), [CONFIGURED, WebhookRemoved()]) == ()
    assert when(disable) == when(RemoveWebhook()) == when(RecordTaken()) == when(missed("a")) == ()


def test_too_many_missed_in_a_row_disable_it() -> None:
    history: list[Event] = [CONFIGURED]
    for callback_id in ("a", "b"):
        assert when(missed(callback_id), history) == (CallbackMissed(callback_id),)
        history.append(CallbackMissed(callback_id))
    disabled = WebhookDisabled(reason="failures", failures=3)
    assert when(missed("c"), history) == (CallbackMissed("c"), disabled)
    assert when(missed("d"), [*history, CallbackMissed("c"), disabled]) == ()


def test_a_callback_that_is_taken_ends_the_row() -> None:
    history = [CONFIGURED, CallbackMissed("a"), CallbackMissed("b")]
    assert when(RecordTaken(), history) == (CallbacksTakenAgain(),)
    assert when(RecordTaken(), [*history, CallbacksTakenAgain()]) == ()
    assert when(missed("c"), [*history, CallbacksTakenAgain()]) == (CallbackMissed("c"),)


def test_one_callback_is_missed_once() -> None:
    assert when(missed("a", 2), [CONFIGURED, CallbackMissed("a")]) == ()


def test_a_webhook_wants_its_kinds_while_it_is_enabled() -> None:
    webhook = after(WebhookConfigured(url=URL, secret_sealed="sealed", kinds=("status",)))
    assert webhook is not None
    assert [kind for kind in sorted(KINDS) if webhook.wants(kind)] == ["status"]
    assert not evolve(webhook, DISABLED).wants("status")  # type: ignore[union-attr]  # it is there


@pytest.mark.parametrize(
    ("text", "url", "authority"),
    [
        ("http://example.com", Url("http", "example.com", 80, "/"), "example.com"),
        ("HTTPS://Example.COM:443/A?b=c", Url("https", "example.com", 443, "/A?b=c"),
         "example.com"),
        ("https://a:8443//x", Url("https", "a", 8443, "//x"), "a:8443"),
        ("http://a?b", Url("http", "a", 80, "/?b"), "a"),
        ("http://[2001:DB8::1]:81/", Url("http", "2001:db8::1", 81, "/"), "[2001:db8::1]:81"),
        ("http://xn--bcher-kva.example/%20", Url("http", "xn--bcher-kva.example", 80, "/%20"),
         "xn--bcher-kva.example"),
    ],
)  # fmt: skip
def test_a_url_is_taken_apart(text: str, url: Url, authority: str) -> None:
    assert read_url(text) == url
    assert url.authority == authority


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com",
        "ftp://example.com/",
        "file:///etc/passwd",
        "http://",
        "http:///path",
        "http://user@example.com/",
        "http://user:password@example.com/",
        "http://example.com@127.0.0.1/",
        "http://example.com\\@127.0.0.1/",
        "http://127.0.0.1#@example.com/",
        "http://example.com/#fragment",
        "http://example.com/a b",
        "http://example.com/\r\nX-Evil: 1",
        "http://example.com/\x00",
        "http://example.com/\n",
        "http://exämple.com/",
        "http://①②⑦.0.0.1/",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:٨٠/",
        "http://[fe80::1%25eth0]/",
        "http://a b/",
        f"http://{'a' * 254}/",
        f"http://example.com/{'a' * URL_CHARS_MAX}",
    ],
)
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidField) as refused:
        when(ConfigureWebhook(url=url, secret_sealed="sealed"))
    assert refused.value.field == "url"


def test_the_longest_url_is_taken() -> None:
    url = "https://example.com/".ljust(URL_CHARS_MAX, "a")
    assert when(ConfigureWebhook(url=url, secret_sealed="sealed"))


def test_a_stream_tells_its_owner() -> None:
    assert owner_of(stream_of("org_12-3")) == "org_12-3"
