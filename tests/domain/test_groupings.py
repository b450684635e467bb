"""Whose servers take the mail of a domain."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalbox.domain.groupings import Row, grouping_of, is_listed, published_with, tables_of


@pytest.mark.parametrize(("domain", "grouping"), [
    ("gmail.com", "&gmail"), ("googlemail.com", "&gmail"), ("GMail.COM.", "&gmail"),
    ("outlook.com", "&outlook"), ("hotmail.co.uk", "&outlook"), ("live.com.au", "&outlook"),
    ("hotmail.de", "&outlook"), ("msn.com", "&outlook"),
    ("yahoo.com", "&yahoo"), ("aol.com", "&yahoo"), ("yahoo.co.uk", "&yahooeu"),
    ("yahoo.com.au", "&yahooapac"), ("yahoo.co.jp", "&yahoojp"), ("icloud.com", "&apple"),
    ("comcast.net", "&comcast"), ("orange.fr", "&orange"), ("gmx.net", "&gmx"),
    ("yandex.ru", "&yandex"), ("yandex.com.tr", "&yandex"), ("qq.com", "&qq"),
])  # fmt: skip
def test_a_listed_domain_decides_alone(domain: str, grouping: str) -> None:
    assert grouping_of(domain) == grouping
    assert grouping_of(domain, ["mx.elsewhere.example"]) == grouping
    assert is_listed(domain)


@pytest.mark.parametrize("domain", [
    "example.com", "mail.gmail.com", "gmail.com.example", "live.example", "live.nation.de",
    "outlook.example.com", "hotmail", "notmsn.com", "yahoo.pl", "",
])  # fmt: skip
def test_a_domain_that_is_not_listed_is_a_grouping_of_its_own(domain: str) -> None:
    assert grouping_of(domain) == domain
    assert not is_listed(domain)


@pytest.mark.parametrize(("host", "grouping"), [
    ("gmail-smtp-in.l.google.com", "&gmail"), ("alt1.gmail-smtp-in.l.google.com", "&gmail"),
    ("aspmx.l.google.com", "&google"), ("alt2.aspmx.l.google.com.", "&google"),
    ("aspmx2.googlemail.com", "&google"), ("smtp.google.com", "&google"),
    ("a.smtp.goog", "&google"),
    ("outlook-com.olc.protection.outlook.com", "&outlook"), ("mx1.hotmail.com", "&outlook"),
    ("example-com.mail.protection.outlook.com", "&microsoft"),
    ("example-com.a-v1.mx.microsoft", "&microsoft"),
    ("mta5.am0.yahoodns.net", "&yahoo"), ("mx-eu.mail.am0.yahoodns.net", "&yahooeu"),
    ("MX-APAC.mail.gm0.yahoodns.net", "&yahooapac"), ("mx-aol.mail.gm0.yahoodns.net", "&yahoo"),
    ("mx3.mail.yahoo.co.jp", "&yahoojp"), ("mx01.mail.icloud.com", "&apple"),
    ("mx1.comcast.net", "&comcast"), ("smtp-in.orange.fr", "&orange"),
    ("mx00.emig.gmx.net", "&gmx"), ("mx.yandex.ru", "&yandex"), ("mx.yandex.net", "&yandex"),
    ("mx3.qq.com", "&qq"),
])  # fmt: skip
def test_the_mail_server_decides_for_a_domain_that_is_not_listed(host: str, grouping: str) -> None:
    assert grouping_of("example.org", [host]) == grouping
    assert grouping_of("example.org", [host, "gmail-smtp-in.l.google.com"]) == grouping
    assert grouping_of("example.org", ["mx.example.org", host]) == "example.org"


@pytest.mark.parametrize("host", [
    "yahoodns.net", "notgoogle.com", "evil-gmail-smtp-in.l.google.com.example", "mx.example.org",
    "mx-eu.mail.a.b.yahoodns.net.example", "protection.outlook.com", "",
])  # fmt: skip
def test_a_mail_server_that_only_looks_alike_decides_nothing(host: str) -> None:
    assert grouping_of("example.org", [host]) == "example.org"


OWN: Final = tables_of(
    {"&house": ["Example.com", "*.example.net"]},
    {"&wide": [".mx.example"], "&narrow": [".eu.mx.example"], "&one": ["a.eu.mx.example"]},
)


@pytest.mark.parametrize(("domain", "hosts", "grouping"), [
    ("example.com", [], "&house"), ("a.example.net", [], "&house"),
    ("example.net", [], "example.net"),
    ("a.b.example.net", [], "a.b.example.net"), ("gmail.com", [], "gmail.com"),
    ("x.org", ["h.mx.example"], "&wide"), ("x.org", ["h.eu.mx.example"], "&narrow"),
    ("x.org", ["a.eu.mx.example"], "&one"), ("x.org", ["b.a.eu.mx.example"], "&narrow"),
    ("x.org", ["aspmx.l.google.com"], "x.org"),
])  # fmt: skip
def test_tables_can_be_replaced_and_the_most_specific_pattern_wins(
    domain: str, hosts: list[str], grouping: str
) -> None:
    assert grouping_of(domain, hosts, OWN) == grouping


def test_a_pattern_is_taken_literally_but_for_the_star() -> None:
    tables = tables_of({"&g": ["a+b.example", "mail.*.example"]}, {})
    assert grouping_of("a+b.example", tables=tables) == "&g"
    assert grouping_of("aab.example", tables=tables) == "aab.example"
    assert grouping_of("mailxaxexample", tables=tables) == "mailxaxexample"
    assert grouping_of("mail.a.example", tables=tables) == "&g"


@given(st.text(max_size=30), st.lists(st.text(max_size=30), max_size=2))
def test_every_domain_has_a_grouping(domain: str, hosts: list[str]) -> None:
    grouping = grouping_of(domain, hosts)
    assert grouping == domain.rstrip(".").lower() or grouping.startswith("&")


def test_a_row_replaces_the_published_one_of_its_name_whole() -> None:
    tables = published_with({"&gmail": Row(("gmail.com",), ("mx.example",)), "&apple": Row()})
    assert grouping_of("gmail.com", tables=tables) == "&gmail"
    assert grouping_of("googlemail.com", tables=tables) == "googlemail.com"
    assert grouping_of("example.com", ["mx.example"], tables) == "&gmail"
    assert grouping_of("icloud.com", ["mx01.mail.icloud.com"], tables) == "icloud.com"
    assert grouping_of("msn.com", tables=tables) == "&outlook"


def test_a_row_takes_patterns_from_the_published_ones() -> None:
    tables = published_with({"&house": Row(("msn.com", "Live.com"), (".google.com",))})
    assert grouping_of("msn.com", tables=tables) == "&house"
    assert grouping_of("live.com", tables=tables) == "&house"
    assert grouping_of("live.de", tables=tables) == "&outlook"
    assert grouping_of("example.com", ["aspmx.l.google.com"], tables) == "&house"
