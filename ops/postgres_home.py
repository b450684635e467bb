"""What the embedded PostgreSQL keeps below SIGNALBOX_HOME, and who is using it.

postgres/          data, owned by the server's user
postgres.log       what the server says
postgres.password  of the database user `signalbox`, mode 0600
postgres.lock      held by the process that runs the server
run/               its socket, unless that path would be too long for sun_path
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psutil

from signalbox.ops.keys import keep
from signalbox.ops.postgres_account import Account
from signalbox.ops.settings import SettingsError

MAJOR_VERSION: Final = "18"
DATABASE: Final = "signalbox"
SOCKET_FOLDER_PREFIX: Final = "signalbox-socket-"
SOCKET_FILE: Final = ".s.PGSQL.5432"
SOCKET_PATH_OCTETS_MAX: Final = 103  # sun_path less its NUL where it is shortest (unix(7): 107)
LOG_OCTETS_MAX: Final = 10 * 1024 * 1024

INITDB_OPTIONS: Final = (
    f"--username={DATABASE}",
    "--auth=scram-sha-256",
    "--data-checksums",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
)


class AlreadyRunningError(SettingsError):
    """Another process runs the server of this home."""


@dataclass(frozen=True, slots=True)
class Status:
    """What `postmaster.pid` says: the postmaster, its socket's folder, and `ready` when it is."""

    pid: int
    sockets: Path
    state: str


@dataclass(frozen=True, slots=True)
class PostgresHome:
    """The server's part of SIGNALBOX_HOME; `path` is absolute."""

    path: Path

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.path / "postgres"

    def lock(self) -> int:
        """Claim this home for this process; the claim ends when the descriptor is closed.

        Raises:
            AlreadyRunningError: another process has claimed it.
            SettingsError: the folder cannot be made or written.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            descriptor = os.open(self.path / "postgres.lock", flags, 0o600)
        except OSError as error:
            raise SettingsError(f"SIGNALBOX_HOME: {self.path}: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise AlreadyRunningError(
                f"SIGNALBOX_HOME: another signalbox runs the database of {self.path}"
            ) from None
        return descriptor

    def open_for(self, account: Account) -> None:
        """Let the server's user pass through this folder, should it be somebody else.

        Raises:
            SettingsError: a folder above is closed to that user.
        """
        if account.uid is not None:
            self.path.chmod(self.path.stat().st_mode | 0o011)
            account.require_way_to(self.path)

    def make_data(self, initdb: Path, account: Account, *, fsync: bool) -> None:
        """Make the data folder; interrupted half-way, none is left behind.

        Raises:
            SettingsError: initdb failed.
        """
        unfinished = self.data.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        account.own(unfinished)
        options = (*INITDB_OPTIONS, f"--pgdata={unfinished}", *(() if fsync else ("--no-sync",)))
        with self._password_for(account) as password_file:
            try:
                account.run([str(initdb), *options, f"--pwfile={password_file}"])
            except (OSError, subprocess.SubprocessError) as error:
                reason = " ".join((getattr(error, "stderr", None) or str(error)).split())
                raise SettingsError(f"SIGNALBOX_HOME: initdb failed: {reason}") from None
        unfinished.rename(self.data)

    def refuse_other_version(self) -> None:
        """Refuse data of another major version of PostgreSQL.

        Raises:
            SettingsError: `PG_VERSION` is not ours.
        """
        version = (self.data / "PG_VERSION").read_text(encoding="ascii").strip()
        if version != MAJOR_VERSION:
            raise SettingsError(
                f"SIGNALBOX_HOME: {self.data} was made by PostgreSQL {version} and this is "
                f"{MAJOR_VERSION}: dump and restore it, or choose another home"
            )

    def make_socket_folder(self, account: Account) -> Path:
        """Return the folder for the server's socket: below home, or a short temporary one."""
        folder = self.path / "run"
        if len(os.fsencode(folder / SOCKET_FILE)) > SOCKET_PATH_OCTETS_MAX:
            folder = Path(tempfile.mkdtemp(prefix=SOCKET_FOLDER_PREFIX))
        folder.mkdir(mode=0o700, exist_ok=True)
        account.own(folder)
        return folder

    def remove_socket_folder(self, folder: Path) -> None:
        """Remove a temporary socket folder, and nothing else whatever `folder` says."""
        temporary = folder.parent == Path(tempfile.gettempdir())
        if temporary and folder.name.startswith(SOCKET_FOLDER_PREFIX):
            shutil.rmtree(folder, ignore_errors=True)

    def log_file(self) -> Path:
        """Return the server's log, started anew when it has grown too long."""
        log = self.path / "postgres.log"
        if log.exists() and log.stat().st_size > LOG_OCTETS_MAX:
            log.replace(log.with_suffix(".log.1"))
        return log

    def url(self, sockets: Path, database: str = DATABASE) -> str:
        """Return the URL of `database` through the socket in `sockets`; it holds the password."""
        password, host = quote(self._password(), safe=""), quote(str(sockets), safe="")
        return f"postgresql://{DATABASE}:{password}@/{database}?host={host}"

    def status(self) -> Status | None:
        """Return what the postmaster wrote about itself; it may be gone by now."""
        with suppress(FileNotFoundError, ValueError):
            text = (self.data / "postmaster.pid").read_text(encoding="utf-8")
            pid, _, _, _, sockets, _, _, state = text.splitlines()
            return Status(int(pid), Path(sockets), state.strip())
        return None

    def servers(self) -> list[psutil.Process]:
        """Return the PostgreSQL processes that work in the data folder."""
        return [
            process
            for process in psutil.process_iter(["name", "cwd"])
            if process.info["name"] == "postgres" and process.info["cwd"] == str(self.data)
        ]

    def _password(self) -> str:
        return keep(self.path / "postgres.password").value

    @contextmanager
    def _password_for(self, account: Account) -> Iterator[Path]:
        """Lend the server's user a copy of the password, whose file it cannot read."""
        descriptor, name = tempfile.mkstemp(dir=self.path, prefix=".password-")
        copy = Path(name)
        try:
            os.write(descriptor, self._password().encode())
            account.own(copy)
            yield copy
        finally:
            os.close(descriptor)
            copy.unlink()
