"""What can happen to keys."""

from collections.abc import Sequence
from functools import reduce
from hashlib import sha256
from typing import Final

import pytest

from signalbox.domain.api_key import (
    ApiKey,
    ApiKeyIssued,
    ApiKeyRevoked,
    Command,
    Event,
    IssueKey,
    Kind,
    RevokeKey,
    decide,
    evolve,
    id_of,
    key_id_in,
    stream_of,
)

KEY: Final = "sh_device_" + "Qz7x" + "9" * 28
ISSUE: Final = IssueKey(account_id="usr_1", kind="device", key=KEY, phone_id="dev_1")
ISSUED: Final = ApiKeyIssued(
    account_id="usr_1", kind="device", shown_prefix="sh_device_Qz7x", phone_id="dev_1"
)
REVOKED: Final = ApiKeyRevoked(account_id="usr_1", phone_id="dev_1")


def replay(history: Sequence[Event]) -> ApiKey | None:
    key: ApiKey | None = None
    return reduce(evolve, history, key)


def when(command: Command, given: Sequence[Event] = ()) -> tuple[Event, ...]:
    return decide(replay(given), command)


def test_of_a_phones_key_only_the_begin_is_kept() -> None:
    assert when(ISSUE) == (ISSUED,)
    assert replay((ISSUED,)) == ApiKey(
        account_id="usr_1", phone_id="dev_1", kind="device", sealed=""
    )


@pytest.mark.parametrize(
    ("kind", "key", "shown"),
    [
        ("live", "sh_live_abcdefgh", "sh_live_abcd"),
        ("device", "sh_device_abcdefgh", "sh_device_abcd"),
    ],
)
def test_four_characters_behind_the_prefix_are_shown(kind: Kind, key: str, shown: str) -> None:
    (issued,) = when(IssueKey(account_id="usr_1", kind=kind, key=key, sealed="s"))
    assert issued == ApiKeyIssued(
        account_id="usr_1", kind=kind, shown_prefix=shown, phone_id="", sealed="s"
    )


def test_a_key_is_revoked_once() -> None:
    assert when(RevokeKey(), given=(ISSUED,)) == (REVOKED,)
    assert when(RevokeKey(), given=(ISSUED, REVOKED)) == ()
    key = replay((ISSUED, REVOKED))
    assert key is not None
    assert key.is_revoked


def test_a_key_is_known_by_its_sha_256() -> None:
    assert id_of(KEY) == sha256(KEY.encode()).hexdigest()
    assert key_id_in(stream_of(id_of(KEY))) == id_of(KEY)
    assert len(id_of("sh_live_\ud800")) == 64
