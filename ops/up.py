"""`signalbox up`: the database where none is given, then the processes of the Procfile.

PostgreSQL ──▶ web, relay, projector (and the demo's SMSC) ──▶ stopped in that order, database last
"""

import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from http.client import HTTPConnection, HTTPException
from typing import Final
from urllib.parse import urlsplit

from signalbox.ops import preflight
from signalbox.ops.demo import Demo
from signalbox.ops.embedded import EmbeddedPostgres
from signalbox.ops.foreman import Foreman
from signalbox.ops.keys import with_kept_keys
from signalbox.ops.logs import as_json
from signalbox.ops.settings import Settings

PROCESSES: Final = ("web", "relay", "projector")
RELOADING: Final = ("web", "relay")
LOOK_S: Final = 0.1
ANSWER_TIMEOUT_S: Final = 5.0
COMMAND: Final = (sys.executable, "-m", "signalbox.ops.main")


def run(settings: Settings, demo: Demo | None = None) -> int:
    """Serve until Ctrl-C or SIGTERM, then return 0; return 1 when a process ended by itself.

    SIGHUP makes the processes read the configuration again; on a terminal it means that this was
    closed, and stops them.

    Raises:
        SettingsError: the port is taken, the database or the home cannot be used.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGHUP, _stop if sys.stdin.isatty() else signal.SIG_IGN)
    try:
        preflight.refuse_taken_ports(settings)
        settings, admin_key_origin = with_kept_keys(settings)
        with _database(settings) as (settings, database_runs):
            say(settings, f"admin key {admin_key_origin}")
            if not settings.links:
                say(settings, "no [[links]] are configured: SMS can leave by phones only")
            return _serve(settings, database_runs, demo)
    except KeyboardInterrupt:
        return 0


def say(settings: Settings, line: str) -> None:
    """Print one line for whoever started us."""
    shown = as_json("up", line) if _in_json(settings) else f"signalbox: {line}"
    sys.stdout.write(f"{shown}\n")
    sys.stdout.flush()


def child_environment(settings: Settings) -> dict[str, str]:
    """Return the environment of our processes: ours, and what we found out or made."""
    return {
        **os.environ,
        "ADMIN_API_KEY": settings.admin_api_key,
        "DATABASE_URL": settings.database.url,
        "PYTHONUNBUFFERED": "1",
        "SECRET_KEY": settings.secret_key,
        "SIGNALBOX_HOME": str(settings.home),
    }


@contextmanager
def _database(settings: Settings) -> Iterator[tuple[Settings, Callable[[], bool]]]:
    """Lend settings with a database's URL, and the question whether that still runs."""
    if settings.database.url:
        preflight.refuse_unreachable_database(settings.database)
        yield settings, lambda: True
        return
    server = EmbeddedPostgres(settings.home)
    url = server.start(partial(say, settings))
    try:
        yield settings.with_database_url(url), lambda: server.running
    finally:
        server.stop()


def _serve(settings: Settings, database_runs: Callable[[], bool], demo: Demo | None) -> int:
    environment = child_environment(settings)

    def started() -> None:
        threading.Thread(target=_say_when_serving, args=(settings,), daemon=True).start()
        if demo is not None:
            arguments = (settings, (*COMMAND, "audit", "timeline"), environment)
            threading.Thread(target=demo.show, args=arguments, daemon=True).start()

    foreman = Foreman(healthy=database_runs, started=started, in_json=_in_json(settings))
    config = ("--config", str(settings.config_path.absolute())) if settings.config_path else ()
    for name in PROCESSES:
        foreman.add_process(name, _shell(name, *config), env=environment)
    if demo is not None:
        foreman.add_process("smsc", _shell("demo-smsc", "--port", str(demo.port)), env=environment)
    if demo is not None and demo.with_phone:
        arguments, secret = demo.phone(settings.server.url)
        foreman.add_process("phone", _shell(*arguments), env={**environment, **secret})
    if not sys.stdin.isatty():
        signal.signal(signal.SIGHUP, lambda *_: foreman.hang_up(RELOADING))
    foreman.loop()
    if not database_runs():
        say(settings, f"PostgreSQL ended by itself, see {settings.home}/postgres.log")
    return 0 if foreman.asked_to_stop else 1


def _say_when_serving(settings: Settings) -> None:
    while not _answers(settings.server.url):
        time.sleep(LOOK_S)
    say(settings, f"serving {settings.server.url}, home {settings.home}")


def _answers(url: str) -> bool:
    """Tell whether the web process answers, whatever it says."""
    where = urlsplit(url).netloc
    with closing(HTTPConnection(where, timeout=ANSWER_TIMEOUT_S)) as connection:
        try:
            connection.request("GET", "/healthy")
            connection.getresponse().read()
        except (OSError, HTTPException):
            return False
    return True


def _in_json(settings: Settings) -> bool:
    return settings.log.format == "json"


def _stop(*_: object) -> None:
    signal.raise_signal(signal.SIGTERM)


def _shell(*arguments: str) -> str:
    # `exec`: signals and the exit code are the process's own, not a shell's.
    return "exec " + shlex.join((*COMMAND, *arguments))
