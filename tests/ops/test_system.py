"""The machine's load, as the dashboard shows it."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic
from types import SimpleNamespace

import gevent
import psutil
import pytest
from support.gateway import eventually

from signalbox.http.sms_proxy.ports import SystemLoad
from signalbox.ops.system import SystemSampler


@pytest.fixture
def sampler(tmp_path: Path) -> Iterator[SystemSampler]:
    with closing(SystemSampler(tmp_path, first_s=0.01, every_s=0.02)) as sampler:
        yield sampler


def test_percentages_of_this_machine_are_told_with_one_decimal(sampler: SystemSampler) -> None:
    eventually(lambda: sampler.load() != SystemLoad())
    load = sampler.load()
    assert all(0 <= value <= 100 for value in (load.cpu, load.ram, load.disk))
    assert load == SystemLoad(round(load.cpu, 1), round(load.ram, 1), round(load.disk, 1))
    assert load.ram > 0


def test_a_busy_processor_is_seen_at_the_second_look(tmp_path: Path) -> None:
    with closing(SystemSampler(tmp_path, first_s=0.1, every_s=60)) as sampler:
        gevent.sleep(0)  # The first look.
        busy_until_s = monotonic() + 0.1
        while monotonic() < busy_until_s:
            pass
        eventually(lambda: sampler.load().cpu > 0, timeout_s=1)


def test_the_load_is_looked_at_again_and_again_but_never_by_who_asks(
    sampler: SystemSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = iter(range(1, 100))
    monkeypatch.setattr(psutil, "cpu_percent", lambda _: next(loads) + 0.26)
    eventually(lambda: sampler.load().cpu == 3.3)
    asked = [sampler.load() for _ in range(1000)]
    assert len(set(asked)) == 1


def test_what_can_not_be_found_out_stays_as_it_was_and_is_logged_once(
    sampler: SystemSampler, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failures = []

    def fail(_path: str) -> None:
        failures.append(1)
        raise OSError("stale file handle")

    with monkeypatch.context() as broken:
        broken.setattr(psutil, "disk_usage", fail)
        gevent.sleep(0.03)
        before = sampler.load()
        eventually(lambda: len(failures) > 3)
        assert sampler.load() == before
    assert [record.getMessage() for record in caplog.records] == ["machine's load is not known"]
    monkeypatch.setattr(psutil, "disk_usage", lambda _: SimpleNamespace(percent=12.34))
    eventually(lambda: sampler.load().disk == 12.3)
