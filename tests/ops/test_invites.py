"""`signalbox invite`: codes that open accounts, made beside a gateway, or while it rests."""

from pathlib import Path

import pytest
from support.phone_accounts import Box

from signalbox.domain.errors import InvalidInvite
from signalbox.eventstore.journal import Journal
from signalbox.eventstore.log import EventLog
from signalbox.ops import invites
from signalbox.ops.embedded import EmbeddedPostgres
from signalbox.ops.keys import SECRET_KEY_FILE, keep
from signalbox.ops.main import main

SECRET_KEY = "a secret key for tests, long enough"
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def box(event_log: EventLog, journal: Journal) -> Box:
    """A gateway that runs while the commands do."""
    return Box(event_log, journal)


@pytest.fixture(autouse=True)
def _environment(
    database_url: str, box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert box.log.head() == 0
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("SECRET_KEY", SECRET_KEY)
    monkeypatch.setenv("SIGNALBOX_HOME", str(tmp_path))


def made(capsys: Captured, *arguments: str) -> str:
    assert main(["invite", "make", *arguments]) == 0
    return capsys.readouterr().out.removesuffix("\n")


def listed(capsys: Captured) -> list[list[str]]:
    assert main(["invite", "list"]) == 0
    return [line.split() for line in capsys.readouterr().out.splitlines() if "Z" in line]


def test_a_code_stands_alone_on_stdout_and_opens_an_account(box: Box, capsys: Captured) -> None:
    assert main(["invite", "make"]) == 0
    printed = capsys.readouterr()
    assert printed.err == "signalbox: opens an account once within 30 days\n"
    code = printed.out.removesuffix("\n")
    assert [len(group) for group in code.split("-")] == [5, 5, 5, 5]
    assert box.register(code=code)
    with pytest.raises(InvalidInvite):
        box.register("other@example.com", code)


def test_who_made_it_is_in_the_log_and_how_often_it_holds(box: Box, capsys: Captured) -> None:
    code = made(capsys, "--uses", "2", "--days", "1", "--by", "ada")
    ((one,),) = box.log.everything()
    assert (one.by, one.tenant_id) == ("ada", "")
    for name in "ab":
        box.register(f"{name}@example.com", code)


@pytest.mark.parametrize("what", ["code", "digest"])
def test_a_revoked_invite_opens_nothing(box: Box, capsys: Captured, what: str) -> None:
    code = made(capsys)
    made(capsys)
    digest = listed(capsys)[0][0]
    assert main(["invite", "revoke", code if what == "code" else digest]) == 0
    assert capsys.readouterr().err == "signalbox: invite revoked\n"
    with pytest.raises(InvalidInvite):
        box.register(code=code)
    assert [row[-1] for row in listed(capsys)] == ["revoked", "yes"]


@pytest.mark.parametrize("code", ["AAAAA-BBBBB-CCCCC-DDDDD", "", "0123"])
def test_an_invite_that_is_none_can_not_be_revoked(capsys: Captured, code: str) -> None:
    made(capsys)
    assert main(["invite", "revoke", code]) == 1
    assert capsys.readouterr() == ("", "signalbox: no such invite\n")


def test_a_begin_of_a_digest_that_is_too_short_revokes_nothing(capsys: Captured) -> None:
    made(capsys)
    digest = listed(capsys)[0][0]
    assert main(["invite", "revoke", digest[:-1]]) == 1


def test_the_list_shows_uses_and_end_but_no_code(box: Box, capsys: Captured) -> None:
    assert listed(capsys) == []
    code = made(capsys, "--uses", "2", "--days", "1")
    box.register(code=code)
    once = made(capsys)
    box.register("other@example.com", once)
    first, second = listed(capsys)
    assert (first[1], first[-1]) == ("1", "yes")
    assert (second[1], second[-1]) == ("0", "no")
    assert len(first[0]) == 12
    assert main(["invite", "list"]) == 0
    assert code not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "error"),
    [
        (("--uses", "0"), "signalbox: --uses: expected 1 to 10000\n"),
        (("--days", "4000"), "signalbox: --days: expected 1 to 3650\n"),
    ],
)
def test_a_bound_that_is_exceeded_is_one_line(
    capsys: Captured, option: tuple[str, str], error: str
) -> None:
    assert main(["invite", "make", *option]) == 2
    assert capsys.readouterr() == ("", error)


def test_beside_another_database_no_key_is_made_up(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SECRET_KEY")
    assert main(["invite", "make"]) == 2
    assert "SECRET_KEY is not set" in capsys.readouterr().err
    assert not (tmp_path / SECRET_KEY_FILE).exists()


def test_the_command_finds_what_up_has_made_but_makes_no_installation(
    home: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SECRET_KEY")
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.setenv("SIGNALBOX_HOME", str(home))
    assert main(["invite", "make"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"nothing of signalbox in {home}: " in printed.err
    assert list(home.iterdir()) == []
    keep(home / SECRET_KEY_FILE)
    with EmbeddedPostgres(home, fsync=False):
        pass
    assert len(made(capsys)) == 23
    assert [row[-1] for row in listed(capsys)] == ["yes"]


def test_every_command_ends_with_a_code(capsys: Captured) -> None:
    assert invites.UNKNOWN == 1
    with pytest.raises(SystemExit):
        main(["invite"])
    assert "make" in capsys.readouterr().err
