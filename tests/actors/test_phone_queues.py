"""The queues of a process: never two for an owner, however its phones come."""

import gevent
import pykka
import pytest
from support.gateway import eventually
from support.phone_process import OWNER, PhoneProcess

from signalbox.actors.phone_line import LineEnd
from signalbox.actors.phone_queue import PhoneQueue


def test_phones_that_come_all_at_once_share_one_queue(database_url: str) -> None:
    with PhoneProcess(database_url) as process:
        queues = process.lines._queues  # noqa: SLF001
        starting = [gevent.spawn(queues.start, OWNER) for _ in range(5)]
        gevent.joinall(starting, raise_error=True)
        assert len(pykka.ActorRegistry.get_by_class(PhoneQueue)) == 1
        queues.stop(OWNER)


def test_a_line_that_ends_while_its_queue_is_started_leaves_none(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with PhoneProcess(database_url) as process:
        queues = process.lines._queues  # noqa: SLF001
        start = queues.start

        def start_late(owner: str) -> None:
            process.lines.end_phone(owner, None, LineEnd.REVOKED)
            start(owner)

        monkeypatch.setattr(queues, "start", start_late)
        phone = process.connect()
        assert phone.ended == [LineEnd.REVOKED]
        eventually(lambda: not pykka.ActorRegistry.get_by_class(PhoneQueue))
