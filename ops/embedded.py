"""The embedded PostgreSQL 18: one server per SIGNALBOX_HOME, reached through a Unix socket only.

The binaries come from a wheel; its own launcher is not used, because under root it opens the
permissions of every parent folder.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import Signals
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote, urlsplit, urlunsplit

import psutil
import psycopg
from psycopg import sql

from signalbox.ops.children import ends_with_parent
from signalbox.ops.postgres_account import Account, binaries, installed_package
from signalbox.ops.postgres_home import DATABASE, AlreadyRunningError, PostgresHome
from signalbox.ops.settings import SettingsError

READY_TIMEOUT_S: Final = 120  # After a crash the server first replays its own log.
FAST_SHUTDOWN_TIMEOUT_S: Final = 30
IMMEDIATE_SHUTDOWN_TIMEOUT_S: Final = 5
POLL_S: Final = 0.02

SERVER_SETTINGS: Final = (
    "listen_addresses=",
    "synchronous_commit=on",
    "log_lock_waits=on",
    "idle_in_transaction_session_timeout=30s",
    "max_connections=200",
    "shared_buffers=128MB",
    "timezone=UTC",
    "log_timezone=UTC",
)
# For tests and benchmarks only: nothing survives a power cut.
UNSAFE_SETTINGS: Final = ("fsync=off", "full_page_writes=off")

Progress = Callable[[str], None]


class EmbeddedPostgres:
    """A PostgreSQL server in `home`; a context manager that starts and stops it.

    The server ends when the thread that started it does, so start it from one that stays.
    """

    def __init__(self, home: Path, *, fsync: bool = True) -> None:
        self._home = PostgresHome(home.resolve())
        self._fsync = fsync
        self._lock: int | None = None
        self._sockets: Path | None = None
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The postmaster's process id. The server must have been started."""
        assert self._server is not None, "not started"
        return self._server.pid

    @property
    def running(self) -> bool:
        """Whether the postmaster is alive."""
        return self._server is not None and self._server.poll() is None

    def start(self, progress: Progress = lambda _: None) -> str:
        """Prepare the data folder where needed, start the server and return the database's URL.

        `progress` is told what takes time.

        Raises:
            AlreadyRunningError: another process runs the server of this home.
            SettingsError: it cannot be started.
        """
        self._lock = self._home.lock()
        try:
            return self._start(progress)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Disconnect everybody, write everything out and end the server; harmless when stopped."""
        if self._server is not None:
            _end(self._server, Signals.SIGINT, FAST_SHUTDOWN_TIMEOUT_S)
            _end(self._server, Signals.SIGQUIT, IMMEDIATE_SHUTDOWN_TIMEOUT_S)
        self.kill()

    def kill(self) -> None:
        """SIGKILL the server and its processes, as a crash would; harmless when stopped."""
        if self._server is not None:
            _kill(self._home.servers())
            self._server.kill()  # Once more by its handle: it may not have got to its folder yet.
            self._server.wait()
            self._server = None
        if self._sockets is not None:
            self._home.remove_socket_folder(self._sockets)
            self._sockets = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _start(self, progress: Progress) -> str:
        account = Account.of_this_machine()
        self._home.open_for(account)
        commands = binaries(installed_package(), self._home.path, account)
        self._clear_leftovers(progress)
        if not self._home.data.exists():
            progress("preparing PostgreSQL for the first time")
            self._home.make_data(commands / "initdb", account, fsync=self._fsync)
        self._home.refuse_other_version()
        progress("starting PostgreSQL")
        self._sockets = self._home.make_socket_folder(account)
        self._server = self._launch(commands / "postgres", account, self._sockets)
        self._wait_until_ready(self._server)
        return _made_sure(self._home.url(self._sockets, "postgres"))

    def _clear_leftovers(self, progress: Progress) -> None:
        """End what a killed predecessor left running; our lock says that nobody owns it."""
        status, servers = self._home.status(), self._home.servers()
        if servers:
            progress("stopping the PostgreSQL server that a killed process left behind")
        for server in servers:
            if status is not None and server.pid == status.pid:
                server.send_signal(Signals.SIGINT)
        _wait_for_end(servers, FAST_SHUTDOWN_TIMEOUT_S)
        _kill(servers)
        # A stale file would name a process id that may be somebody else's by now.
        (self._home.data / "postmaster.pid").unlink(missing_ok=True)
        if status is not None:
            self._home.remove_socket_folder(status.sockets)

    def _launch(self, postgres: Path, account: Account, sockets: Path) -> subprocess.Popen[bytes]:
        unsafe = () if self._fsync else UNSAFE_SETTINGS
        settings = (*SERVER_SETTINGS, *unsafe, f"unix_socket_directories={sockets}")
        with self._home.log_file().open("ab") as log:
            return subprocess.Popen(  # noqa: S603  # our own wheel's binary
                [postgres, "-D", self._home.data, *(f"--{setting}" for setting in settings)],
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C"},
                user=account.uid,
                group=account.gid,
                extra_groups=account.groups,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # A terminal's Ctrl-C is ours: the server goes last.
                # It takes no lock, so it is safe between fork and exec.
                preexec_fn=ends_with_parent(Signals.SIGINT, os.getpid()),  # noqa: PLW1509
            )

    def _wait_until_ready(self, server: subprocess.Popen[bytes]) -> None:
        deadline_s = time.monotonic() + READY_TIMEOUT_S
        while not self._ready(server.pid):
            if server.poll() is not None or time.monotonic() > deadline_s:
                log = self._home.log_file()
                last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-1:]
                raise SettingsError(f"PostgreSQL did not start, see {log}: {' '.join(last)}")
            time.sleep(POLL_S)

    def _ready(self, pid: int) -> bool:
        status = self._home.status()
        return status is not None and (status.pid, status.state) == (pid, "ready")


def create_database(url: str, name: str) -> str:
    """Create the database `name` on the server of `url` and return its URL."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return _renamed(url, name)


@contextmanager
def running_or_started(home: Path, progress: Progress) -> Iterator[str]:
    """Lend the URL of the server that `home` has running, or of one started for the while.

    Raises:
        SettingsError: there is neither.
    """
    server = EmbeddedPostgres(home)
    try:
        url = server.start(progress)
    except AlreadyRunningError:
        yield _url_of_running(PostgresHome(home.resolve()))
        return
    try:
        yield url
    finally:
        server.stop()


def _url_of_running(home: PostgresHome) -> str:
    """Return the URL of another process's server, which may still be starting."""
    deadline_s = time.monotonic() + FAST_SHUTDOWN_TIMEOUT_S
    while (status := home.status()) is None or status.state != "ready":
        if time.monotonic() > deadline_s:
            raise SettingsError(f"SIGNALBOX_HOME: the database of {home.path} does not get ready")
        time.sleep(POLL_S)
    return home.url(status.sockets)


def _made_sure(url: str) -> str:
    """Return the URL of our database on the server of `url`, created when missing."""
    with psycopg.connect(url) as connection:
        query = "SELECT 1 FROM pg_database WHERE datname = %s"
        exists = connection.execute(query, (DATABASE,)).fetchone()
    return _renamed(url, DATABASE) if exists else create_database(url, DATABASE)


def _renamed(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{quote(database, safe='')}"))


def _end(server: subprocess.Popen[bytes], signal: Signals, timeout_s: float) -> None:
    if server.poll() is None:
        server.send_signal(signal)
        with suppress(subprocess.TimeoutExpired):
            server.wait(timeout_s)


def _kill(processes: list[psutil.Process]) -> None:
    """Kill and wait: as long as one lives, its shared memory hinders the next start."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    _wait_for_end(processes, IMMEDIATE_SHUTDOWN_TIMEOUT_S)


def _wait_for_end(processes: list[psutil.Process], timeout_s: float) -> None:
    deadline_s = time.monotonic() + timeout_s
    while any(map(_alive, processes)) and time.monotonic() < deadline_s:
        time.sleep(POLL_S)


def _alive(process: psutil.Process) -> bool:
    """Tell whether it runs; an orphan that nobody reaps keeps its process id for ever."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
