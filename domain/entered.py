"""What may be entered where an account is opened or a phone is paired."""

from typing import Final
from unicodedata import category

from signalbox.domain.errors import InvalidField

EMAIL_CHARACTERS_MAX: Final = 254  # RFC 5321, 4.5.3.1.3, less the angle brackets
LOCAL_PART_CHARACTERS_MAX: Final = 64  # RFC 5321, 4.5.3.1.1
NAME_CHARACTERS_MAX: Final = 100
PASSWORD_CHARACTERS_MIN: Final = 8
PASSWORD_CHARACTERS_MAX: Final = 128
PHONE_CHARACTERS_MAX: Final = 64
NO_TEXT: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})  # controls, surrogates, line separators


def normal_email(email: str) -> str:
    """Return the form in which two addresses are compared: without regard to case.

    >>> normal_email("Ada@Example.com")
    'ada@example.com'

    Raises: `InvalidField` for what is no address.
    """
    local, at, domain = email.rpartition("@")
    complete = local and at and domain and len(local) <= LOCAL_PART_CHARACTERS_MAX
    if not complete or "@" in local or len(email) > EMAIL_CHARACTERS_MAX or not _is_one_word(email):
        raise InvalidField("email", "not an address")
    return email.casefold()


def require_name(name: str) -> None:
    """Raise `InvalidField` for what can't be anybody's name."""
    require_text("name", name, 1, NAME_CHARACTERS_MAX)


def require_password(password: str) -> None:
    """Raise `InvalidField` for a password that is too short, too long, or no text."""
    few, many = PASSWORD_CHARACTERS_MIN, PASSWORD_CHARACTERS_MAX
    if not few <= len(password) <= many or any(category(c) == "Cs" for c in password):
        raise InvalidField("password", f"expected {few} to {many} characters")


def require_text(field: str, text: str, few: int, many: int) -> None:
    """Raise `InvalidField` unless the text has so many characters, none of them a line break."""
    blank = few > 0 and not text.strip()
    if blank or not few <= len(text) <= many or any(category(c) in NO_TEXT for c in text):
        raise InvalidField(field, f"expected {few} to {many} characters without line breaks")


def _is_one_word(text: str) -> bool:
    return text.isprintable() and not any(map(str.isspace, text))
