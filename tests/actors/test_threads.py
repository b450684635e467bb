"""Work in threads: its result, or what it raises, reaches whoever waits for it and nobody else."""

import threading
from pathlib import Path

import pytest
from argon2.exceptions import InvalidHashError
from gevent.monkey import get_original

from signalbox.actors.passwords import Passwords
from signalbox.actors.threads import in_thread

thread_id = get_original("threading", "get_ident")


def test_work_is_done_in_another_thread() -> None:
    assert in_thread(thread_id) not in {thread_id(), threading.get_ident()}


def test_what_it_raises_is_printed_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FileNotFoundError, match="none"):
        in_thread(Path("/none").read_bytes)
    passwords = Passwords(threads=1, queue_max=1, octets_max=128)
    with pytest.raises(InvalidHashError):
        passwords.matches("secret", "no hash")
    passwords.close()
    assert not capfd.readouterr().err
