"""The embedded PostgreSQL, started and killed for real."""

import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from signalbox.ops.embedded import EmbeddedPostgres, create_database, running_or_started
from signalbox.ops.postgres_account import Account, binaries, installed_package
from signalbox.ops.postgres_home import AlreadyRunningError
from signalbox.ops.settings import SettingsError

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it as somebody else")


def remember(url: str, fact: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS facts (fact text)")
        connection.execute("INSERT INTO facts VALUES (%s)", (fact,))


def remembered(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [fact for (fact,) in connection.execute("SELECT fact FROM facts ORDER BY 1")]


def setting(url: str, name: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
    assert row is not None
    return str(row[0])


def alive(process: psutil.Process) -> bool:
    """Tell whether it runs; in a container nobody may reap it when it is done."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def start_elsewhere(home: Path, *, survives: bool = False) -> subprocess.Popen[str]:
    """Start the server of `home` in another process, which prints its process id once it is ready.

    One that `survives` does not hear of its owner's end, as on systems other than Linux.
    """
    code = f"""
        import time
        from pathlib import Path
        from signalbox.ops import embedded
        if {survives}:
            embedded.ends_with_parent = lambda *_: lambda: None
        server = embedded.EmbeddedPostgres(Path({str(home)!r}), fsync=False)
        server.start()
        print(server.pid, flush=True)
        time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_stopped_server_leaves_no_process_and_its_data(home: Path) -> None:
    with EmbeddedPostgres(home, fsync=False) as server:
        server_process = psutil.Process(server.pid)
        assert server.running
        with running_or_started(home, print) as url:
            remember(url, "stopped")
    assert not alive(server_process)
    with running_or_started(home, print) as url:
        assert remembered(url) == ["stopped"]


def test_the_server_keeps_what_was_committed_before_it_was_killed(home: Path) -> None:
    server = EmbeddedPostgres(home)
    remember(server.start(), "killed")
    children = psutil.Process(server.pid).children(recursive=True)
    server.kill()
    assert children
    assert not any(alive(child) for child in children)
    assert not server.running
    assert remembered(server.start()) == ["killed"]
    server.stop()


def test_the_server_is_as_durable_and_as_private_as_it_must_be(home: Path) -> None:
    with EmbeddedPostgres(home), running_or_started(home, print) as url:
        expected = {
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
            "data_checksums": "on",
            "listen_addresses": "",
            "idle_in_transaction_session_timeout": "30s",
            "max_connections": "200",
            "server_encoding": "UTF8",
            "password_encryption": "scram-sha-256",
        }
        assert {name: setting(url, name) for name in expected} == expected
        with pytest.raises(psycopg.OperationalError, match="authentication failed"):
            psycopg.connect(url.replace("signalbox:", "signalbox:x", 1))
    assert stat.S_IMODE((home / "postgres.password").stat().st_mode) == 0o600
    assert stat.S_IMODE((home / "postgres").stat().st_mode) == 0o700


def test_each_test_can_have_a_database_of_its_own(home: Path) -> None:
    server = EmbeddedPostgres(home, fsync=False)
    url = server.start()
    other = create_database(url, 'a "b"/c')
    remember(url, "here")
    remember(other, "there")
    assert (remembered(url), remembered(other)) == (["here"], ["there"])
    server.stop()


def test_a_second_server_on_the_same_home_is_refused(home: Path) -> None:
    with EmbeddedPostgres(home, fsync=False) as first:
        with pytest.raises(AlreadyRunningError, match="SIGNALBOX_HOME: another signalbox runs"):
            EmbeddedPostgres(home).start()
        assert first.running


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children")
def test_the_server_ends_with_the_process_that_started_it(home: Path) -> None:
    owner = start_elsewhere(home)
    assert owner.stdout is not None
    server = psutil.Process(int(owner.stdout.readline()))
    with owner:
        owner.kill()
    deadline_s = time.monotonic() + 10
    while alive(server) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    assert not alive(server)


def test_a_server_left_running_is_replaced(home: Path) -> None:
    owner = start_elsewhere(home, survives=True)
    assert owner.stdout is not None
    server = psutil.Process(int(owner.stdout.readline()))
    with owner:
        owner.kill()
    assert alive(server)
    told: list[str] = []
    successor = EmbeddedPostgres(home, fsync=False)
    successor.start(told.append)
    assert "stopping the PostgreSQL server that a killed process left behind" in told
    assert not alive(server)
    successor.stop()


def test_a_stale_process_id_of_somebody_else_does_not_hinder_the_start(home: Path) -> None:
    with EmbeddedPostgres(home, fsync=False):
        pass
    (home / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n", encoding="ascii")
    with EmbeddedPostgres(home, fsync=False) as server:
        assert server.running


def test_an_interrupted_preparation_is_begun_again(home: Path) -> None:
    (home / "postgres.unfinished").mkdir()
    (home / "postgres.unfinished" / "PG_VERSION").write_text("18\n", encoding="ascii")
    with EmbeddedPostgres(home, fsync=False) as server:
        assert server.running
    assert not (home / "postgres.unfinished").exists()


def test_data_of_another_version_is_refused_and_the_home_released(home: Path) -> None:
    (home / "postgres").mkdir()
    (home / "postgres" / "PG_VERSION").write_text("16\n", encoding="ascii")
    for _ in range(2):
        with pytest.raises(SettingsError, match="was made by PostgreSQL 16 and this is 18"):
            EmbeddedPostgres(home).start()


def test_a_server_that_cannot_start_says_why(home: Path) -> None:
    with EmbeddedPostgres(home, fsync=False):
        pass
    (home / "postgres" / "postgresql.conf").write_text("nonsense = 1\n", encoding="ascii")
    with pytest.raises(SettingsError, match=r"PostgreSQL did not start, see .*postgres\.log: .+"):
        EmbeddedPostgres(home, fsync=False).start()


def test_a_home_too_deep_for_a_socket_gets_one_elsewhere(home: Path) -> None:
    deep = home / ("d" * 100)
    home.chmod(0o711)
    server = EmbeddedPostgres(deep, fsync=False)
    url = server.start()
    sockets = Path(setting(url, "unix_socket_directories"))
    assert deep not in sockets.parents
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    server.stop()
    assert not sockets.exists()


@as_root
def test_under_root_the_server_is_somebody_else_and_no_other_folder_is_touched(home: Path) -> None:
    parents = {path: path.stat().st_mode for path in (Path.home(), *home.parents)}
    with EmbeddedPostgres(home, fsync=False) as server:
        assert psutil.Process(server.pid).uids().real == Account.of_this_machine().uid
    assert {path: path.stat().st_mode for path in parents} == parents


@as_root
def test_under_root_closed_binaries_are_copied_once(home: Path) -> None:
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    package = installed_package()
    for part in (package, package.with_name(f"{package.name}.libs")):
        (closed / part.name).symlink_to(part)
    home.chmod(0o711)
    account = Account.of_this_machine()
    commands = binaries(closed / package.name, home, account)
    assert home in commands.parents
    assert closed not in commands.parents
    account.run([str(commands / "postgres"), "--version"])
    made_at = commands.stat().st_ctime_ns
    assert binaries(closed / package.name, home, account) == commands
    assert commands.stat().st_ctime_ns == made_at
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@as_root
def test_under_root_a_home_below_a_closed_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(SettingsError, match="SIGNALBOX_HOME: the user signalbox, who runs"):
        EmbeddedPostgres(tmp_path / "home").start()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_a_terminals_interrupt_does_not_reach_the_server(home: Path) -> None:
    with EmbeddedPostgres(home, fsync=False) as server:
        assert os.getpgid(server.pid) != os.getpgrp()
        os.kill(server.pid, signal.SIGHUP)  # What a closed terminal sends: a reload, no end.
        assert server.running
