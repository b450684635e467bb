"""What a dispatcher has in hand: the order mails leave in, and what it asks the inbox for."""

from typing import Final

from signalbox.actors.mail_feeder import Page, Tracked, Want
from signalbox.actors.mail_hand import Hand
from signalbox.domain.mail import Mail

NOW: Final = 1_000.0


def tracked(seq: int, account: str = "a", priority: int = 2, queued_at_s: float = 0.0) -> Tracked:
    mail = Mail(
        tenant_id="acme",
        client_id=f"m-{seq}",
        account_id=account,
        priority=priority,
        batch_code="",
        is_pec=False,
        status="pending",
        queued_at_s=queued_at_s or float(seq),
    )
    kind = f"mail{priority}/{account}"
    return Tracked(seq, kind, f"mail-{seq}", 1, mail, "{}", "tenant-acme/1", 100)


def hand_of(*mails: Tracked) -> Hand:
    hand = Hand(1_000)
    for one in mails:
        hand.put(one)
    return hand


def leaving(hand: Hand, busy_max: int = 9) -> list[int]:
    left = []
    while (one := hand.next_mail(busy_max)) is not None:
        left.append(one.seq)
    return left


def wanted(hand: Hand, now_s: float = NOW) -> Want:
    want = hand.want(now_s, [])
    assert want is not None
    return want


def page(want: Want, *mails: Tracked, more: bool = False, newest: int | None = None,
         due_s: float | None = None) -> Page:  # fmt: skip
    kinds = frozenset(one.kind for one in mails) if more else frozenset()
    return Page(
        want, list(mails), {one.kind: one.seq for one in mails}, kinds, [], due_s, newest, None
    )


def test_the_most_urgent_leave_first_then_the_oldest() -> None:
    hand = hand_of(tracked(1, priority=3), tracked(2), tracked(3, priority=0), tracked(4))
    assert leaving(hand) == [3, 2, 4, 1]


def test_what_was_put_off_is_as_old_as_when_it_was_queued() -> None:
    hand = hand_of(tracked(7, queued_at_s=5.0), tracked(8, queued_at_s=1.0))
    assert leaving(hand) == [8, 7]


def test_accounts_take_turns() -> None:
    hand = hand_of(*(tracked(n, "a") for n in (1, 2, 3)), *(tracked(n, "b") for n in (4, 5)))
    assert leaving(hand) == [1, 4, 2, 5, 3]


def test_an_account_that_is_busy_or_waits_is_passed_over() -> None:
    hand = hand_of(tracked(1, "a"), tracked(2, "b"), tracked(3, "c"), tracked(4, "d"))
    hand.lane("a").busy = 9
    hand.lane("b").waits = True
    hand.lane("c").busy_max = hand.lane("c").busy = 1
    assert leaving(hand) == [4]


def test_what_came_anew_takes_the_place_of_what_was_there() -> None:
    newer = tracked(9, priority=0)
    newer.stream_id = "mail-1"
    hand = hand_of(tracked(1), tracked(2), newer)
    assert leaving(hand) == [9, 2]
    assert len(hand) == 0


def test_all_kinds_of_an_account_are_asked_for_once_and_then_when_there_is_news() -> None:
    hand = Hand(1_000)
    hand.know(["a"])
    want = wanted(hand)
    assert dict(want.after) == {f"mail{n}/a": (0, 0 if n == 0 else n + 1) for n in range(4)}
    assert (want.due, want.discover) == (["later/a"], True)
    hand.take(page(want, newest=5))
    assert hand.want(NOW, []) is None
    hand.news(5)
    assert hand.want(NOW, []) is None  # That was seen.
    hand.news(6)
    assert set(wanted(hand).after) == set(want.after)


def test_the_inbox_is_read_on_from_where_it_was_read_to() -> None:
    hand = Hand(1_000)
    hand.know(["a"])
    hand.take(page(wanted(hand), tracked(4), tracked(6), more=True, newest=9))
    assert dict(wanted(hand).after) == {"mail2/a": (6, 3)}


def test_nothing_more_is_asked_for_while_enough_is_in_hand() -> None:
    hand = Hand(40)
    hand.know(["a"])
    mails = [tracked(n) for n in range(1, 41)]
    hand.take(page(wanted(hand), *mails, more=True, newest=99))
    for one in mails:
        hand.put(one)
    assert hand.want(NOW, []) is None
    for _ in range(25):
        hand.next_mail(9)
    assert set(wanted(hand).after) == {"mail2/a"}


def test_what_is_due_is_asked_for_then_and_not_before() -> None:
    hand = Hand(1_000)
    hand.know(["a"])
    hand.take(page(wanted(hand), due_s=NOW + 50))
    assert hand.next_due_s == NOW + 50
    assert hand.want(NOW + 49, []) is None
    hand.due_at(NOW + 10)
    want = wanted(hand, NOW + 10)
    assert (want.due, dict(want.after)) == (["later/a"], {})
    assert hand.next_due_s == float("inf")


def test_what_turned_out_to_be_stale_is_read_again() -> None:
    first, second = tracked(4), tracked(6)
    hand = Hand(1_000)
    hand.know(["a"])
    hand.take(page(wanted(hand), first, second, newest=6))
    hand.put(first)
    hand.put(second)
    hand.again([first])
    assert len(hand) == 1
    assert dict(wanted(hand).after) == {"mail2/a": (3, 3)}


def test_a_page_that_was_asked_for_before_does_not_pass_over_what_is_read_again() -> None:
    hand = Hand(1_000)
    hand.know(["a"])
    hand.take(page(wanted(hand), tracked(4), tracked(6), newest=6))
    hand.news(9)
    on_its_way = wanted(hand)
    hand.again([tracked(4)])
    hand.take(page(on_its_way, tracked(9), newest=9))
    assert dict(wanted(hand).after) == {"mail2/a": (3, 3)}


def test_a_page_of_some_kinds_says_nothing_of_news_of_the_others() -> None:
    hand = Hand(1_000)
    hand.know(["a"])
    hand.take(page(wanted(hand), tracked(6), newest=6))
    hand.again([tracked(6)])
    want = wanted(hand)
    hand.take(page(want, tracked(6), newest=9))
    hand.news(9)
    assert "mail0/a" in wanted(hand).after
