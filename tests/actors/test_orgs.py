"""Organisations on a real log: claimed once whoever asks at the same time, and locked in time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import gevent
import psycopg
import pytest
from support.gateway import eventually_equal
from support.postgres import Databases  # noqa: TC002  pytest looks at it

from signalbox.actors import orgs as orgs_module
from signalbox.actors.org_guard import OrgGuard
from signalbox.actors.orgs import OrgLimits, Orgs
from signalbox.actors.passwords import Passwords
from signalbox.actors.trusted_sources import TrustedSources, source_of
from signalbox.domain.errors import (
    InvalidField,
    OrgIsLocked,
    Refused,
    TooManyAttempts,
    WrongSecret,
)
from signalbox.domain.org import OrgClaimed, OrgLocked
from signalbox.eventstore import metrics
from signalbox.eventstore.errors import Unavailable
from signalbox.eventstore.journal import Journal
from signalbox.eventstore.log import EventLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from signalbox.domain.names import Event

ORG: Final = "acme"
OWNER: Final = "org_acme"
SECRET: Final = "my-secret-key-123"
WRONG: Final = "another-secret-456"
HOME: Final = "192.0.2.1"
AWAY: Final = "198.51.100.7"
KEY: Final = "a secret key for tests, long enough"


@dataclass
class Counted:
    """Passwords that tell how often they were compared."""

    passwords: Passwords
    compared: list[str] = field(default_factory=list)

    def hash(self, password: str) -> str:
        return self.passwords.hash(password)

    def matches(self, password: str, password_hash: str | None) -> bool:
        self.compared.append(password)
        return self.passwords.matches(password, password_hash)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def passwords() -> Iterator[Counted]:
    counted = Counted(Passwords(threads=2, queue_max=16, octets_max=128))
    yield counted
    counted.passwords.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def start(database_url: str, passwords: Counted, clock: Clock) -> Iterator[Callable[..., Orgs]]:
    """Start what each process has of its own: a log, a journal and what it remembers."""
    opened: list[tuple[EventLog, Journal]] = []

    def start(**limits: Any) -> Orgs:  # noqa: ANN401  fields of OrgLimits
        log = EventLog(database_url, KEY)
        opened.append((log, Journal(log)))
        return Orgs(*opened[-1], OrgLimits(**limits), passwords, clock)  # type: ignore[arg-type]

    yield start
    for log, journal in opened:
        journal.close()
        log.close()


def claimed(orgs: Orgs, peer: str = HOME) -> Orgs:
    assert orgs.claim(ORG, SECRET, peer=peer, request_id="req-1") == OWNER
    return orgs


def fail(orgs: Orgs, times: int, *, peer: str = AWAY, org_id: str = ORG) -> None:
    for _ in range(times):
        with pytest.raises(WrongSecret):
            orgs.authenticate(org_id, WRONG, peer=peer)


def events(log: EventLog, org_id: str = ORG) -> list[Event]:
    return [one.event for one in log.read(f"org-{org_id}")]


def sooner(database_url: str, seconds: float) -> None:
    """Let time pass for what is counted."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE signalbox.login_failures"
            " SET window_ends_at = window_ends_at - make_interval(secs => %s)",
            (seconds,),
        )
        connection.execute(
            "UPDATE signalbox.trusted_sources"
            " SET trusted_until = trusted_until - make_interval(secs => %s)",
            (seconds,),
        )


def test_nobody_is_let_in_before_it_is_claimed(start: Callable[..., Orgs]) -> None:
    assert start().authenticate(ORG, SECRET, peer=HOME) is None


def test_whoever_claims_it_is_let_in(start: Callable[..., Orgs], event_log: EventLog) -> None:
    orgs = claimed(start())
    assert orgs.authenticate(ORG, SECRET, peer=HOME) == OWNER
    (told,) = event_log.read("org-acme")
    assert isinstance(told.event, OrgClaimed)
    assert SECRET not in told.event.secret_hash
    assert (told.tenant_id, told.by, told.request_id) == (OWNER, OWNER, "req-1")


def test_another_process_lets_in_at_once(start: Callable[..., Orgs]) -> None:
    other = start()
    assert other.authenticate(ORG, SECRET, peer=HOME) is None
    claimed(start())
    assert other.authenticate(ORG, SECRET, peer=HOME) == OWNER


def test_a_wrong_secret_is_refused(start: Callable[..., Orgs]) -> None:
    fail(claimed(start()), 1)


@pytest.mark.parametrize(
    "secret", ["", "short", "x" * 1_000_000, "schlüssel-nummer-1", "\ud800" * 12]
)
def test_a_secret_nobody_could_have_is_wrong_without_a_comparison(
    start: Callable[..., Orgs], passwords: Counted, secret: str
) -> None:
    orgs = claimed(start())
    passwords.compared.clear()
    with pytest.raises(WrongSecret):
        orgs.authenticate(ORG, secret, peer=HOME)
    assert passwords.compared == []


@pytest.mark.parametrize("secret", ["x" * 11, "x" * 51, "schlüssel-nummer-1"])
def test_nothing_is_claimed_with_a_bad_secret(
    start: Callable[..., Orgs], event_log: EventLog, secret: str
) -> None:
    with pytest.raises(InvalidField):
        start().claim(ORG, secret, peer=HOME)
    assert events(event_log) == []


def test_of_two_processes_that_claim_at_once_one_has_it(
    start: Callable[..., Orgs], event_log: EventLog
) -> None:
    secrets = [f"the-secret-of-{number}" for number in range(4)]

    def attempt(orgs: Orgs, secret: str) -> str:
        try:
            return orgs.claim(ORG, secret, peer=HOME)
        except WrongSecret:
            return ""

    tries = [gevent.spawn(attempt, start(), secret) for secret in secrets]
    gevent.joinall(tries, raise_error=True)
    assert sorted(one.value for one in tries) == ["", "", "", OWNER]
    assert [type(event) for event in events(event_log)] == [OrgClaimed]
    (winner,) = (secret for secret, one in zip(secrets, tries, strict=True) if one.value)
    assert start().authenticate(ORG, winner, peer=HOME) == OWNER


def test_whoever_loses_the_race_has_failed_once(start: Callable[..., Orgs]) -> None:
    orgs = claimed(start(failures_max=1))
    with pytest.raises(WrongSecret):
        orgs.claim(ORG, WRONG, peer=AWAY)
    with pytest.raises(OrgIsLocked):
        orgs.authenticate(ORG, SECRET, peer=HOME)


def test_one_phone_may_claim_twice_at_once(start: Callable[..., Orgs], event_log: EventLog) -> None:
    orgs, other = start(), start()
    tries = [gevent.spawn(one.claim, ORG, SECRET, peer=HOME) for one in (orgs, other, orgs)]
    gevent.joinall(tries, raise_error=True)
    assert [one.value for one in tries] == [OWNER] * 3
    assert len(events(event_log)) == 1


def test_claiming_may_be_closed(start: Callable[..., Orgs], event_log: EventLog) -> None:
    with pytest.raises(WrongSecret):
        start(claiming="closed").claim(ORG, SECRET, peer=HOME)
    assert events(event_log) == []


def test_claiming_may_be_for_some_names_alone(start: Callable[..., Orgs]) -> None:
    orgs = start(claimable=("acme",))
    claimed(orgs)
    with pytest.raises(WrongSecret):
        orgs.claim("other", SECRET, peer=HOME)


def test_an_address_claims_only_so_many(start: Callable[..., Orgs], database_url: str) -> None:
    orgs = start(claims_per_ip_max=2)
    for name in ("one", "two"):
        orgs.claim(name, SECRET, peer=HOME)
    with pytest.raises(TooManyAttempts) as refused:
        start(claims_per_ip_max=2).claim("three", SECRET, peer=HOME)
    assert 3_590 < refused.value.retry_after_s <= 3_600
    assert orgs.claim("three", SECRET, peer=AWAY) == "org_three"
    sooner(database_url, 3_600)
    assert orgs.claim("four", SECRET, peer=HOME) == "org_four"


def test_a_burst_claims_no_more_either(start: Callable[..., Orgs], event_log: EventLog) -> None:
    orgs = start(claims_per_ip_max=2)

    def attempt(name: str) -> bool:
        try:
            orgs.claim(name, SECRET, peer=HOME)
        except TooManyAttempts:
            return False
        return True

    names = [f"org{number}" for number in range(8)]
    tries = [gevent.spawn(attempt, name) for name in names]
    gevent.joinall(tries, raise_error=True)
    assert sum(one.value for one in tries) == 2
    assert sum(bool(events(event_log, name)) for name in names) == 2


def test_a_claim_of_which_nothing_came_counts_for_nothing(start: Callable[..., Orgs]) -> None:
    claimed(start(), peer=AWAY)
    orgs = start(claims_per_ip_max=1)
    for _ in range(2):
        with pytest.raises(WrongSecret):
            orgs.claim(ORG, WRONG, peer=HOME)
    assert orgs.claim("other", SECRET, peer=HOME) == "org_other"
    with pytest.raises(TooManyAttempts):
        orgs.claim("another", SECRET, peer=HOME)


def test_ten_wrong_secrets_lock_out_the_right_one_too(
    start: Callable[..., Orgs], event_log: EventLog
) -> None:
    orgs, locks = claimed(start()), metrics.ORGS_LOCKED._value.get()  # noqa: SLF001
    fail(orgs, 10)
    for one in (orgs, start()):
        with pytest.raises(OrgIsLocked) as refused:
            one.authenticate(ORG, SECRET, peer=HOME)
        assert 290 <= refused.value.retry_after_s <= 300
    told = [event for event in events(event_log) if isinstance(event, OrgLocked)]
    assert len(told) == 1
    assert metrics.ORGS_LOCKED._value.get() == locks + 1  # noqa: SLF001


def test_nine_don_t(start: Callable[..., Orgs]) -> None:
    orgs = claimed(start())
    fail(orgs, 9)
    assert orgs.authenticate(ORG, SECRET, peer=HOME) == OWNER


def test_success_makes_the_count_begin_anew(start: Callable[..., Orgs]) -> None:
    orgs, other = claimed(start()), start()
    for _ in range(2):
        fail(orgs, 9, peer=AWAY if _ else "203.0.113.9")
        assert other.authenticate(ORG, SECRET, peer=HOME) == OWNER


def test_all_processes_count_together(start: Callable[..., Orgs]) -> None:
    orgs, other = claimed(start()), start()
    fail(orgs, 5)
    fail(other, 5)
    with pytest.raises(OrgIsLocked):
        orgs.authenticate(ORG, SECRET, peer=HOME)


def test_guesses_at_the_same_time_lock_once(
    start: Callable[..., Orgs], event_log: EventLog
) -> None:
    orgs = claimed(start())

    def attempt(number: int) -> None:
        with pytest.raises(Refused):
            orgs.authenticate(ORG, f"{WRONG}-{number}", peer=AWAY)

    gevent.joinall([gevent.spawn(attempt, number) for number in range(15)], raise_error=True)
    assert sum(isinstance(event, OrgLocked) for event in events(event_log)) == 1


def test_a_lock_is_not_made_longer_by_more_tries_and_ends(
    start: Callable[..., Orgs], database_url: str
) -> None:
    orgs = claimed(start())
    fail(orgs, 10)
    sooner(database_url, 200)
    for _ in range(5):
        with pytest.raises(OrgIsLocked) as refused:
            orgs.authenticate(ORG, WRONG, peer=AWAY)
        assert refused.value.retry_after_s <= 100
    sooner(database_url, 100)
    assert orgs.authenticate(ORG, SECRET, peer=HOME) == OWNER
    fail(orgs, 9, peer="203.0.113.9")
    assert orgs.authenticate(ORG, SECRET, peer=HOME) == OWNER


def test_a_success_does_not_end_a_lock_that_came_meanwhile(event_log: EventLog) -> None:
    guard = OrgGuard(event_log, OrgLimits(failures_max=2))
    assert not guard.failed(guard.arrive(ORG, AWAY))
    visit = guard.arrive(ORG, HOME)
    assert guard.failed(guard.arrive(ORG, AWAY))
    guard.succeeded(visit)
    with pytest.raises(OrgIsLocked):
        guard.require_open(guard.arrive(ORG, HOME))


def test_a_lock_that_could_not_be_stored_is_stored_in_a_moment(
    start: Callable[..., Orgs], event_log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orgs_module, "LOCK_RETRY_S", 0.05)
    orgs = claimed(start(failures_max=2))
    fail(orgs, 1)
    with monkeypatch.context() as away:

        def change(*_: object, **__: object) -> None:
            raise Unavailable("store does not answer")

        away.setattr(orgs._streams, "change", change)  # noqa: SLF001  the log, but not the counts
        fail(orgs, 1)
        assert [type(event) for event in events(event_log)] == [OrgClaimed]
    eventually_equal(lambda: [type(event) for event in events(event_log)], [OrgClaimed, OrgLocked])


def test_failures_of_another_time_are_forgotten(
    start: Callable[..., Orgs], database_url: str
) -> None:
    orgs = claimed(start())
    fail(orgs, 9)
    sooner(database_url, 86_400)
    fail(orgs, 9)
    assert orgs.authenticate(ORG, SECRET, peer=HOME) == OWNER


def test_what_nobody_claimed_is_not_counted(start: Callable[..., Orgs]) -> None:
    orgs = start()
    for _ in range(30):
        assert orgs.authenticate(ORG, WRONG, peer=HOME) is None
    claimed(orgs)


def test_a_restart_forgets_no_lock(start: Callable[..., Orgs]) -> None:
    fail(claimed(start()), 10)
    with pytest.raises(OrgIsLocked):
        start().authenticate(ORG, SECRET, peer=HOME)


def test_an_address_tries_only_so_many_whatever_it_tries_them_on(
    start: Callable[..., Orgs], database_url: str
) -> None:
    orgs = start(failures_per_ip_max=20)
    for name in ("one", "two", "three"):
        orgs.claim(name, SECRET, peer=HOME)
    fail(orgs, 9, org_id="one")
    fail(orgs, 9, org_id="two")
    fail(orgs, 2, org_id="three")
    with pytest.raises(TooManyAttempts) as refused:
        orgs.authenticate("three", SECRET, peer=AWAY)
    assert 290 <= refused.value.retry_after_s <= 300
    assert orgs.authenticate("three", SECRET, peer=HOME) == "org_three"
    sooner(database_url, 300)
    assert orgs.authenticate("three", SECRET, peer=AWAY) == "org_three"


def test_phones_of_a_company_with_old_secrets_do_not_keep_out_the_one_with_the_right_one(
    start: Callable[..., Orgs],
) -> None:
    orgs = claimed(start(failures_max=1_000))
    fail(orgs, 50)
    assert orgs.authenticate(ORG, SECRET, peer=AWAY) == OWNER


def test_what_an_address_may_not_try_any_more_locks_nothing(start: Callable[..., Orgs]) -> None:
    orgs = claimed(start(failures_per_ip_max=5))
    fail(orgs, 5)
    for _ in range(20):
        with pytest.raises(TooManyAttempts):
            orgs.authenticate(ORG, WRONG, peer=AWAY)
    assert orgs.authenticate(ORG, SECRET, peer=HOME) == OWNER


def test_all_addresses_of_a_network_are_one(start: Callable[..., Orgs]) -> None:
    orgs = claimed(start(failures_per_ip_max=2))
    fail(orgs, 1, peer="2001:db8:1:2::1")
    fail(orgs, 1, peer="2001:db8:1:2:ffff::1")
    with pytest.raises(TooManyAttempts):
        orgs.authenticate(ORG, WRONG, peer="2001:db8:1:2::2")
    fail(orgs, 1, peer="2001:db8:1:3::1")


@pytest.mark.parametrize(
    ("peer", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("", ""),
    ],
)
def test_what_an_address_is_known_by(peer: str, source: str) -> None:
    assert source_of(peer) == source


def test_a_trusted_address_is_let_in_while_strangers_guess(start: Callable[..., Orgs]) -> None:
    orgs = claimed(start(lockout="trusted_source"))
    fail(orgs, 10)
    assert orgs.authenticate(ORG, SECRET, peer=HOME) == OWNER
    with pytest.raises(OrgIsLocked):
        orgs.authenticate(ORG, SECRET, peer="203.0.113.9")


def test_its_success_does_not_end_the_lock(start: Callable[..., Orgs]) -> None:
    orgs = claimed(start(lockout="trusted_source"))
    fail(orgs, 10)
    assert orgs.authenticate(ORG, SECRET, peer=HOME) == OWNER
    with pytest.raises(OrgIsLocked):
        orgs.authenticate(ORG, WRONG, peer=AWAY)


def test_a_trusted_address_with_a_wrong_secret_is_a_stranger(start: Callable[..., Orgs]) -> None:
    orgs = claimed(start(lockout="trusted_source", failures_per_ip_max=12))
    fail(orgs, 10)
    for _ in range(12):
        with pytest.raises(OrgIsLocked):
            orgs.authenticate(ORG, WRONG, peer=HOME)
    with pytest.raises(TooManyAttempts):
        orgs.authenticate(ORG, SECRET, peer=HOME)


def test_trust_ends_a_day_after_the_last_success(
    start: Callable[..., Orgs], database_url: str
) -> None:
    orgs = claimed(start(lockout="trusted_source"))
    sooner(database_url, 80_000)
    assert orgs.authenticate(ORG, SECRET, peer=HOME) == OWNER
    sooner(database_url, 80_000)
    fail(orgs, 10)
    assert orgs.authenticate(ORG, SECRET, peer=HOME) == OWNER
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE signalbox.trusted_sources SET trusted_until = clock_timestamp()")
    with pytest.raises(OrgIsLocked):
        orgs.authenticate(ORG, SECRET, peer=HOME)


def test_trust_is_written_now_and_then(event_log: EventLog) -> None:
    sources = TrustedSources(event_log.pool, 86_400)

    def until() -> object:
        with event_log.pool.connection() as connection:
            row = connection.execute(
                "SELECT trusted_until FROM signalbox.trusted_sources"
            ).fetchone()
        assert row is not None
        return row["trusted_until"]

    sources.trust("a")
    first = until()
    sources.trust("a")
    assert until() == first
    assert sources.trusts("a")
    assert not sources.trusts("b")


def test_a_secret_is_compared_once_in_five_minutes(
    start: Callable[..., Orgs], passwords: Counted, clock: Clock
) -> None:
    orgs = claimed(start())
    for _ in range(3):
        orgs.authenticate(ORG, SECRET, peer=HOME)
    assert passwords.compared == []
    clock.now_s += 300
    for _ in range(3):
        orgs.authenticate(ORG, SECRET, peer=HOME)
    assert passwords.compared == [SECRET]


def test_many_phones_that_come_at_once_are_one_comparison(
    start: Callable[..., Orgs], passwords: Counted
) -> None:
    claimed(start())
    orgs = start()
    tries = [gevent.spawn(orgs.authenticate, ORG, SECRET, peer=HOME) for _ in range(50)]
    gevent.joinall(tries, raise_error=True)
    assert passwords.compared == [SECRET]
    assert orgs._turns._wanted == {}  # noqa: SLF001


def test_a_remembered_secret_is_locked_out_like_any(start: Callable[..., Orgs]) -> None:
    orgs = claimed(start())
    orgs.authenticate(ORG, SECRET, peer=HOME)
    fail(orgs, 10)
    with pytest.raises(OrgIsLocked):
        orgs.authenticate(ORG, SECRET, peer=HOME)


def test_nobody_is_let_in_while_the_store_is_away(
    databases: Databases, passwords: Counted, clock: Clock
) -> None:
    url = databases.make()
    log = EventLog(url, KEY)
    journal = Journal(log)
    orgs = Orgs(log, journal, OrgLimits(), passwords, clock)  # type: ignore[arg-type]
    claimed(orgs)
    journal.close()
    log.close()
    databases.drop(url)
    with pytest.raises(Unavailable):
        orgs.authenticate(ORG, SECRET, peer=HOME)
