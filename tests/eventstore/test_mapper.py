"""Events come back from their stored form as they were, whoever wrote them and when."""

import dataclasses
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.history import ON, text_from_handset
from support.sealing import KnownKeys

from signalbox.domain import names
from signalbox.domain.errors import TenantErased
from signalbox.domain.link import LinkToggled
from signalbox.domain.mail import MailRejected
from signalbox.domain.mail_account import MailAccount, Sealed
from signalbox.domain.names import EVENT_CLASSES, Event, name_of
from signalbox.domain.personal import ERASED, PERSONAL
from signalbox.domain.tenant import MailAccountSet
from signalbox.eventstore import mapper as mapping
from signalbox.eventstore.journal import Append, Journal, Write
from signalbox.eventstore.log import EventLog
from signalbox.eventstore.mapper import EnvelopeMapper, Hidden, Recorded

SECRET_KEY = "a secret key for tests, long enough"
AT = datetime(2026, 11, 21, 10, 0, 0, 123456, tzinfo=UTC)
MESSAGE = text_from_handset("the secret plan")
ERASED_MESSAGE = dataclasses.replace(MESSAGE, source=ERASED, destination=ERASED, text=ERASED)

# What JSON and msgspec can hold.
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
st.register_type_strategy(int, st.integers(-(2**63), 2**63 - 1))


@pytest.fixture
def keys() -> KnownKeys:
    return KnownKeys()


@pytest.fixture
def mapper(keys: KnownKeys) -> EnvelopeMapper:
    return EnvelopeMapper(keys)


def recorded(event: Event, **envelope: Any) -> Recorded:  # noqa: ANN401
    return Recorded(stream_id="a-1", version=7, event=event, at=AT, **envelope)


def there_and_back(mapper: EnvelopeMapper, there: Recorded) -> Recorded:
    back = mapper.to_domain_event(mapper.to_stored_event(there))
    assert isinstance(back, Recorded)
    return back


@pytest.mark.parametrize("name", EVENT_CLASSES)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_event_comes_back_as_it_was(
    mapper: EnvelopeMapper, name: str, data: st.DataObject
) -> None:
    there = recorded(data.draw(st.from_type(EVENT_CLASSES[name])), tenant_id="acme")
    assert there_and_back(mapper, there) == there


def test_the_envelope_comes_back_as_it_was(mapper: EnvelopeMapper) -> None:
    there = recorded(ON, tenant_id="t", command_id="c", request_id="r", by="admin")
    assert there_and_back(mapper, there) == there
    assert there.at_s == 1795255200.123456


def test_every_event_class_of_the_domain_has_one_name() -> None:
    named = list(EVENT_CLASSES.values())
    assert set(named) == set(get_args(Event))
    assert len(named) == len(set(named))
    for name in EVENT_CLASSES:
        noun, fact, version = name.split(".")
        assert noun.isalpha()
        assert fact.replace("_", "").isalpha()
        assert int(version) >= 1


def test_personal_content_is_only_marked_where_it_gets_sealed() -> None:
    for cls in EVENT_CLASSES.values():
        marked = [f.name for f in dataclasses.fields(cls) if PERSONAL in marks_below(hint(cls, f))]
        sealed = [f.name for f in dataclasses.fields(cls) if PERSONAL in marks(hint(cls, f))]
        assert marked == sealed, cls


def hint(cls: type[Any], field: dataclasses.Field[Any]) -> Any:  # noqa: ANN401
    return get_type_hints(cls, include_extras=True)[field.name]


def marks(type_: Any) -> tuple[Any, ...]:  # noqa: ANN401
    return getattr(type_, "__metadata__", ())


def marks_below(type_: Any) -> Iterator[Any]:  # noqa: ANN401
    yield from marks(type_)
    for part in get_args(type_):
        yield from marks_below(part)
    if dataclasses.is_dataclass(type_) and isinstance(type_, type):
        for field in dataclasses.fields(type_):
            yield from marks_below(hint(type_, field))


def test_nothing_personal_can_be_read_in_the_stored_form(mapper: EnvelopeMapper) -> None:
    state = mapper.to_stored_event(recorded(MESSAGE, tenant_id="acme")).state
    stored = json.loads(state)
    assert stored["event"] == {"link_id": 1, "parts": 1, "parts_missing": 0}
    for content in (MESSAGE.text, MESSAGE.source, MESSAGE.destination):
        assert content.encode() not in state


def test_the_same_text_is_sealed_differently_each_time(mapper: EnvelopeMapper) -> None:
    states = {mapper.to_stored_event(recorded(MESSAGE)).state for _ in range(10)}
    assert len(states) == 10


def test_after_a_tenants_key_is_gone_its_events_read_erased(
    mapper: EnvelopeMapper, keys: KnownKeys
) -> None:
    row = mapper.to_stored_event(recorded(MESSAGE, tenant_id="acme"))
    other = mapper.to_stored_event(recorded(MESSAGE, tenant_id="other"))
    keys.destroy("acme")
    read = mapper.to_domain_event(row)
    assert read == recorded(
        ERASED_MESSAGE,
        tenant_id="acme",
    )
    assert mapper.to_domain_event(other) == recorded(MESSAGE, tenant_id="other")
    with pytest.raises(TenantErased):
        mapper.to_stored_event(recorded(MESSAGE, tenant_id="acme"))
    assert there_and_back(mapper, recorded(ON, tenant_id="acme")).event == ON


def test_sealed_content_of_another_stream_reads_erased(mapper: EnvelopeMapper) -> None:
    row = mapper.to_stored_event(recorded(MESSAGE))
    read = mapper.read("another-stream", 1, row.topic, row.state)
    assert read.event == dataclasses.replace(
        MESSAGE, source=ERASED, destination=ERASED, text=ERASED
    )


def test_personal_content_can_be_hidden_from_a_reader(mapper: EnvelopeMapper) -> None:
    row = mapper.to_stored_event(recorded(MESSAGE))
    read = mapper.read("a-1", 7, row.topic, row.state, hidden=Hidden("…"))
    assert read.event == dataclasses.replace(MESSAGE, source="…", destination="…", text="…")


ACCOUNT = MailAccount(
    account_id="main",
    host="mail.acme.example",
    port=25,
    user="ann",
    password_sealed=Sealed("c2VhbGVk"),
)


def test_private_fields_of_a_field_are_sealed_too(mapper: EnvelopeMapper, keys: KnownKeys) -> None:
    there = recorded(MailAccountSet(ACCOUNT), tenant_id="acme")
    row = mapper.to_stored_event(there)
    assert not any(text in row.state for text in (b"acme.example", b"ann", b"c2VhbGVk"))
    assert json.loads(row.state)["event"]["account"]["port"] == 25
    assert mapper.to_domain_event(row) == there
    keys.destroy("acme")
    read = mapper.to_domain_event(row)
    assert isinstance(read, Recorded)
    assert isinstance(read.event, MailAccountSet)
    account = read.event.account
    assert (account.host, account.user, account.password_sealed) == (ERASED,) * 3
    assert (account.account_id, account.port) == ("main", 25)


def _rejected(content: str, reason: str) -> MailRejected:
    return MailRejected(
        tenant_id="acme", client_id="1", account_id="main", content=content, reason=reason
    )


@pytest.mark.parametrize(
    ("hidden", "content", "reason"),
    [
        (Hidden(but_private=True), "", "no sender"),
        (Hidden("-"), "-", "-"),
        (None, "the mail", "no sender"),
    ],
)
def test_what_is_private_may_be_read_without_what_is_personal(
    mapper: EnvelopeMapper, hidden: Hidden | None, content: str, reason: str
) -> None:
    row = mapper.to_stored_event(recorded(_rejected("the mail", "no sender")))
    read = mapper.read("a-1", 7, row.topic, row.state, hidden=hidden)
    assert read.event == _rejected(content, reason)


def test_fields_of_a_newer_version_are_ignored(mapper: EnvelopeMapper) -> None:
    state = b'{"at":"2026-11-21T10:00:00Z","new":1,"event":{"enabled":true,"reason":"","new":[2]}}'
    assert mapper.read("link-1", 1, "link.toggled.1", state).event == ON
    sealed = json.loads(mapper.to_stored_event(recorded(MESSAGE)).state)
    sealed["event"]["new"] = 3
    state = json.dumps(sealed).encode()
    assert mapper.read("a-1", 1, name_of(type(MESSAGE)), state).event == MESSAGE


@pytest.mark.parametrize("name", ["link.toggled.2", "link.toggled", ""])
def test_an_unknown_name_is_an_error(mapper: EnvelopeMapper, name: str) -> None:
    with pytest.raises(KeyError):
        mapper.read("link-1", 1, name, mapper.to_stored_event(recorded(ON)).state)


def test_a_state_that_does_not_fit_its_name_is_an_error(mapper: EnvelopeMapper) -> None:
    with pytest.raises(msgspec.ValidationError):
        mapper.read("mo-1", 1, "mo.received.1", mapper.to_stored_event(recorded(ON)).state)


def test_old_events_are_brought_up_to_date_step_by_step(
    mapper: EnvelopeMapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    upcasts = {
        "link.switched.1": ("link.switched.2", lambda old: {"on": old["state"] == "on"}),
        "link.switched.2": ("link.toggled.1", lambda old: {"enabled": old["on"]}),
    }
    monkeypatch.setattr(mapping, "UPCASTS", upcasts)
    state = b'{"at":"2026-11-21T10:00:00Z","event":{"state":"on"}}'
    assert mapper.read("link-1", 1, "link.switched.1", state).event == LinkToggled(enabled=True)


def test_an_upcast_may_rename_and_add_personal_fields(
    mapper: EnvelopeMapper, keys: KnownKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    def upcast(old: names.Fields) -> names.Fields:
        text = old.pop("text", "")
        return {**old, "text": f"{text}!"}

    monkeypatch.setattr(mapping, "UPCASTS", {"mo.received.0": ("mo.received.1", upcast)})
    state = mapper.to_stored_event(recorded(MESSAGE)).state
    read = mapper.read("a-1", 1, "mo.received.0", state).event
    assert read == dataclasses.replace(MESSAGE, text="the secret plan!")
    keys.destroy("")
    read = mapper.read("a-1", 1, "mo.received.0", state).event
    assert read == ERASED_MESSAGE


def test_a_whole_log_can_be_replayed_after_a_tenant_was_erased(
    journal: Journal, event_log: EventLog
) -> None:
    for tenant in ("acme", "other"):
        write = Write(f"mo-{tenant}", 1, [MESSAGE], tenant_id=tenant)
        journal.write(Append(writes=[write]))
    event_log.tenant_keys.destroy("acme")
    (batch,) = event_log.everything()
    assert [getattr(one.event, "text", "") for one in batch] == [ERASED, "the secret plan"]


def test_a_log_sealed_with_another_secret_key_is_not_taken_for_an_erased_one(
    journal: Journal, event_log: EventLog, database_url: str
) -> None:
    journal.write(Append(writes=[Write("mo-1", 1, [MESSAGE])]))
    stranger = EventLog(database_url, "another secret key")
    with pytest.raises(ValueError, match="another SECRET_KEY"):
        stranger.read("mo-1")
    stranger.close()
    assert [one.event for one in event_log.read("mo-1")] == [MESSAGE]
