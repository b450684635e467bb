"""Lines of phones: the newest of a phone counts, in whichever process; none is lost silently."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import gevent
import pytest
from support.chaos_proxy import ChaosProxy
from support.gateway import eventually, eventually_equal
from support.history import rows
from support.phone_process import ONE, OWNER, TWO, FakePhone, PhoneProcess

from signalbox.actors.phone_lines import LineEnd, PhoneLines, Timing
from signalbox.domain import phone
from signalbox.domain.errors import TooManyLines
from signalbox.domain.phone import PhoneConnected, PhoneDisconnected, SimCard, SimsReported
from signalbox.domain.phone_rules import PhoneRules
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.journal import Journal
from signalbox.eventstore.log import EventLog

Start = Callable[..., PhoneProcess]
QUICK: dict[str, Any] = {"renew_s": 0.2, "ttl_s": 0.6, "look_s": 0.1}
NEWER = """
    INSERT INTO signalbox.phone_lines
        (phone_id, connection, owner, process, sims, seen_at, expires_at)
    VALUES ('dev_9', 1, %s, 'newer', '[[0, "", "", "", "of tomorrow"]]', now(), now() + '1 day')
    RETURNING phone_id
"""
LINES = "SELECT phone_id, process FROM signalbox.phone_lines ORDER BY phone_id, connection"


@pytest.fixture
def start(database_url: str) -> Iterator[Start]:
    with ExitStack() as running:
        yield lambda url=database_url, **changes: running.enter_context(
            PhoneProcess(url, **changes)
        )


def reasons(process: PhoneProcess, phone_id: str = "dev_1") -> list[str]:
    events = process.phone_history(phone_id)
    return [event.reason for event in events if isinstance(event, PhoneDisconnected)]


def lines_in(process: PhoneProcess) -> list[tuple[str, str]]:
    with process.log.pool.connection() as connection:
        found = connection.execute(LINES.encode()).fetchall()
    return [(row["phone_id"], row["process"]) for row in found]


def test_a_line_is_stored_and_seen_by_every_process(start: Start) -> None:
    here, there = start(), start()
    dev = here.connect(sims=ONE)
    connection = dev.live.connection
    assert here.phone_history() == [
        PhoneConnected(OWNER, "dev_1", connection, here.name),
        SimsReported(OWNER, "dev_1", connection, ONE),
    ]
    (line,) = here.lines.online(OWNER)
    eventually(lambda: there.online() == ["dev_1"])
    eventually(lambda: there.lines.online(OWNER)[0].sims == ONE)
    seen = there.lines.online(OWNER)[0]
    assert (seen.phone_id, seen.connection) == ("dev_1", connection) == line.key
    assert seen.seen_at_s == pytest.approx(line.seen_at_s, abs=0.01)
    assert here.lines.online("usr_somebody_else") == []


def test_lines_are_told_oldest_first(start: Start) -> None:
    here, there = start(), start()
    for process, phone_id in [(here, "dev_b"), (there, "dev_a"), (here, "dev_c")]:
        process.connect(phone_id)
        gevent.sleep(0.002)
    eventually_equal(here.online, ["dev_b", "dev_a", "dev_c"])
    eventually_equal(there.online, ["dev_b", "dev_a", "dev_c"])


def test_a_line_that_ends_is_stored_and_its_row_goes(start: Start, database_url: str) -> None:
    process = start()
    dev = process.connect()
    eventually_equal(lambda: rows(database_url, LINES), [("dev_1", process.name)])
    dev.leave("silent")
    assert process.online() == []
    eventually_equal(lambda: reasons(process), ["silent"])
    eventually_equal(lambda: rows(database_url, LINES), [])
    dev.leave("closed")
    dev.live.report_sims(ONE)
    gevent.sleep(0.05)
    assert len(process.phone_history()) == 2
    assert dev.ended == []


def test_what_a_phone_says_of_its_sims_twice_is_stored_once(start: Start) -> None:
    process = start()
    dev = process.connect(sims=ONE)
    dev.live.report_sims(ONE)
    dev.live.report_sims(TWO)
    told = [event.sims for event in process.phone_history() if isinstance(event, SimsReported)]
    assert told == [ONE, TWO]
    assert process.lines.online(OWNER)[0].sims == TWO


def test_a_phone_has_no_more_sims_than_anybody_would_believe(start: Start) -> None:
    process = start()
    process.connect(sims=[SimCard(slot) for slot in range(40)])
    (line,) = process.lines.online(OWNER)
    assert line.sims is not None
    assert len(line.sims) == phone.SIMS_MAX


def test_the_newer_line_of_a_phone_replaces_the_older(start: Start) -> None:
    process = start()
    older = process.connect()
    newer = process.connect()
    assert (older.ended, newer.ended) == ([LineEnd.REPLACED], [])
    assert newer.live.connection > older.live.connection
    older.leave()
    eventually_equal(lambda: reasons(process), ["replaced"])
    assert process.online() == ["dev_1"]


def test_a_line_in_another_process_replaces_it_too(start: Start) -> None:
    here, there = start(), start()
    older = here.connect()
    newer = there.connect()
    eventually_equal(lambda: older.ended, [LineEnd.REPLACED])
    back = here.connect()
    eventually_equal(lambda: newer.ended, [LineEnd.REPLACED])
    eventually_equal(lambda: reasons(here), ["replaced", "replaced"])
    eventually_equal(lambda: lines_in(here), [("dev_1", here.name)])
    eventually(lambda: there.lines.online(OWNER)[0].connection == back.live.connection)
    assert back.ended == []


def test_of_many_lines_of_a_phone_that_come_at_once_the_newest_stays(start: Start) -> None:
    processes = [start(), start()]
    racing = [gevent.spawn(processes[n % 2].connect, "dev_1") for n in range(20)]
    gevent.joinall(racing, raise_error=True)
    phones: list[FakePhone] = [one.value for one in racing]
    eventually(lambda: sum(not one.ended for one in phones) == 1)
    (stays,) = [one for one in phones if not one.ended]
    assert stays.live.connection == max(one.live.connection for one in phones)
    assert Counter(len(one.ended) for one in phones) == {1: 19, 0: 1}
    eventually_equal(lambda: reasons(processes[0]), ["replaced"] * 19)
    eventually(lambda: [len(lines_in(process)) for process in processes] == [1, 1])


def test_a_line_that_is_outdated_when_it_is_stored_ends_at_once(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The follower may learn of a newer one before the caller learns that his is stored."""
    here, there = start(), start()
    change = here.lines._days.change  # noqa: SLF001  the way into the log

    def overtaken(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        stored = change(*args, **kwargs)
        monkeypatch.undo()
        newer = there.connect()
        registry = here.lines._registry  # noqa: SLF001  what the follower told
        eventually(lambda: registry._newest["dev_1"] == newer.live.connection)  # noqa: SLF001
        return stored

    monkeypatch.setattr(here.lines._days, "change", overtaken)  # noqa: SLF001
    late = here.connect()
    assert late.ended == [LineEnd.REPLACED]
    assert here.lines._registry.own() == []  # noqa: SLF001
    eventually_equal(lambda: reasons(here), ["replaced"])


def test_an_owner_has_only_so_many_lines_in_all_processes(start: Start) -> None:
    here, there = start(lines_max=3), start(lines_max=3)
    here.connect("dev_1")
    there.connect("dev_2")
    eventually(lambda: len(here.online()) == 2)
    last = here.connect("dev_3")
    with pytest.raises(TooManyLines, match="3 devices are connected, no more are possible"):
        here.connect("dev_4")
    here.connect("dev_2")
    eventually(lambda: len(here.online()) == 3)
    last.leave()
    eventually(lambda: len(here.online()) == 2)
    here.connect("dev_4")


def test_phones_that_come_at_once_are_not_more_than_may(start: Start) -> None:
    process = start(lines_max=2)
    racing = [gevent.spawn(process.connect, f"dev_{n}") for n in range(20)]
    gevent.joinall(racing)
    refused = [one.exception for one in racing if one.exception is not None]
    assert Counter(map(type, refused)) == {TooManyLines: 18}
    assert len(process.online()) == 2


def test_a_place_is_free_again_when_the_line_could_not_be_stored(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start(lines_max=1)

    def away(*_: Any, **_kwargs: Any) -> None:  # noqa: ANN401
        raise Unavailable("store does not answer")

    monkeypatch.setattr(process.lines._days, "change", away)  # noqa: SLF001  the way into the log
    with pytest.raises(Unavailable):
        process.connect("dev_1")
    monkeypatch.undo()
    process.connect("dev_2")
    assert process.lines._admission._arriving == {}  # noqa: SLF001  nobody is left in it


def test_an_anonymous_phone_gets_the_place_of_one_that_seems_to_be_gone(start: Start) -> None:
    """After its network failed it comes back with another id, and is not to wait for its own."""
    process = start(lines_max=2)
    gone = process.connect("anon-1", anonymous=True)
    stays = process.connect("anon-2", anonymous=True)
    with pytest.raises(TooManyLines):
        process.connect("anon-3", anonymous=True)
    gone.is_quiet = True
    with pytest.raises(TooManyLines):
        process.connect("dev_1")
    process.connect("anon-3", anonymous=True)
    assert (gone.ended, stays.ended) == ([LineEnd.OVERLOAD], [])
    eventually_equal(lambda: reasons(process, "anon-1"), ["silent"])
    assert sorted(process.online()) == ["anon-2", "anon-3"]


def test_rows_that_were_lost_come_back(start: Start, database_url: str) -> None:
    process = start(timing=QUICK)
    process.connect(sims=ONE)
    eventually_equal(lambda: rows(database_url, LINES), [("dev_1", process.name)])
    rows_before = "DELETE FROM signalbox.phone_lines RETURNING phone_id"
    assert rows(database_url, rows_before) == [("dev_1",)]
    eventually_equal(lambda: rows(database_url, LINES), [("dev_1", process.name)])


def test_a_line_that_lives_is_not_swept(start: Start) -> None:
    here, there = start(timing=QUICK), start(timing=QUICK)
    dev = here.connect()
    gevent.sleep(1.5)
    assert (dev.ended, there.online(), reasons(here)) == ([], ["dev_1"], [])


def test_a_process_does_not_sweep_its_own_lines(start: Start) -> None:
    process = start(timing={"renew_s": 0.2, "ttl_s": 0.0, "look_s": 0.1})
    dev = process.connect()
    gevent.sleep(1)
    assert (dev.ended, reasons(process)) == ([], [])


def test_what_was_heard_of_a_phone_is_known_everywhere(start: Start) -> None:
    here, there = start(timing=QUICK), start()
    dev = here.connect()
    eventually(lambda: there.online() == ["dev_1"])
    gevent.sleep(0.2)
    dev.heard_s += 0.1
    seen_at_s = pytest.approx(dev.live.connection / 1000 + 0.1, abs=0.05)
    assert here.lines.online(OWNER)[0].seen_at_s == seen_at_s
    eventually(lambda: there.lines.online(OWNER)[0].seen_at_s == seen_at_s)


def test_when_a_phone_was_heard_last_is_kept_when_its_line_ends(start: Start) -> None:
    process = start()
    dev = process.connect()
    gevent.sleep(0.3)
    dev.leave("silent")
    eventually_equal(lambda: reasons(process), ["silent"])
    (end,) = (one for one in process.phone_history() if isinstance(one, PhoneDisconnected))
    assert end.heard_at_s == pytest.approx(dev.live.connection / 1000, abs=0.1)


def test_the_lines_of_a_dead_process_are_lost_once(start: Start) -> None:
    dead = start(timing=QUICK)
    dead.connect("dev_1")
    dead.connect("dev_2")
    eventually(lambda: len(lines_in(dead)) == 2)
    sweepers = [start(timing=QUICK), start(timing=QUICK)]
    dead.crash()
    for phone_id in ("dev_1", "dev_2"):
        eventually_equal(lambda of=phone_id: reasons(sweepers[0], of), ["lost"])
    (end,) = (one for one in sweepers[0].phone_history() if isinstance(one, PhoneDisconnected))
    assert end.heard_at_s == pytest.approx(end.connection / 1000, abs=0.1)
    eventually_equal(lambda: lines_in(sweepers[0]), [])
    gevent.sleep(0.5)
    assert reasons(sweepers[1]) == ["lost"]


def test_a_line_whose_process_dies_at_once_is_lost_too(start: Start) -> None:
    dead = start(timing=QUICK)
    dead.lines._rows._greenlet.kill()  # noqa: SLF001  it has written nothing yet
    dead.connect("anon-1", anonymous=True)
    dead.crash()
    sweeper = start(timing=QUICK)
    eventually_equal(lambda: reasons(sweeper, "anon-1"), ["lost"])


def test_a_line_that_is_stored_after_its_phone_was_sent_away_is_lost(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a commit was made may not be known before the store is back."""
    process = start(timing=QUICK)
    change = process.lines._days.change  # noqa: SLF001  the way into the log

    def in_doubt(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        change(*args, **kwargs)
        monkeypatch.undo()
        raise Unavailable("store does not answer")

    monkeypatch.setattr(process.lines._days, "change", in_doubt)  # noqa: SLF001
    with pytest.raises(Unavailable):
        process.connect()
    again = process.connect()
    eventually_equal(lambda: reasons(process), ["lost"])
    assert again.ended == []
    eventually_equal(lambda: lines_in(process), [("dev_1", process.name)])


def test_more_lost_lines_than_are_looked_up_at_once_are_lost_soon(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("phone_rows", "phone_watch"):
        monkeypatch.setattr(f"signalbox.actors.{module}.EXPIRED_MAX", 2)
    dead = start(timing={**QUICK, "renew_s": 0.1, "ttl_s": 0.3})
    for n in range(9):
        dead.connect(f"dev_{n}")
    dead.crash()
    sweeper = start(timing={"renew_s": 1.0, "ttl_s": 3.0, "look_s": 0.1})
    eventually_equal(lambda: lines_in(sweeper), [], timeout_s=3)


def test_lines_are_looked_at_again_after_one_that_makes_no_sense(
    start: Start, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    here, there = start(timing=QUICK), start(timing=QUICK)
    here.connect()
    assert rows(database_url, NEWER, OWNER) == [("dev_9",)]
    eventually(lambda: "lines can't be read" in caplog.messages)
    rows(database_url, "DELETE FROM signalbox.phone_lines WHERE phone_id = 'dev_9' RETURNING 1")
    there.connect("dev_2")
    there.crash()
    eventually_equal(lambda: reasons(here, "dev_2"), ["lost"])


def test_the_first_line_of_an_owner_knows_the_lines_elsewhere(start: Start) -> None:
    here, there = start(timing={"look_s": 60}), start()
    there.connect("anon-1", anonymous=True)
    here.connect("anon-2", anonymous=True)
    registry = here.lines._registry  # noqa: SLF001  what is reckoned with
    assert [line.phone_id for line in registry.others(OWNER)] == ["anon-1"]
    registry.see_all([], [])  # The answer of a look that began before this line was there.
    assert [line.phone_id for line in registry.others(OWNER)] == ["anon-1"]


def test_a_line_that_was_taken_for_dead_ends_and_the_phone_comes_back(start: Start) -> None:
    here = start(timing={"renew_s": 60, "ttl_s": 0.2})
    dev = here.connect()
    start(timing=QUICK)
    eventually_equal(lambda: dev.ended, [LineEnd.OVERLOAD])
    assert reasons(here) == ["lost"]
    again = here.connect()
    assert again.live.connection > dev.live.connection


def test_an_anonymous_phone_is_known_again_by_its_sims(start: Start) -> None:
    process = start()
    older = process.connect("anon-1", ONE, anonymous=True)
    other = process.connect("anon-2", TWO, anonymous=True)
    named = process.connect("dev_1", ONE)
    assert (older.ended, other.ended, named.ended) == ([LineEnd.REPLACED], [], [])
    process.connect("anon-3", ONE, anonymous=True)
    assert named.ended == []


def test_what_the_log_tells_again_ends_no_line(start: Start) -> None:
    process = start()
    older = process.connect("anon-1", ONE, anonymous=True)
    newer = process.connect("anon-2", ONE, anonymous=True)
    process.connect("dev_1")
    named = process.connect("dev_1")
    eventually(lambda: older.ended and reasons(process))
    for batch in process.log.everything():
        for recorded in batch:
            process.lines.follow(recorded)
    assert (newer.ended, named.ended) == ([], [])
    assert sorted(process.online()) == ["anon-2", "dev_1"]


def test_it_is_known_again_in_another_process(start: Start) -> None:
    here, there = start(), start()
    older = here.connect("anon-1", (*ONE, SimCard(1)), anonymous=True)
    newer = there.connect("anon-2", ONE, anonymous=True)
    eventually_equal(lambda: older.ended, [LineEnd.REPLACED])
    eventually_equal(there.online, ["anon-2"])
    assert newer.ended == []


def test_an_older_line_that_tells_its_sims_late_is_the_one_to_end(start: Start) -> None:
    here, there = start(), start()
    older = here.connect("anon-1", anonymous=True)
    newer = there.connect("anon-2", ONE, anonymous=True)
    eventually(lambda: [line.sims for line in here.lines.online(OWNER)] == [None, ONE])
    older.live.report_sims(ONE)
    assert (older.ended, newer.ended) == ([LineEnd.REPLACED], [])


def test_phones_without_numbers_are_never_the_same(start: Start) -> None:
    process = start()
    phones = [process.connect(f"anon-{n}", (SimCard(0),), anonymous=True) for n in range(3)]
    assert [one.ended for one in phones] == [[], [], []]
    assert len(process.online()) == 3


@pytest.mark.parametrize(
    ("phone_id", "reason", "stored"),
    [
        ("dev_1", LineEnd.UNKNOWN_PHONE, "revoked"),
        (None, LineEnd.REVOKED, "revoked"),
    ],
)
def test_lines_of_an_unpaired_phone_or_a_revoked_key_end(
    start: Start, phone_id: str | None, reason: LineEnd, stored: str
) -> None:
    process = start()
    one, two = process.connect("dev_1"), process.connect("dev_2")
    process.lines.end_phone(OWNER, phone_id, reason)
    assert one.ended == [reason]
    assert two.ended == ([] if phone_id else [reason])
    eventually_equal(lambda: reasons(process), [stored])


def test_a_process_that_leaves_says_goodbye(start: Start) -> None:
    here, there = start(), start()
    dev = here.connect()
    eventually_equal(there.online, ["dev_1"])
    here.lines.close()
    assert dev.ended == [LineEnd.SHUTDOWN]
    assert (reasons(there), lines_in(there)) == (["shutdown"], [])
    with pytest.raises(Unavailable, match="closing"):
        here.connect()


def test_the_end_of_a_line_waits_for_the_store(start: Start, database_url: str) -> None:
    with ChaosProxy(database_url) as proxy:
        here, there = start(proxy.url), start()
        phones = [here.connect(f"dev_{n}") for n in range(20)]
        proxy.go_away()
        for dev in phones:
            dev.leave()
        with pytest.raises(Unavailable):
            here.connect("dev_99")
        proxy.come_back()
        for n in range(20):
            eventually_equal(lambda n=n: reasons(there, f"dev_{n}"), ["closed"], timeout_s=10)
        eventually_equal(lambda: lines_in(there), [])
        here.close()


def test_lines_outlive_a_store_that_is_away_for_longer_than_their_rows(
    start: Start, database_url: str
) -> None:
    patient: dict[str, Any] = {"renew_s": 0.5, "ttl_s": 2.0, "look_s": 0.1}
    with ChaosProxy(database_url) as proxy:
        processes = [start(proxy.url, timing=patient) for _ in range(2)]
        phones = [process.connect(f"dev_{n}") for n, process in enumerate(processes)]
        eventually(lambda: len(rows(database_url, LINES)) == 2)
        proxy.go_away()
        gevent.sleep(2.3)
        proxy.come_back()
        gevent.sleep(2.5)
        assert [one.ended for one in phones] == [[], []]
        assert [len(process.online()) for process in processes] == [2, 2]
        for process in processes:
            process.close()


def test_a_line_made_at_midnight_is_found_in_the_stream_of_its_day(event_log: EventLog) -> None:
    """The stream of a line that is lost is made out from its number alone."""
    ticks = iter(range(1_000))

    def now() -> datetime:
        tick_us = 999_400 + 100 * next(ticks)
        second, us = divmod(tick_us, 1_000_000)
        return datetime(2026, 11, 21, 23, 59, 59, us, UTC).replace(second=59) if not second else (
            datetime(2026, 11, 22, 0, 0, second - 1, us, UTC)
        )  # fmt: skip

    journal = Journal(event_log, now=now)
    lines = PhoneLines(
        event_log, journal, lambda _: PhoneRules(ttl_s=1, pending_max=1), "p", timing=Timing()
    )
    for n in range(8):
        live = lines.connect(OWNER, f"dev_{n}", FakePhone())
        (recorded,) = event_log.read(phone.stream_of(f"dev_{n}", live.connection / 1000))
        assert isinstance(recorded.event, PhoneConnected)
    lines.close()
    journal.close()
