"""The settings a command of `signalbox` works with, once all it needs is known to be there."""

# ruff: noqa: PLC0415  # what works with greenlets is imported after the patch

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from signalbox.ops.keys import require_secret_key, with_secret_key
from signalbox.ops.settings import Settings, SettingsError


def serving(arguments: argparse.Namespace, process: str) -> Settings:
    """Return the settings of a process that serves, once all it needs is known to be there."""
    settings = Settings.load(arguments.config, os.environ)
    _prepare(settings, process)
    from signalbox.ops import preflight

    require_secret_key(settings)
    if not settings.database.url:
        raise SettingsError(
            f"DATABASE_URL (database.url) is not set: `signalbox {process}` needs it, "
            "only `signalbox up` brings a database of its own"
        )
    preflight.refuse_unreachable_database(settings.database)
    return settings


@contextmanager
def inspecting(arguments: argparse.Namespace, process: str) -> Iterator[Settings]:
    """Lend the settings of a command that looks at the database of `signalbox up` or another.

    It makes nothing: where there is no installation yet, it says so.
    """
    settings = Settings.load(arguments.config, os.environ)
    if not settings.database.url:
        _refuse_empty(settings.home)
    settings = with_secret_key(settings)
    require_secret_key(settings)
    _prepare(settings, process)
    from signalbox.ops import embedded, preflight

    if settings.database.url:
        preflight.refuse_unreachable_database(settings.database)
        yield settings
        return
    with embedded.running_or_started(settings.home, _progress) as url:
        yield settings.with_database_url(url)


def _refuse_empty(home: Path) -> None:
    from signalbox.ops import patched  # noqa: F401  before all that blocks
    from signalbox.ops.postgres_home import PostgresHome

    try:
        is_there = PostgresHome(home.resolve()).data.exists()
    except OSError as error:
        raise SettingsError(f"SIGNALBOX_HOME: {home}: {error.strerror}") from None
    if not is_there:
        raise SettingsError(
            f"nothing of signalbox in {home.resolve()}: "
            "is SIGNALBOX_HOME right (or DATABASE_URL missing), has `signalbox up` run?"
        )


def _prepare(settings: Settings, process: str) -> None:
    from signalbox.ops import logs, patched

    try:
        patched.prepare_metrics(settings.home)
    except OSError as error:
        raise SettingsError(f"SIGNALBOX_HOME: {settings.home}: {error.strerror}") from None
    logs.configure(settings.log.level, settings.log.format, process)


def _progress(line: str) -> None:
    sys.stderr.write(f"signalbox: {line}\n")
