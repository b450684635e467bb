"""Ids as this surface writes them, and the other ways of writing them that it takes.

A message is `msg_` and 32 hexadecimal digits, a phone `dev_` or `gw_` and letters and digits. The
prefix may be left out, and a message's digits may be grouped as a UUID's are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from signalbox.domain.errors import UnknownPhone, UnknownPhoneMessage

if TYPE_CHECKING:
    from signalbox.domain.phone_account import PairedPhone, PhoneAccount

MESSAGE: Final = "msg_"

_KEY: Final = re.compile(
    r"[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
)


def message_id(key: str) -> str:
    """Return the id of a message by its key."""
    return MESSAGE + key


def message_key(given: str) -> str:
    """Return the key of the message that is meant. Raises: `UnknownPhoneMessage`."""
    key = given.removeprefix(MESSAGE).lower()
    if _KEY.fullmatch(key) is None:
        raise UnknownPhoneMessage
    return key.replace("-", "")


def phone_in(account: PhoneAccount, given: str) -> PairedPhone:
    """Return the account's phone that is meant. Raises: `UnknownPhone`."""
    for phone in account.phones:
        if given in {phone.phone_id, phone.phone_id.partition("_")[2]}:
            return phone
    raise UnknownPhone(given)
