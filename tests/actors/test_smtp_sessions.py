"""SMTP as servers speak it, and as broken ones do: what every step can end in."""

from __future__ import annotations

import base64
import ssl
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import gevent
import pytest
from support.certificates import self_signed
from support.gateway import eventually
from support.mail_sink import MailSink
from support.smtp_script import DRIP, HANG, HANG_UP, ScriptedServer

from signalbox.actors.transports.smtp import sessions as sessions_module
from signalbox.actors.transports.smtp.connecting import Endpoint, Means, Patience
from signalbox.actors.transports.smtp.faults import Fault, Stage, Stopped, by_words
from signalbox.actors.transports.smtp.message import Ids, Message, compose
from signalbox.actors.transports.smtp.session import Accepted
from signalbox.actors.transports.smtp.sessions import Sessions, key_of
from signalbox.domain.mail_content import MailContent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHORT = Patience(connect_s=2.0, reply_s=0.3, content_s=2.0, accept_s=0.3)
AT = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)


def message(*to: str, **changes: Any) -> Message:  # noqa: ANN401
    given: dict[str, Any] = {"sender": "me@acme.test", "to": to or ("you@x.test",), "subject": "Hi"}
    return compose(MailContent(**{**given, **changes}), Ids("m-1", "pk-1"), AT)


def endpoint(port: int, **changes: Any) -> Endpoint:  # noqa: ANN401
    given: dict[str, Any] = {"tenant_id": "acme", "account_id": "a", "host": "127.0.0.1"}
    return Endpoint(**{**given, "port": port, "security": "plain", **changes})


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def sessions(certificate: tuple[Path, Path]) -> Iterator[Sessions]:
    yield from opened(trusting(certificate))


def trusting(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    tls = ssl.create_default_context()
    tls.load_verify_locations(certificate[0])
    return tls


def means(tls: ssl.SSLContext, patience: Patience = SHORT) -> Means:
    return Means(tls=tls, our_name="gateway.test", patience=patience)


def opened(tls: ssl.SSLContext, **options: Any) -> Iterator[Sessions]:  # noqa: ANN401
    sessions = Sessions(means(tls), **options)
    yield sessions
    sessions.close()


def fault(sessions: Sessions, where: Endpoint, mail: Message | None = None) -> Fault:
    with pytest.raises(Fault) as found:
        sessions.send(where, mail or message(), 60)
    return found.value


# a real server


@pytest.fixture(scope="module")
def sink() -> Iterator[MailSink]:
    with MailSink() as sink:
        yield sink


def test_a_mail_arrives_as_it_was_composed(sink: MailSink, sessions: Sessions) -> None:
    mail = message(
        "a@x.test", bcc=("b@x.test",), body=".\n..\n.dot\nend.\n", return_path="r@acme.test"
    )
    accepted = sessions.send(endpoint(sink.port), mail, 60)
    assert accepted == Accepted(250, f"kept as {sink.count}", {})
    kept = sink.mails[-1]
    assert (kept.sender, kept.recipients) == ("r@acme.test", ["a@x.test", "b@x.test"])
    assert kept.data == mail.data
    assert f"SIZE={len(mail.data)}" in kept.options


def test_refused_recipients_are_told_one_by_one(sink: MailSink, sessions: Sessions) -> None:
    mail = message("ok@x.test", "refuse-550@x.test", "refuse-451@x.test", "junk address")
    accepted = sessions.send(endpoint(sink.port), mail, 60)
    assert dict(accepted.refused) == {
        "refuse-550@x.test": (550, "refused here"),
        "refuse-451@x.test": (451, "refused here"),
        "junk address": (553, "invalid address"),
    }
    assert sink.mails[-1].recipients == ["ok@x.test"]


@pytest.mark.parametrize(
    ("to", "result", "code"),
    [
        (["refuse-550@x.test"], "permanent", 550),
        (["refuse-550@x.test", "refuse-553@x.test"], "permanent", 550),
        (["refuse-550@x.test", "refuse-451@x.test"], "temporary", 451),
        (["refuse-451@x.test"], "temporary", 451),
        (["refuse-421@x.test"], "temporary", 421),
        (["later-552@x.test"], "permanent", 552),
        (["later-452@x.test"], "temporary", 452),
    ],
)
def test_a_reply_decides_whether_to_try_again(
    sink: MailSink, sessions: Sessions, to: list[str], result: str, code: int
) -> None:
    found = fault(sessions, endpoint(sink.port), message(*to))
    assert (found.result, found.code) == (result, code)
    assert found.reason.endswith(f"(SMTP {code})")
    assert set(found.refused) == {address for address in to if address.startswith("refuse")}


def test_the_words_of_a_refusal_are_those_clients_know(sink: MailSink, sessions: Sessions) -> None:
    found = fault(sessions, endpoint(sink.port), message("refuse-550@x.test"))
    assert str(found) == "(550, 'refused here') (SMTP 550)"


def test_a_refused_sender_is_known_before_any_recipient(sink: MailSink, sessions: Sessions) -> None:
    found = fault(sessions, endpoint(sink.port), message(sender="refuse-553@acme.test"))
    assert (found.result, found.code, found.stage) == ("permanent", 553, Stage.MAIL)


def test_a_greylisted_mail_is_taken_the_second_time(sink: MailSink, sessions: Sessions) -> None:
    mail = message("greylist-1@x.test")
    assert fault(sessions, endpoint(sink.port), mail).result == "temporary"
    assert sessions.send(endpoint(sink.port), mail, 60).code == 250


def test_a_server_that_does_not_answer_is_not_waited_for(
    sink: MailSink, sessions: Sessions
) -> None:
    found = fault(sessions, endpoint(sink.port), message("hang@x.test"))
    assert (found.result, found.reason) == ("temporary", "timeout: no answer in time")
    found = fault(sessions, endpoint(sink.port), message("later-hang@x.test"))
    assert (found.result, found.stage) == ("in_doubt", Stage.ACCEPT)


def test_one_connection_takes_many_mails_also_after_a_refusal(
    sink: MailSink, sessions: Sessions
) -> None:
    where = endpoint(sink.port)
    before = sink.count
    sessions.send(where, message(), 60)
    fault(sessions, where, message("refuse-550@x.test"))
    fault(sessions, where, message(sender="refuse-550@x.test"))
    fault(sessions, where, message("later-550@x.test"))
    sessions.send(where, message("next@x.test"), 60)
    kept = sink.mails[before:]
    assert [mail.recipients for mail in kept] == [["you@x.test"], ["next@x.test"]]
    assert len({mail.session for mail in kept}) == 1
    assert sessions.idle == 1


def test_smtputf8_only_where_it_is_known_and_needed(sink: MailSink, sessions: Sessions) -> None:
    mail = message("j\u00f6rg@x.test")
    sessions.send(endpoint(sink.port), mail, 60)
    kept = sink.mails[-1]
    assert kept.recipients == ["j\u00f6rg@x.test"]
    assert "SMTPUTF8" in kept.options
    sessions.send(endpoint(sink.port), message(subject="Gr\u00fc\u00dfe"), 60)
    assert "SMTPUTF8" not in sink.mails[-1].options
    with MailSink(smtputf8=False) as old:
        found = fault(sessions, endpoint(old.port), mail)
        assert (found.result, found.code) == ("permanent", 0)
        assert "SMTPUTF8" in found.reason
        assert sessions.send(endpoint(old.port), message(), 60).code == 250


def test_a_mail_too_large_is_refused_before_it_is_sent(sessions: Sessions) -> None:
    with MailSink(size_max=1_000) as small:
        found = fault(sessions, endpoint(small.port), message(body="x" * 2_000))
        assert (found.result, found.code, found.stage) == ("permanent", 552, Stage.MAIL)


def test_a_mail_of_ten_megabytes_arrives_whole(sink: MailSink, sessions: Sessions) -> None:
    sessions._means = replace(sessions._means, patience=Patience())  # noqa: SLF001
    mail = message(body="0123456789\r\n" * 870_000)
    sessions.send(endpoint(sink.port), mail, 60)
    assert sink.mails[-1].data == mail.data


@pytest.mark.parametrize("security", ["implicit", "starttls"])
def test_with_tls_the_server_has_to_prove_who_it_is(
    certificate: tuple[Path, Path], sessions: Sessions, security: str
) -> None:
    with MailSink(tls=security, certificate=certificate, auth=("u", "p")) as sink:  # type: ignore[arg-type]
        where = endpoint(sink.port, security=security, user="u", password="p")
        sessions.send(where, message(), 60)
        assert (sink.mails[0].tls, sink.mails[0].user) == (True, "u")
        for stranger in opened(ssl.create_default_context()):
            found = fault(stranger, where)
            assert found.result == "permanent"
            assert "certificate" in found.reason.lower()
        found = fault(sessions, endpoint(sink.port, security=security, host="localhost"))
        assert (found.result, "mismatch" in found.reason) == ("permanent", True)
        assert sink.count == 1


def test_nothing_is_sent_in_clear_where_starttls_is_wanted(
    sink: MailSink, sessions: Sessions
) -> None:
    before = sink.count
    found = fault(sessions, endpoint(sink.port, security="starttls"))
    assert (found.result, found.reason) == ("temporary", "server does not offer STARTTLS")
    assert sink.count == before


def test_a_server_without_tls_where_it_is_spoken_at_once(
    sink: MailSink, sessions: Sessions
) -> None:
    assert fault(sessions, endpoint(sink.port, security="implicit")).result == "permanent"


@pytest.mark.parametrize("password", ["p", "gehe\u00edm", 'with "quotes" and \\'])
def test_any_password_can_be_given(sessions: Sessions, password: str) -> None:
    with MailSink(auth=("m\u00fcller", password)) as sink:
        where = endpoint(sink.port, user="m\u00fcller", password=password)
        sessions.send(where, message(), 60)
        assert sink.mails[0].user == "m\u00fcller"
        found = fault(sessions, endpoint(sink.port, user="m\u00fcller", password="wrong"))
        assert (found.result, found.code, found.stage) == ("permanent", 535, Stage.LOGIN)
        found = fault(sessions, endpoint(sink.port))
        assert (found.result, found.code) == ("permanent", 530)


def test_a_source_address_is_what_the_server_sees(sink: MailSink, sessions: Sessions) -> None:
    sessions.send(endpoint(sink.port, source_ip="127.0.0.9"), message(), 60)
    assert sink.mails[-1].peer == "127.0.0.9"
    found = fault(sessions, endpoint(sink.port, source_ip="203.0.113.9"))
    assert (found.result, found.stage) == ("temporary", Stage.CONNECT)


# whose connection it is


@pytest.mark.parametrize(
    "other",
    [
        {"tenant_id": "beta"}, {"account_id": "b"}, {"host": "localhost"}, {"user": "v"},
        {"password": "q"}, {"security": "starttls"}, {"source_ip": "127.0.0.1"},
    ],
)  # fmt: skip
def test_nobody_shares_a_connection_with_anybody_else(other: dict[str, str]) -> None:
    mine = endpoint(25, user="u", password="p")
    assert key_of(mine) == key_of(endpoint(25, user="u", password="p"))
    assert key_of(mine) != key_of(endpoint(25, **{"user": "u", "password": "p", **other}))


def test_a_tls_account_never_uses_the_plain_connection_of_another(
    sink: MailSink, sessions: Sessions
) -> None:
    sessions.send(endpoint(sink.port), message(), 60)
    before = sink.count
    assert fault(sessions, endpoint(sink.port, security="starttls")).stage == Stage.HELLO
    assert sink.count == before
    sessions.send(endpoint(sink.port, tenant_id="beta"), message(), 60)
    assert sink.mails[-1].session != sink.mails[-2].session


def test_the_password_is_in_no_text_about_a_connection() -> None:
    where = endpoint(25, user="u", password="hush")
    assert "hush" not in f"{where!r} {key_of(where)!r}"


def test_a_connection_too_old_is_not_used_again(sink: MailSink, sessions: Sessions) -> None:
    where = endpoint(sink.port)
    sessions.send(where, message(), 0)
    assert sessions.idle == 0
    sessions.send(where, message(), 0.05)
    assert sessions.idle == 1
    gevent.sleep(0.06)
    sessions.send(where, message(), 60)
    assert sink.mails[-1].session != sink.mails[-2].session


def test_no_more_connections_wait_than_may(sink: MailSink, certificate: tuple[Path, Path]) -> None:
    sessions = Sessions(means(trusting(certificate)), idle_per_key_max=2, idle_max=3)

    def all_at_once(*accounts: str) -> int:
        where = [endpoint(sink.port, account_id=account) for account in accounts]
        sending = [gevent.spawn(sessions.send, one, message(), 60) for one in where]
        gevent.joinall(sending, raise_error=True)
        return sessions.idle

    assert all_at_once("a", "a", "a", "a") == 2
    assert all_at_once("b", "c", "d") == 3
    sessions.close()


def test_connections_nobody_needs_are_closed(
    monkeypatch: pytest.MonkeyPatch, certificate: tuple[Path, Path]
) -> None:
    monkeypatch.setattr(sessions_module, "SWEEP_S", 0.02)
    sessions = Sessions(means(trusting(certificate)), idle_s=0.05)
    with ScriptedServer() as server:
        sessions.send(endpoint(server.port), message(), 60)
        assert sessions.idle == 1
        eventually(lambda: sessions.idle == 0 and "QUIT" in server.verbs)
    sessions.close()


# broken ones


WITH_STARTTLS = "250-scripted\r\n250 STARTTLS"
STEPS = {
    "GREETING": (Stage.HELLO, "temporary"),
    "EHLO": (Stage.HELLO, "temporary"),
    "MAIL": (Stage.MAIL, "temporary"),
    "RCPT": (Stage.RCPT, "temporary"),
    "DATA": (Stage.DATA, "temporary"),
    "DOT": (Stage.ACCEPT, "in_doubt"),
}


@pytest.mark.parametrize("what", [HANG_UP, HANG, DRIP])
@pytest.mark.parametrize("step", STEPS)
def test_only_after_the_final_dot_nobody_knows(sessions: Sessions, step: str, what: str) -> None:
    with ScriptedServer({step: what}) as server:
        began_s = time.monotonic()
        found = fault(sessions, endpoint(server.port))
        assert time.monotonic() - began_s < 3
        assert (found.stage, found.result) == STEPS[step]
        assert found.code == 0
        assert sessions.idle == 0


@pytest.mark.parametrize(
    ("step", "reply", "result", "code"),
    [
        ("GREETING", "554 go away", "permanent", 554),
        ("GREETING", "421 too busy", "temporary", 421),
        ("GREETING", "nonsense", "temporary", -1),
        ("MAIL", "421 closing", "temporary", 421),
        ("DATA", "451 not now", "temporary", 451),
        ("DATA", "554 no valid recipients", "permanent", 554),
        ("DATA", "250 what?", "temporary", 250),
        ("DOT", "554 spam", "permanent", 554),
        ("DOT", "451 greylisted", "temporary", 451),
        ("DOT", "nonsense", "in_doubt", 0),
        ("DOT", "x" * 9_000, "in_doubt", 0),
        ("MAIL", "x" * 9_000, "temporary", 0),
    ],
)
def test_an_odd_reply_at_an_odd_moment(
    sessions: Sessions, step: str, reply: str, result: str, code: int
) -> None:
    with ScriptedServer({step: reply}) as server:
        found = fault(sessions, endpoint(server.port))
        assert (found.result, found.code) == (result, code)


def test_a_server_without_ehlo_is_greeted_as_in_the_old_days(sessions: Sessions) -> None:
    with ScriptedServer({"EHLO": "502 what?", "HELO": "250 old"}) as server:
        assert sessions.send(endpoint(server.port), message(), 60).code == 250
        assert server.lines[:2] == ["ehlo gateway.test", "helo gateway.test"]


def test_a_server_that_says_why_before_it_hangs_up_is_heard(sessions: Sessions) -> None:
    with ScriptedServer({"CONTENT": "552 too much"}) as server:
        found = fault(sessions, endpoint(server.port), message(body="x" * 76 + "\r\n" * 9_000_000))
        assert (found.result, found.code) == ("permanent", 552)


def test_replies_sent_in_clear_are_not_taken_for_those_after_starttls(
    certificate: tuple[Path, Path], sessions: Sessions
) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*certificate)
    script: dict[str, str | list[str]] = {
        "EHLO": ["250-scripted\r\n250 STARTTLS", "250-scripted\r\n250 AUTH PLAIN"],
        "STARTTLS": "220 go on\r\n250-injected\r\n250 AUTH LOGIN",
        "AUTH": "235 welcome",
    }
    with ScriptedServer(script, tls=tls) as server:
        where = endpoint(server.port, security="starttls", user="u", password="p")
        sessions.send(where, message(), 60)
        assert server.verbs[:4] == ["EHLO", "STARTTLS", "EHLO", "AUTH"]
        assert server.lines[3].startswith("AUTH PLAIN ")


def test_a_refused_starttls_is_no_reason_to_go_on_in_clear(sessions: Sessions) -> None:
    script: dict[str, str | list[str]] = {"EHLO": WITH_STARTTLS, "STARTTLS": "454 not now"}
    with ScriptedServer(script) as server:
        found = fault(sessions, endpoint(server.port, security="starttls"))
        assert (found.result, found.code) == ("temporary", 454)
        assert server.verbs == ["EHLO", "STARTTLS"]


def test_what_starttls_promises_must_be_tls(sessions: Sessions) -> None:
    script: dict[str, str | list[str]] = {"EHLO": WITH_STARTTLS, "STARTTLS": "220 go on"}
    with ScriptedServer(script) as server:
        found = fault(sessions, endpoint(server.port, security="starttls"))
        assert found.result in {"permanent", "temporary"}
        assert server.contents == []


@pytest.mark.parametrize(
    ("offered", "security", "expected"),
    [("PLAIN LOGIN CRAM-MD5", "plain", "CRAM-MD5"), ("LOGIN", "plain", "LOGIN"),
     ("LOGIN PLAIN", "plain", "PLAIN")],
)  # fmt: skip
def test_in_clear_the_password_is_not_told_if_there_is_another_way(
    sessions: Sessions, offered: str, security: str, expected: str
) -> None:
    challenge = base64.b64encode(b"<1896.697170952@postoffice.reston.mci.net>").decode("ascii")
    script: dict[str, str | list[str]] = {
        "EHLO": f"250-scripted\r\n250 AUTH {offered}",
        "AUTH": "235 ok" if expected == "PLAIN" else f"334 {challenge}",
    }
    with ScriptedServer(script) as server:
        server.default = "235 ok"
        where = endpoint(server.port, security=security, user="tim", password="tanstaaftanstaaf")
        sessions.send(where, message(), 60)
        assert server.lines[1].split()[1] == expected
        if expected == "CRAM-MD5":
            # RFC 2195, 2: the example's user, password and digest.
            assert base64.b64decode(server.lines[2]) == b"tim b913a602c7eda7a495b4e6e7334d3890"


def test_a_challenge_that_cannot_be_read_is_no_reason_to_give_up(sessions: Sessions) -> None:
    script: dict[str, str | list[str]] = {
        "EHLO": "250-scripted\r\n250 AUTH CRAM-MD5",
        "AUTH": "334 abc",
    }
    with ScriptedServer(script) as server:
        found = fault(sessions, endpoint(server.port, user="u", password="p"))
        assert (found.result, found.stage) == ("temporary", Stage.LOGIN)


def test_no_way_to_log_in_is_for_good(sessions: Sessions) -> None:
    with ScriptedServer({"EHLO": "250-scripted\r\n250 AUTH GSSAPI"}) as server:
        found = fault(sessions, endpoint(server.port, user="u", password="p"))
        assert (found.result, found.stage) == ("permanent", Stage.LOGIN)


def test_a_server_that_has_hung_up_meanwhile_is_called_again(sessions: Sessions) -> None:
    with ScriptedServer({"MAIL": ["250 ok", HANG_UP, "250 ok"]}) as server:
        where = endpoint(server.port)
        sessions.send(where, message(), 60)
        assert sessions.send(where, message(), 60).code == 250
        assert server.connections == 2
        assert len(server.contents) == 2


def test_a_server_that_wants_no_more_mails_is_called_again(sessions: Sessions) -> None:
    with ScriptedServer({"MAIL": ["250 ok", "421 too many", "250 ok"]}) as server:
        where = endpoint(server.port)
        sessions.send(where, message(), 60)
        assert sessions.send(where, message(), 60).code == 250
        assert server.connections == 2


@pytest.mark.parametrize("step", ["RCPT", "DATA", "DOT"])
def test_a_mail_that_had_begun_is_not_begun_again(sessions: Sessions, step: str) -> None:
    good = {"DATA": "354 go on"}.get(step, "250 ok")
    with ScriptedServer({step: [good, HANG_UP, good]}) as server:
        where = endpoint(server.port)
        sessions.send(where, message(), 60)
        assert fault(sessions, where).stage == STEPS[step][0]
        assert server.connections == 1


def test_a_connection_that_was_silent_is_asked_first(
    monkeypatch: pytest.MonkeyPatch, sessions: Sessions
) -> None:
    monkeypatch.setattr(sessions_module, "TRUSTED_S", 0.0)
    with ScriptedServer({"RSET": ["250 ok", "421 no more", HANG_UP]}) as server:
        where = endpoint(server.port)
        for connections in (1, 1, 2, 3):
            sessions.send(where, message(), 60)
            assert server.connections == connections
        assert server.verbs.count("RSET") == 3


@pytest.mark.parametrize(
    ("changes", "result"),
    [
        ({"host": ""}, "permanent"),
        ({"port": 70_000}, "permanent"),
        ({"host": "nowhere.invalid"}, "temporary"),
        ({"host": "a" * 70 + ".test"}, "permanent"),
        ({"port": 1}, "temporary"),
    ],
)
def test_a_server_that_is_not_there(
    sessions: Sessions, changes: dict[str, Any], result: str
) -> None:
    found = fault(sessions, endpoint(**{"port": 25, **changes}))
    assert (found.result, found.stage) == (result, Stage.CONNECT)


def test_a_server_nobody_reaches_is_not_waited_for(sessions: Sessions) -> None:
    sessions._means = replace(sessions._means, patience=Patience(connect_s=0.1))  # noqa: SLF001
    began_s = time.monotonic()
    found = fault(sessions, endpoint(25, host="192.0.2.1"))
    assert found.result == "temporary"
    assert time.monotonic() - began_s < 2


@pytest.mark.parametrize(("step", "result"), [("RCPT", "temporary"), ("DOT", "in_doubt")])
def test_a_sender_that_is_stopped_tells_how_far_it_came(
    sessions: Sessions, step: str, result: str
) -> None:
    with ScriptedServer({step: HANG}) as server:
        sessions._means = replace(sessions._means, patience=Patience())  # noqa: SLF001
        found: list[Fault] = []
        sender = gevent.spawn(lambda: found.append(fault(sessions, endpoint(server.port))))
        eventually(lambda: server.contents if step == "DOT" else "RCPT" in server.verbs)
        sender.kill()
        assert isinstance(found[0], Stopped)
        assert found[0].result == result
        assert server.connections == 1


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("Connection timed out", "temporary"),
        ("throttled", "temporary"),
        ("authentication failed, try again", "temporary"),
        ("Authentication failed", "permanent"),
        ("certificate verify failed", "permanent"),
        ("who knows", "temporary"),
    ],
)
def test_without_a_code_the_words_decide(text: str, result: str) -> None:
    assert by_words(text) == result
