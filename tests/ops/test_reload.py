"""The configuration read again: what is taken, what has to wait, and what is wrong."""

import logging
import os
import signal
from pathlib import Path
from typing import Final

import gevent
import pytest
from gevent.queue import Queue
from support.gateway import eventually

from signalbox.eventstore.errors import Unavailable
from signalbox.ops.reload import Reload, read_again
from signalbox.ops.settings import Settings

LINK: Final = """
[[links]]
id = {id}
name = "link-{id}"
host = "h"
port = 2775
system_id = "s"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "signalbox.toml"
    path.write_text(LINK.format(id=1), encoding="utf-8")
    return path


@pytest.fixture
def settings(path: Path) -> Settings:
    return Settings.load(path, os.environ)


def warnings(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, object]]:
    shown = []
    for record in caplog.records:
        fields = record.__dict__
        shown.append(
            (record.levelname, record.message, fields.get("sections", fields.get("error")))
        )
    return shown


def test_links_pools_and_filters_are_taken_as_they_are_now(path: Path, settings: Settings) -> None:
    pool = '[[pools]]\nname = "p"\nlinks = ["link-1", "link-2"]\n'
    rule = '[[filters]]\nname = "f"\nmessage = "x"\n'
    text = LINK.format(id=1) + LINK.format(id=2) + pool + rule
    path.write_text(text, encoding="utf-8")
    fresh = read_again(settings)
    assert fresh is not None
    assert [link.id for link in fresh.links] == [1, 2]
    assert [one.name for one in (*fresh.pools, *fresh.filters)] == ["p", "f"]


def test_what_waits_for_a_restart_is_kept_and_named(
    path: Path, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    other = "[server]\nport = 9000\n[leases]\npartitions = 9\n[sms]\nparts_max = 10\n"
    path.write_text(other + LINK.format(id=2), encoding="utf-8")
    fresh = read_again(settings)
    assert fresh is not None
    assert (fresh.server, fresh.leases) == (settings.server, settings.leases)
    assert [link.id for link in fresh.links] == [2]
    assert warnings(caplog) == [("WARNING", "changes wait for a restart", "server, leases")]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("[[links]\n", "line 1:"),
        ("[server]\nprot = 1\n", "server.prot: unknown key"),
        (LINK.format(id=1) * 2, "links[1].id: 1 is given twice"),
        (LINK.format(id=1).replace("2775", "0"), "links[0].port: expected int >= 1"),
    ],
)
def test_a_wrong_file_is_one_error_and_changes_nothing(
    path: Path, settings: Settings, caplog: pytest.LogCaptureFixture, text: str, mistake: str
) -> None:
    path.write_text(text, encoding="utf-8")
    assert read_again(settings) is None
    ((level, message, error),) = warnings(caplog)
    assert (level, message) == ("ERROR", "configuration is wrong, nothing changed")
    assert mistake in str(error)


def test_a_file_that_is_gone_changes_nothing(path: Path, settings: Settings) -> None:
    path.unlink()
    assert read_again(settings) is None


def test_a_hangup_applies_the_file_until_the_store_takes_it(
    path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signalbox.ops.reload.RETRY_S", 0.01)
    tries: Queue[int] = Queue()

    def apply(fresh: Settings) -> None:
        tries.put(len(fresh.links))
        if tries.qsize() == 1:
            raise Unavailable("away")

    reload = Reload(settings)
    reload.start(apply)
    path.write_text("", encoding="utf-8")
    os.kill(os.getpid(), signal.SIGHUP)
    eventually(lambda: reload.settings.links == ())
    assert tries.qsize() == 2
    reload.close()


def test_a_hangup_before_it_is_ready_is_not_lost(path: Path, settings: Settings) -> None:
    reload = Reload(settings)
    os.kill(os.getpid(), signal.SIGHUP)
    gevent.sleep(0)
    path.write_text(LINK.format(id=3), encoding="utf-8")
    reload.start(lambda _: None)
    eventually(lambda: [link.id for link in reload.settings.links] == [3])
    reload.close()


def test_after_an_accident_the_next_hangup_is_heard(path: Path, settings: Settings) -> None:
    broken = [True]

    def apply(_: Settings) -> None:
        if broken.pop():
            raise LookupError

    reload = Reload(settings)
    reload.start(apply)
    os.kill(os.getpid(), signal.SIGHUP)
    eventually(lambda: not broken)
    assert reload.settings is settings
    broken.append(False)
    path.write_text("", encoding="utf-8")
    os.kill(os.getpid(), signal.SIGHUP)
    eventually(lambda: reload.settings.links == ())
    reload.close()


def test_read_quietly_only_mistakes_are_told(
    path: Path, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text("[server]\nport = 9000\n", encoding="utf-8")
    with caplog.at_level(logging.DEBUG):
        read_again(settings, tells_waiting=False)
    assert caplog.records == []
