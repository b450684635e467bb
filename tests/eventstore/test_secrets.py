"""Secrets are sealed, digests say nothing and never meet, tenants can be erased."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.domain.errors import TenantErased
from signalbox.eventstore import secrets
from signalbox.eventstore.log import EventLog
from signalbox.eventstore.secrets import SecretBox, TenantKeys

BOX = SecretBox("a secret key")
OTHER_BOX = SecretBox("another secret key")
parts = st.lists(st.text(max_size=4), max_size=4)


@given(st.text())
def test_what_is_sealed_can_be_opened(secret: str) -> None:
    assert BOX.open(BOX.seal(secret)) == secret


def test_a_sealed_secret_does_not_show_and_never_looks_the_same() -> None:
    sealed = {BOX.seal("password") for _ in range(10)}
    assert len(sealed) == 10
    assert not any("password" in one for one in sealed)


@pytest.mark.parametrize("sealed", [OTHER_BOX.seal("secret"), "", "AAAA", "not base64!"])
def test_what_another_key_sealed_can_not_be_opened(sealed: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the words differ, the kind is the contract
        BOX.open(sealed)


@given(parts, parts)
def test_digests_of_different_parts_differ(some: list[str], others: list[str]) -> None:
    assert (BOX.digest(*some) == BOX.digest(*others)) == (some == others)
    assert (BOX.uuid(*some) == BOX.uuid(*others)) == (some == others)


def test_parts_do_not_run_into_each_other() -> None:
    alike = [("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("a\0001:bc",), ("", "abc")]
    assert len({BOX.digest(*parts) for parts in alike}) == len(alike)


def test_digests_and_ids_stay_what_they_were() -> None:
    assert BOX.digest("email", "a@example.com") == "8bc49faa8be6f6dae72a847c409c2925"
    assert str(BOX.uuid("key", "1")) == "78cfecd0-ca65-815c-986c-bc52849d1a32"
    assert BOX.digest("email") != OTHER_BOX.digest("email")
    assert BOX.app_key(1, "secret") != BOX.app_key(2, "secret") != OTHER_BOX.app_key(2, "secret")


@given(parts)
def test_ids_are_uuids_of_version_8(some: list[str]) -> None:
    made = BOX.uuid(*some)
    assert (made.version, made.variant) == (8, "specified in RFC 4122")


def test_a_tenants_key_is_the_same_for_everybody_until_it_is_destroyed(
    event_log: EventLog,
) -> None:
    one, other = (TenantKeys(event_log.pool, "a secret key") for _ in range(2))
    assert one.reading_cipher("acme") is None
    sealed = one.cipher("acme").encrypt(bytes(12), b"hello", None)
    assert other.cipher("acme").decrypt(bytes(12), sealed, None) == b"hello"
    assert one.cipher("other tenant").encrypt(bytes(12), b"hello", None) != sealed
    one.destroy("acme")
    other.forget()
    for keys in (one, other):
        assert keys.reading_cipher("acme") is None
        with pytest.raises(TenantErased):
            keys.cipher("acme")


def test_a_tenants_key_needs_the_gateways_key(event_log: EventLog) -> None:
    TenantKeys(event_log.pool, "a secret key").cipher("acme")
    strange = TenantKeys(event_log.pool, "another secret key")
    with pytest.raises(ValueError, match="another SECRET_KEY"):
        strange.cipher("acme")


def test_a_destroyed_key_is_asked_for_once(event_log: EventLog) -> None:
    keys = TenantKeys(event_log.pool, "a secret key")
    keys.destroy("acme")
    assert keys.reading_cipher("acme") is None
    event_log.pool.close()
    assert keys.reading_cipher("acme") is None


def test_a_key_that_another_process_destroyed_is_gone_here_after_a_while(
    event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = TenantKeys(event_log.pool, "a secret key")
    theirs = TenantKeys(event_log.pool, "a secret key")
    ours.cipher("app-2")
    theirs.destroy("app-2")
    assert ours.reading_cipher("app-2") is not None
    monkeypatch.setattr(secrets, "REMEMBERED_S", 0.0)
    assert ours.reading_cipher("app-2") is None
