"""Whose servers take a recipient's mail: the grouping a warm-up is told by.

    listed domain ──▶ MX suffix of the first MX ──▶ the domain itself

A name beginning with "&" rolls up all domains of one provider. The MX suffixes are those of
KumoMTA's shaping.toml, Halon's backoff and jace/mxsniff; which country of Yahoo belongs to which
region is common knowledge and not in them, so the tables are an argument: a configuration may
bring others. Looking up the MX is the caller's.

A pattern is a name; ".example.com" is every name below example.com; "*" is one label, and at the
end what a country puts behind a brand ("de", "co.uk").
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_PATTERNS_MAX: Final = 4_096


@dataclass(frozen=True, slots=True)
class Tables:
    """Pattern to grouping, by recipient domain and by name of its mail server."""

    domains: Mapping[str, str]
    mx_hosts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Row:
    """The patterns of one grouping."""

    domains: tuple[str, ...] = ()
    mx_hosts: tuple[str, ...] = ()


PUBLISHED_DOMAINS: Final[Mapping[str, tuple[str, ...]]] = {
    "&gmail": ("gmail.com", "googlemail.com"),
    "&outlook": ("outlook.*", "hotmail.*", "live.*", "msn.com"),
    "&yahoo": ("yahoo.com", "ymail.com", "rocketmail.com", "aol.com", "aim.com", "verizon.net"),
    "&yahooeu": ("yahoo.co.uk", "yahoo.fr", "yahoo.de", "yahoo.it", "yahoo.es"),
    "&yahooapac": (
        "yahoo.com.au",
        "yahoo.co.in",
        "yahoo.in",
        "yahoo.com.sg",
        "yahoo.co.id",
        "yahoo.com.ph",
        "yahoo.com.vn",
    ),
    "&yahoojp": ("yahoo.co.jp",),
    "&apple": ("icloud.com", "me.com", "mac.com"),
    "&comcast": ("comcast.net",),
    "&orange": ("orange.fr",),
    "&gmx": ("gmx.net", "gmx.com"),
    "&yandex": ("yandex.*",),
    "&qq": ("qq.com",),
}
PUBLISHED_MX_HOSTS: Final[Mapping[str, tuple[str, ...]]] = {
    "&gmail": ("gmail-smtp-in.l.google.com", ".gmail-smtp-in.l.google.com"),
    "&google": (".google.com", ".googlemail.com", ".smtp.goog"),
    "&outlook": (".olc.protection.outlook.com", ".hotmail.com"),
    "&microsoft": (".mail.protection.outlook.com", ".mx.microsoft"),
    "&yahoo": (".yahoodns.net",),
    "&yahooeu": ("mx-eu.mail.*.yahoodns.net",),
    "&yahooapac": ("mx-apac.mail.*.yahoodns.net",),
    "&yahoojp": (".mail.yahoo.co.jp",),
    "&apple": (".mail.icloud.com",),
    "&comcast": (".comcast.net",),
    "&orange": (".orange.fr",),
    "&gmx": (".gmx.net", ".gmx.com"),
    "&yandex": ("mx.yandex.*",),
    "&qq": (".qq.com",),
}


def tables_of(
    domains: Mapping[str, Iterable[str]], mx_hosts: Mapping[str, Iterable[str]]
) -> Tables:
    """Turn lists of patterns per grouping into tables; a pattern listed twice counts last."""
    return Tables(_by_pattern(domains), _by_pattern(mx_hosts))


def published_with(rows: Mapping[str, Row]) -> Tables:
    """Return the published tables with these rows: each replaces that of its name, or is added.

    Their patterns go before the same ones of other groupings.
    """
    domains = {**_without(PUBLISHED_DOMAINS, rows), **{name: rows[name].domains for name in rows}}
    mx_hosts = {
        **_without(PUBLISHED_MX_HOSTS, rows),
        **{name: rows[name].mx_hosts for name in rows},
    }
    return tables_of(domains, mx_hosts)


def grouping_of(domain: str, mx_hosts: Sequence[str] = (), tables: Tables | None = None) -> str:
    """Return the grouping of a recipient domain; its mail servers best (lowest preference) first.

    The domain is expected as DNS has it (an internationalised one in its "xn--" form).
    """
    tables = tables or PUBLISHED
    name = _normal(domain)
    listed = _most_specific(tables.domains, name)
    if listed is None and mx_hosts:
        listed = _most_specific(tables.mx_hosts, _normal(mx_hosts[0]))
    return name if listed is None else listed


def is_listed(domain: str, tables: Tables | None = None) -> bool:
    """Tell whether the domain alone decides, so that nobody needs to ask DNS."""
    return _most_specific((tables or PUBLISHED).domains, _normal(domain)) is not None


def _without(
    lists: Mapping[str, tuple[str, ...]], names: Iterable[str]
) -> dict[str, tuple[str, ...]]:
    return {name: patterns for name, patterns in lists.items() if name not in set(names)}


def _by_pattern(lists: Mapping[str, Iterable[str]]) -> dict[str, str]:
    return {
        pattern.lower(): grouping for grouping, patterns in lists.items() for pattern in patterns
    }


def _normal(name: str) -> str:
    return name.rstrip(".").lower()


def _most_specific(table: Mapping[str, str], name: str) -> str | None:
    if name in table:
        return table[name]
    found = [pattern for pattern in table if _compiled(pattern).fullmatch(name)]
    return table[max(found, key=_specificity)] if found else None


def _specificity(pattern: str) -> tuple[int, int]:
    labels = pattern.removeprefix(".").split(".")
    return len(labels), len(pattern)


@lru_cache(maxsize=_PATTERNS_MAX)
def _compiled(pattern: str) -> re.Pattern[str]:
    stem = pattern.removesuffix(".*")
    before = r"(?:[^.]+\.)+" if stem.startswith(".") else ""
    after = "" if stem == pattern else _COUNTRY
    labels = re.escape(stem.removeprefix(".")).replace(r"\*", "[^.]+")
    return re.compile(before + labels + after)


_COUNTRY: Final = r"\.(?:com?\.[a-z]{2}|[a-z]{2,3})"

PUBLISHED: Final = tables_of(PUBLISHED_DOMAINS, PUBLISHED_MX_HOSTS)
