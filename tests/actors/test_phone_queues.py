"""The queues of a process: never two for an owner, however its phones come."""

import gevent
import pykka
from support.phone_process import OWNER, PhoneProcess

from signalbox.actors.phone_queue import PhoneQueue


def test_phones_that_come_all_at_once_share_one_queue(database_url: str) -> None:
    with PhoneProcess(database_url) as process:
        queues = process.lines._queues  # noqa: SLF001
        starting = [gevent.spawn(queues.start, OWNER) for _ in range(5)]
        gevent.joinall(starting, raise_error=True)
        assert len(pykka.ActorRegistry.get_by_class(PhoneQueue)) == 1
        queues.stop(OWNER)
