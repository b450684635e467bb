"""The settings a command of `signalbox` works with, once all it needs is known to be there."""

# ruff: noqa: PLC0415  # what works with greenlets is imported after the patch

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from signalbox.ops.keys import require_secret_key, with_kept_keys, with_secret_key
from signalbox.ops.settings import Settings, SettingsError


def serving(arguments: argparse.Namespace, process: str) -> Settings:
    """Return the settings of a process that serves, once all it needs is known to be there."""
    settings = _prepared(arguments, process)
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
def inspecting(
    arguments: argparse.Namespace, process: str, *, makes_keys: bool = False
) -> Iterator[Settings]:
    """Lend the settings of a command that looks at the database of `signalbox up` or another.

    `makes_keys`: it may be the first of all, and leaves the keys that `signalbox up` will find.
    """
    settings = with_secret_key(_prepared(arguments, process))
    if makes_keys and not settings.database.url:
        settings, _ = with_kept_keys(settings)
    from signalbox.ops import embedded, preflight

    require_secret_key(settings)
    if settings.database.url:
        preflight.refuse_unreachable_database(settings.database)
        yield settings
        return
    with embedded.running_or_started(settings.home, _progress) as url:
        yield settings.with_database_url(url)


def _prepared(arguments: argparse.Namespace, process: str) -> Settings:
    from signalbox.ops import logs, patched

    settings = Settings.load(arguments.config, os.environ)
    try:
        patched.prepare_metrics(settings.home)
    except OSError as error:
        raise SettingsError(f"SIGNALBOX_HOME: {settings.home}: {error.strerror}") from None
    logs.configure(settings.log.level, settings.log.format, process)
    return settings


def _progress(line: str) -> None:
    sys.stderr.write(f"signalbox: {line}\n")
