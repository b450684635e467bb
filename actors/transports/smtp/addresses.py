"""Addresses as callers write them, taken apart for the envelope and put right for the header.

An international domain becomes its `xn--` form (RFC 5890); a local part beyond ASCII needs a server
that knows SMTPUTF8 (RFC 6531).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import getaddresses
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import idna

if TYPE_CHECKING:
    from collections.abc import Iterable

ADDRESS_OCTETS_MAX: Final = 254  # RFC 5321, 4.5.3.1.3, without the angle brackets
KEPT_CHARACTERS_MAX: Final = 320  # longer entries are read anew each time
FIRST_CHARACTERS_MAX: Final = 1_000  # among which the first address of an entry is looked for
PLAIN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")
# What stands in no local part (RFC 5322, 3.2.3) unless it is quoted, and in no domain.
_NOT_LOCAL: Final = re.compile(r'[\x00-\x20\x7f"(),:;<>@\[\\\]]')
_NOT_DOMAIN: Final = re.compile(r'[\x00-\x20\x7f"(),;<>@\\]')
_QUOTED: Final = re.compile(r'"(?:[ !#-\[\]-~]|\\[ -~])*"')
_BREAKS: Final = re.compile(r"[\r\n\x00]")
_EMPTY: Final = re.compile(r",(?=\s*(?:,|$))")


@dataclass(eq=False)
class BadAddress(Exception):  # noqa: N818  named after what was found
    """A text is no address that a server could be told."""

    text: str

    def __str__(self) -> str:
        return f"invalid address {self.text!r}"


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A name, empty if there is none, and an address that can be put on the wire."""

    name: str
    address: str

    @property
    def needs_smtputf8(self) -> bool:
        """True when only a server that knows SMTPUTF8 can take it."""
        return not self.address.isascii()

    @property
    def text(self) -> str:
        """How it stands in a header, before anything is encoded."""
        if not self.name:
            return self.address
        name = self.name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{name}" <{self.address}>'


def read(entries: Iterable[str]) -> tuple[list[Mailbox], list[str]]:
    """Return the mailboxes of some entries, and the entries that are none."""
    found: list[Mailbox] = []
    bad: list[str] = []
    for entry in entries:
        try:
            found.extend(mailboxes(entry))
        except BadAddress as error:
            bad.append(error.text)
    return found, bad


def unique(entries: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the addresses of some entries, each once, and the entries that are none."""
    found, bad = read(entries)
    return list(dict.fromkeys(mailbox.address for mailbox in found)), bad


def first_of(entries: Iterable[str]) -> str:
    """Return the first address in some entries, as it stands there; "" if there is none.

    >>> first_of(["(" * 5_000, "Ann <ann@example.org>, bob@example.org"])
    'ann@example.org'
    """
    for entry in entries:
        try:
            found = next((address for _, address in _parsed(_beginning(entry)) if address), "")
        except BadAddress:
            continue
        if found:
            return found
    return ""


def mailboxes(entry: str) -> tuple[Mailbox, ...]:
    """Return the mailboxes of an entry; there may be commas between several. Raises: `BadAddress`.

    >>> mailboxes('"Doe, John" <j@b\u00fccher.example>, k@example.com')[0].address
    'j@xn--bcher-kva.example'
    """
    return _kept(entry) if len(entry) <= KEPT_CHARACTERS_MAX else _mailboxes(entry)


def _mailboxes(entry: str) -> tuple[Mailbox, ...]:
    if PLAIN.fullmatch(entry):
        return (Mailbox("", _within_bounds(entry)),)
    if _BREAKS.search(entry):
        raise BadAddress(entry)
    entry = _EMPTY.sub("", entry).strip().removeprefix(",")
    if not entry:
        return ()
    parts = [part.strip(" \t") for part in entry.split(",")]
    if all(map(PLAIN.fullmatch, parts)):  # What a long list mostly is: the parser takes its time.
        return tuple(Mailbox("", _within_bounds(part)) for part in parts)
    return tuple(_mailbox(name, address, entry) for name, address in _parsed(entry))


_kept: Final = lru_cache(maxsize=4_096)(_mailboxes)


def _parsed(entry: str) -> list[tuple[str, str]]:
    try:
        return getaddresses([entry])
    except RecursionError:  # Brackets in brackets, or groups in groups.
        raise BadAddress(entry) from None


def _beginning(entry: str) -> str:
    """Return as much of an entry as is looked at, ending with a whole address."""
    if len(entry) <= FIRST_CHARACTERS_MAX:
        return entry
    return entry[:FIRST_CHARACTERS_MAX].rpartition(",")[0]


def _mailbox(name: str, address: str, entry: str) -> Mailbox:
    if not address.isprintable():  # Line breaks beyond ASCII among it.
        raise BadAddress(entry)
    local, at, domain = address.rpartition("@")
    if not at:  # A name alone is one of the server's own users, unless there is more beside it.
        local, domain = address, ""
        if entry not in {address, f"<{address}>"}:
            raise BadAddress(entry)
    elif not domain or _NOT_DOMAIN.search(domain):
        raise BadAddress(entry)
    if not local or (_NOT_LOCAL.search(local) and not _QUOTED.fullmatch(local)):
        raise BadAddress(entry)
    return Mailbox(name, _within_bounds(f"{local}{at}{_ascii_domain(domain)}"))


def _ascii_domain(domain: str) -> str:
    if domain.isascii():
        return domain
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise BadAddress(domain) from error


def _within_bounds(address: str) -> str:
    try:
        octets = len(address.encode())
    except UnicodeEncodeError as error:
        raise BadAddress(address) from error
    if octets > ADDRESS_OCTETS_MAX:
        raise BadAddress(address)
    return address
