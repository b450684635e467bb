"""Messages on their way to phones: each to one phone, in order, as fast as the phone may send."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from time import monotonic
from typing import Any

import gevent
import pytest
from gevent.event import AsyncResult, Event
from support.chaos_proxy import ChaosProxy
from support.gateway import eventually, eventually_equal
from support.history import rows
from support.phone_process import ONE, OWNER, TWO, FakePhone, PhoneProcess

from signalbox.actors import phone_queue
from signalbox.actors.phone_line import LineEnd, PushedSms
from signalbox.domain import phone_message as messages
from signalbox.domain.phone import SimCard
from signalbox.domain.phone_message import (
    OutboundExpired,
    OutboundGivenUp,
    OutboundPushed,
    OutboundQueued,
)
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.journal import Append

Start = Callable[..., PhoneProcess]
QUICK: dict[str, Any] = {"renew_s": 0.2, "ttl_s": 0.6, "look_s": 0.1}
INBOX = "SELECT stream_id FROM signalbox.inbox"
BOTH = (*ONE, *TWO)


@pytest.fixture
def start(database_url: str) -> Iterator[Start]:
    with ExitStack() as running:
        yield lambda url=database_url, **changes: running.enter_context(
            PhoneProcess(url, **changes)
        )


def pushes(process: PhoneProcess, key: str) -> list[tuple[str, int, int]]:
    """Return phone, connection and attempt of each push of a message."""
    return [
        (event.phone_id, event.connection, event.attempt)
        for event in process.history(key)
        if isinstance(event, OutboundPushed)
    ]


def is_quiet(*phones: FakePhone, for_s: float = 0.3) -> None:
    """Demand that phones get nothing more for a while."""
    before = [len(one.pushed) for one in phones]
    gevent.sleep(for_s)
    assert [len(one.pushed) for one in phones] == before


# to one phone


def test_a_message_is_pushed_once_that_is_stored(start: Start) -> None:
    process = start()
    known: list[list[str]] = []
    dev = process.connect(answers=lambda sms: known.append(process.names(sms.key)))
    before_s = process.journal.now().timestamp()
    (key,) = process.queue("hello", to="+4917012345", sim=None)
    eventually_equal(lambda: known, [["OutboundQueued", "OutboundPushed"]])
    assert pushes(process, key) == [("dev_1", dev.live.connection, 1)]
    (sms,) = dev.pushed
    assert (sms.key, sms.number, sms.to, sms.text, sms.sim) == (
        key, 0, "+4917012345", "hello", None,
    )  # fmt: skip
    assert before_s <= sms.queued_at_s <= process.journal.now().timestamp()


def test_what_waited_comes_oldest_first_when_the_phone_is_ready(start: Start) -> None:
    process = start()
    keys = process.queue(*(f"text {n}" for n in range(20)))
    dev = process.connect(is_ready=False)
    is_quiet(dev)
    dev.live.ready()
    eventually_equal(lambda: dev.keys, keys)


def test_a_phone_has_no_more_than_a_window_of_unconfirmed_messages(
    start: Start, database_url: str
) -> None:
    process = start(window=3)
    dev = process.connect()
    keys = process.queue(*"abcdefg")
    eventually_equal(lambda: dev.keys, keys[:3])
    is_quiet(dev)
    process.report(keys[1])
    eventually_equal(lambda: dev.keys, keys[:4])
    is_quiet(dev, for_s=0.1)
    process.report(keys[0], "failed")
    process.report(keys[2], "delivered")
    eventually_equal(lambda: dev.keys, keys[:6])
    for key in keys[3:]:
        eventually(lambda key=key: key in dev.keys)
        process.report(key)
    eventually_equal(lambda: rows(database_url, INBOX), [])
    assert dev.keys == keys


def test_a_phone_that_never_confirms_gets_the_rest_more_slowly(start: Start) -> None:
    process = start(window=2, timing={"confirm_s": 0.4})
    keys = process.queue(*"abcde")
    began_s = monotonic()
    dev = process.connect()
    eventually_equal(lambda: dev.keys, keys)
    assert monotonic() - began_s > 0.8
    is_quiet(dev, for_s=0.6)
    assert [len(pushes(process, key)) for key in keys] == [1] * 5


def test_each_sim_has_its_pace_and_connecting_again_gives_no_new_burst(start: Start) -> None:
    process = start(rate_per_s=2.0, burst=3, repush_s=60.0)
    one = process.queue(*"abcde", sim=0)
    two = process.queue(*"ab", sim="+49 170 0000002")
    dev = process.connect(sims=BOTH)
    eventually(lambda: len(dev.pushed) == 5)
    assert set(dev.keys) == {*one[:3], *two}
    began_s = monotonic()
    again = process.connect(sims=BOTH)
    eventually_equal(lambda: again.keys, one[3:])
    assert monotonic() - began_s > 0.5


def test_a_slot_and_its_number_are_one_sim(start: Start) -> None:
    process = start(rate_per_s=0.1, burst=2)
    keys = [
        *process.queue("by slot", sim=0),
        *process.queue("by number", sim="+491700000001"),
        *process.queue("by slot, too late", sim="0"),
    ]
    dev = process.connect(sims=BOTH)
    eventually_equal(lambda: dev.keys, keys[:2])
    is_quiet(dev)


def test_a_message_whose_time_is_over_is_not_pushed(start: Start, database_url: str) -> None:
    process = start(ttl_s=0.05)
    (key,) = process.queue("too late")
    gevent.sleep(0.1)
    dev = process.connect()
    eventually(lambda: process.history(key)[1:] == [OutboundExpired()])
    assert (dev.pushed, rows(database_url, INBOX)) == ([], [])


def test_a_message_that_changed_meanwhile_is_read_again(start: Start) -> None:
    process = start()
    dev = process.connect(is_ready=False)
    (key,) = process.queue("hello")
    dev.live.ready()
    stale = messages.decide
    archived = []

    def decide(*args: Any) -> Any:  # noqa: ANN401
        if isinstance(args[1], messages.PushOutbound) and not archived:
            archived.append(key)
            process.messages.archive(OWNER, key, by="test")
        return stale(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(messages, "decide", decide)
        eventually_equal(lambda: dev.keys, [key])
    assert process.names(key) == ["OutboundQueued", "PhoneMessageArchived", "OutboundPushed"]


@pytest.mark.parametrize("is_reported", [True, False])
def test_what_was_read_before_it_was_pushed_is_not_pushed_again(
    start: Start, monkeypatch: pytest.MonkeyPatch, *, is_reported: bool
) -> None:
    process = start(window=2)
    dev = process.connect()
    keys = process.queue("a", "b", "c")
    eventually_equal(lambda: dev.keys, keys[:2])
    gevent.sleep(0.1)
    feeder = process.lines._queues._feeder  # noqa: SLF001  to hold up what it has read
    tell, held_up, go_on = feeder._tell, [], Event()  # noqa: SLF001  same

    def tell_late(owner: str, message: object) -> None:
        held_up.append(message)
        go_on.wait()
        tell(owner, message)

    monkeypatch.setattr(feeder, "_tell", tell_late)
    dev.live.report_sims(ONE)
    eventually(lambda: held_up)
    process.report(keys[0])
    eventually_equal(lambda: dev.keys, keys)
    if is_reported:
        process.report(keys[2])
    go_on.set()
    gevent.sleep(0.1)
    process.report(keys[1])
    is_quiet(dev)
    assert dev.keys == keys
    more = process.queue("d", "e") if is_reported else process.queue("d")
    eventually_equal(lambda: dev.keys, [*keys, *more])


def test_a_line_that_takes_no_push_ends_and_the_others_go_on(start: Start) -> None:
    process = start(window=1)

    class Broken(FakePhone):
        def push(self, sms: Any) -> None:  # noqa: ANN401
            raise RuntimeError(sms.key)

    broken, other = Broken(), process.connect("dev_2")
    broken.live = process.lines.connect(OWNER, "dev_1", broken)
    broken.live.ready()
    keys = process.queue("a", "b")
    eventually_equal(lambda: broken.ended, [LineEnd.OVERLOAD])
    eventually(lambda: len(other.pushed) == 1)
    assert other.ended == []
    assert set(other.keys) < set(keys)


def test_a_message_that_cant_be_read_is_set_aside_and_the_next_is_pushed(
    start: Start, database_url: str
) -> None:
    process = start()
    keys = process.queue("a", "b", "c")
    broken = messages.stream_of(OWNER, keys[0])
    rows(
        database_url,
        "UPDATE signalbox.stored_events SET state = '[]' WHERE originator_id = %s RETURNING 1",
        broken,
    )
    dev = process.connect()
    eventually_equal(lambda: dev.keys, keys[1:])
    letters = rows(database_url, "SELECT reader, subject FROM signalbox.dead_letters")
    assert letters == [("phones", broken)]


def test_what_was_erased_is_not_pushed(start: Start) -> None:
    process = start()
    process.queue("a secret")
    process.log.tenant_keys.destroy(OWNER)
    dev = process.connect()
    is_quiet(dev)
    assert dev.pushed == []


# again


def test_a_push_that_nobody_confirmed_comes_once_more_over_the_next_line(start: Start) -> None:
    process = start(repush_s=0.5)
    first = process.connect()
    (key,) = process.queue("hello")
    eventually_equal(lambda: first.keys, [key])
    second = process.connect()
    eventually_equal(lambda: second.keys, [key])
    _, once, again = process.log.read(messages.stream_of(OWNER, key))
    assert again.at_s - once.at_s >= 0.5
    process.report(key)
    third = process.connect()
    is_quiet(third, for_s=0.7)
    assert pushes(process, key) == [
        ("dev_1", first.live.connection, 1),
        ("dev_1", second.live.connection, 2),
    ]


def test_a_crash_between_push_and_report_leads_to_one_more_push(start: Start) -> None:
    dead = start(timing=QUICK)
    first = dead.connect()
    (key,) = dead.queue("hello")
    eventually_equal(lambda: first.keys, [key])
    dead.crash()
    process = start(timing=QUICK)
    second = process.connect(answers=process.sends)
    eventually_equal(lambda: second.keys, [key])
    eventually(
        lambda: (
            [type(event).__name__ for event in process.phone_history()]
            == ["PhoneConnected", "PhoneConnected", "PhoneDisconnected"]
        )
    )
    assert process.online() == ["dev_1"]
    third = process.connect()
    is_quiet(third, for_s=0.5)
    assert len(pushes(process, key)) == 2


def test_a_message_goes_to_no_other_phone_once_it_was_pushed(start: Start) -> None:
    process = start()
    first = process.connect("dev_1")
    (key,) = process.queue("hello")
    eventually_equal(lambda: first.keys, [key])
    first.leave()
    other = process.connect("dev_2")
    is_quiet(other, for_s=0.6)
    again = process.connect("dev_1")
    eventually_equal(lambda: again.keys, [key])
    assert other.pushed == []


def test_an_anonymous_phone_gets_again_what_was_pushed_to_it(start: Start) -> None:
    process = start()
    first = process.connect("anon-1", ONE, anonymous=True)
    other = process.connect("anon-2", TWO, anonymous=True)
    (key,) = process.queue("hello", sim=0)
    eventually_equal(lambda: first.keys, [key])
    first.leave()
    again = process.connect("anon-3", anonymous=True)
    is_quiet(other, again, for_s=0.5)
    again.live.report_sims(ONE)
    eventually_equal(lambda: again.keys, [key])
    assert other.pushed == []


def test_a_second_push_that_could_not_be_stored_is_tried_again(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start()

    def connect(phone_id: str, sims: tuple[SimCard, ...]) -> FakePhone:
        phone = process.connect(phone_id, sims, anonymous=True, is_ready=False)
        phone.live.ready()  # It told its SIMs before, so that nothing looks again in a moment.
        return phone

    first = connect("anon-1", ONE)
    connect("anon-2", TWO)
    (key,) = process.queue("hello", sim=0)
    eventually_equal(lambda: first.keys, [key])
    first.leave()
    store, refused = process.journal.append, []

    def refuse_once(append: Append) -> AsyncResult:
        if append.writes[0].stream_id == messages.stream_of(OWNER, key) and not refused:
            refused.append(append)
            raise Unavailable("journal is full")
        return store(append)

    monkeypatch.setattr(process.journal, "append", refuse_once)
    again = connect("anon-3", ONE)
    eventually_equal(lambda: again.keys, [key])
    assert len(refused) == 1


def test_an_anonymous_phone_without_a_number_is_the_same_if_it_is_alone(start: Start) -> None:
    process = start()
    first = process.connect("anon-1", anonymous=True)
    (key,) = process.queue("hello")
    eventually_equal(lambda: first.keys, [key])
    first.leave()
    again, other = (process.connect(f"anon-{n}", anonymous=True) for n in (2, 3))
    is_quiet(again, other, for_s=0.5)
    other.leave()
    eventually_equal(lambda: again.keys, [key])


def test_another_phone_that_tells_its_sims_in_a_moment_is_not_taken_for_it(start: Start) -> None:
    process = start(repush_s=0.05)
    first = process.connect("anon-1", ONE, anonymous=True)
    (key,) = process.queue("hello")
    eventually_equal(lambda: first.keys, [key])
    first.leave()
    gevent.sleep(0.1)  # from now on it may be pushed again
    stranger = process.connect("anon-2", anonymous=True)
    is_quiet(stranger)
    stranger.live.report_sims(TWO)
    is_quiet(stranger)
    assert stranger.pushed == []


def test_after_three_pushes_without_a_word_a_message_is_given_up(
    start: Start, database_url: str
) -> None:
    process = start(repush_s=0.05)
    (key,) = process.queue("hello")
    phones = []
    for _ in range(3):
        phones.append(process.connect())
        eventually_equal(lambda: phones[-1].keys, [key])
    last = process.connect()
    eventually(lambda: process.history(key)[-1] == OutboundGivenUp(3))
    assert last.pushed == []
    assert rows(database_url, INBOX) == []
    assert [attempt for _, _, attempt in pushes(process, key)] == [1, 2, 3]


# several phones


def test_messages_go_to_the_phone_with_the_least_to_do(start: Start) -> None:
    process = start()
    one, two = process.connect("dev_1"), process.connect("dev_2")
    process.queue(*"abcdef")
    eventually(lambda: len(one.pushed) + len(two.pushed) == 6)
    assert (len(one.pushed), len(two.pushed)) == (3, 3)


def test_the_phone_that_is_connected_longest_sends_where_that_is_the_rule(start: Start) -> None:
    process = start(first_connected=True, window=4)
    gone = process.connect("dev_0")
    gevent.sleep(0.002)
    one = process.connect("dev_1")
    gevent.sleep(0.002)
    two = process.connect("dev_2")
    gone.leave()
    keys = process.queue(*"abcdef")
    eventually_equal(lambda: one.keys, keys[:4])
    eventually_equal(lambda: two.keys, keys[4:])


def test_who_spoke_with_somebody_last_goes_on(start: Start) -> None:
    process = start()
    digest_of: dict[str, str] = {}
    for to in ("+491701111111", "+491702222222"):
        (key,) = process.queue("to learn the digest", to=to)
        (queued,) = process.history(key)
        assert isinstance(queued, OutboundQueued)
        digest_of[to] = queued.peer_digest
    process.last_phone[digest_of["+491702222222"]] = "dev_2"
    one, two = process.connect("dev_1"), process.connect("dev_2")
    eventually(lambda: len(one.pushed) + len(two.pushed) == 2)
    sent = [key for _ in range(4) for key in process.queue("hello", to="+491702222222")]
    eventually(lambda: set(sent) <= set(two.keys))


def test_the_sim_decides_which_phone_sends(start: Start) -> None:
    process = start()
    one, two = process.connect("dev_1", ONE), process.connect("dev_2", TWO)
    slot, number, none = (
        *process.queue("slot 1", sim=1),
        *process.queue("a number", sim="00491700000001"[2:]),
        *process.queue("a SIM nobody has", sim="+15550000000"),
    )
    eventually_equal(lambda: (one.keys, two.keys), ([number], [slot]))
    third = process.connect("dev_3", (SimCard(0, "+15550000000"),))
    eventually_equal(lambda: third.keys, [none])
    assert third.pushed[0].sim == "+15550000000"


def test_a_message_for_a_sim_waits_until_the_phone_told_its_sims_or_a_moment(start: Start) -> None:
    process = start()
    (key,) = process.queue("hello", sim=1)
    began_s = monotonic()
    dev = process.connect()
    eventually_equal(lambda: dev.keys, [key])
    assert monotonic() - began_s > 2
    (other,) = process.queue("hello", sim=0)
    told = process.connect("dev_2", ONE, answers=process.sends)
    eventually(lambda: other in {*told.keys, *dev.keys})


def test_a_pile_for_an_absent_sim_keeps_nobody_waiting(start: Start) -> None:
    process = start(window=1_000)
    pile = process.queue(*["pile"] * 700, sim=1)
    dev = process.connect(sims=ONE)
    (key,) = process.queue("hello", sim=0)
    eventually_equal(lambda: dev.keys, [key])
    late = process.connect("dev_2", TWO)
    eventually_equal(lambda: late.keys, pile, timeout_s=20)


def test_a_pile_for_a_busy_phone_keeps_no_other_waiting(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phone_queue, "WAITING_MAX", 20)
    process = start(window=5)
    pile = process.queue(*["pile"] * 200, sim=0)
    keys = process.queue(*"abc", sim=1)
    slow, quick = process.connect("dev_1", ONE), process.connect("dev_2", TWO)
    eventually_equal(lambda: quick.keys, keys)
    assert slow.keys == pile[:5]
    slow.answers = process.sends
    for key in pile[:5]:
        process.report(key)
    eventually_equal(lambda: sorted(slow.keys), sorted(pile), timeout_s=30)
    assert len(slow.keys) == len(set(slow.keys))


# several processes


def test_messages_are_shared_with_the_phones_of_other_processes(start: Start) -> None:
    processes = [start(), start()]

    def send_slowly(sms: PushedSms) -> None:
        gevent.sleep(0.05)
        processes[0].sends(sms)

    phones = [
        process.connect(f"dev_{n}", answers=send_slowly) for n, process in enumerate(processes)
    ]
    eventually(lambda: all(len(process.online()) == 2 for process in processes))
    keys = [
        key for n in range(20) for key in processes[n % 2].queue(*[f"text {n}"] * 10)
    ]  # 200 messages
    eventually(lambda: sum(len(one.pushed) for one in phones) >= 200, timeout_s=15)
    is_quiet(*phones)
    assert sorted(key for one in phones for key in one.keys) == sorted(keys)
    assert all(len(pushes(processes[0], key)) == 1 for key in keys)
    assert min(len(one.pushed) for one in phones) > 50


def test_two_processes_that_both_may_push_never_both_do(start: Start) -> None:
    """Their views are apart for as long as they don't look; the versions decide."""
    blind: dict[str, Any] = {"look_s": 60.0, "patience_s": 0.0}
    processes = [start(timing=blind), start(timing=blind)]
    phones = [
        process.connect(f"dev_{n}", answers=process.sends) for n, process in enumerate(processes)
    ]
    keys = [key for _ in range(10) for key in processes[0].queue(*"abcde")]
    eventually(lambda: sum(len(one.pushed) for one in phones) >= 50, timeout_s=15)
    is_quiet(*phones)
    assert sorted(key for one in phones for key in one.keys) == sorted(keys)


def test_a_message_waits_only_so_long_for_a_process_that_does_not_push(start: Start) -> None:
    dead = start(first_connected=True, timing={"ttl_s": 30.0})
    dead.connect("dev_1")
    process = start(first_connected=True)
    eventually_equal(process.online, ["dev_1"])
    dead.crash()
    dev = process.connect("dev_2")
    gevent.sleep(0.3)  # to see the other line, whose row lives on
    began_s = monotonic()
    (key,) = process.queue("hello")
    eventually_equal(lambda: dev.keys, [key])
    assert monotonic() - began_s > 1


def test_a_phone_may_come_back_to_another_process(start: Start) -> None:
    here, there = start(), start()
    first = here.connect()
    (key,) = here.queue("hello")
    eventually_equal(lambda: first.keys, [key])
    second = there.connect()
    eventually_equal(lambda: second.keys, [key])
    assert first.ended == [LineEnd.REPLACED]
    assert first.keys == [key]


# the store


def test_news_nobody_told_of_are_found(start: Start) -> None:
    deaf = start(is_deaf=True)
    dev = deaf.connect(is_ready=False, sims=ONE)
    dev.live.ready()
    gevent.sleep(0.2)
    (key,) = deaf.queue("hello")
    eventually_equal(lambda: dev.keys, [key])
    (other,) = deaf.queue("again")
    eventually_equal(lambda: dev.keys, [key, other])


def test_a_read_that_fails_is_tried_again(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    process = start()
    dev = process.connect(is_ready=False, sims=ONE)
    dev.live.ready()
    gevent.sleep(0.1)
    feeder, store = process.lines._queues._feeder, process.journal.append  # noqa: SLF001  to fail
    fetch = feeder._fetch  # noqa: SLF001  same
    failed: list[object] = []

    def fail_once(query: Any, values: Any) -> Any:  # noqa: ANN401
        if query not in failed:
            failed.append(query)
            raise Unavailable("away")
        return fetch(query, values)

    def refuse_once(append: Append) -> AsyncResult:
        if append.writes[0].first_version == 2 and append not in failed:
            failed.append(append)
            monkeypatch.setattr(process.journal, "append", store)
            raise Unavailable("journal is full")
        return store(append)

    monkeypatch.setattr(feeder, "_fetch", fail_once)
    monkeypatch.setattr(process.journal, "append", refuse_once)
    (key,) = process.queue("hello")
    eventually_equal(lambda: dev.keys, [key])
    assert len(failed) == 3


def test_what_was_queued_while_the_store_was_away_from_here_comes_later(
    start: Start, database_url: str
) -> None:
    with ChaosProxy(database_url) as proxy:
        far, near = start(proxy.url), start()
        dev = far.connect()
        (first,) = near.queue("before")
        eventually_equal(lambda: dev.keys, [first])
        proxy.go_away()
        keys = near.queue(*"abc")
        is_quiet(dev)
        proxy.come_back()
        eventually_equal(lambda: dev.keys, [first, *keys], timeout_s=15)
        assert all(len(pushes(near, key)) == 1 for key in keys)
        far.close()


def test_a_push_whose_commit_was_in_doubt_reaches_the_phone_once(
    start: Start, database_url: str
) -> None:
    with ChaosProxy(database_url) as proxy:
        far, near = start(proxy.url), start()
        dev = far.connect()
        gevent.sleep(0.1)
        proxy.commits_to_cut = 1
        (key,) = near.queue("hello")
        eventually_equal(lambda: dev.keys, [key], timeout_s=10)
        is_quiet(dev)
        assert len(pushes(near, key)) == 1
        far.close()


def test_a_push_that_was_stored_after_all_is_handed_over(
    start: Start, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to the commit is lost, and the store gone until nobody waits any more."""
    with ChaosProxy(database_url) as proxy:
        far, near = start(proxy.url), start()
        monkeypatch.setattr(far.journal, "wait_s_max", 0.3)
        dev = far.connect()
        gevent.sleep(0.1)
        proxy.commits_to_cut = 1
        (key,) = near.queue("hello")
        eventually(lambda: len(pushes(near, key)) == 1)
        proxy.go_away()
        gevent.sleep(1)
        assert dev.pushed == []
        proxy.come_back()
        eventually_equal(lambda: dev.keys, [key], timeout_s=10)
        assert len(pushes(near, key)) == 1
        far.close()


def test_a_queue_that_fails_begins_anew_and_gives_nothing_twice(start: Start) -> None:
    process = start(window=2)
    dev = process.connect()
    keys = process.queue(*"abcd")
    eventually_equal(lambda: dev.keys, keys[:2])
    process.lines._queues.tell(OWNER, phone_queue.Followed(None))  # type: ignore[arg-type]  # noqa: SLF001
    is_quiet(dev)
    for key in keys[:2]:
        process.report(key)
    eventually_equal(lambda: dev.keys, keys)


def test_an_owner_without_lines_has_no_queue(start: Start) -> None:
    process = start()
    running = process.lines._queues._running  # noqa: SLF001  to count them
    one, two = process.connect("dev_1"), process.connect("dev_2")
    (queue,) = running.values()
    one.leave()
    assert len(running) == 1
    two.leave()
    assert not running
    eventually(lambda: not queue.is_alive())
    (key,) = process.queue("hello")
    back = process.connect("dev_1")
    eventually_equal(lambda: back.keys, [key])
