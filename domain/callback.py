"""One callback: what an owner's webhook is told of one event, until it is taken or given up.

    QueueCallback ──▶ CallbackQueued ──▶ CallbackFailed ──▶ … ──▶ CallbackDelivered
                                          │ RecordFailure            CallbackAbandoned

What is told is not stored: `about` and `cause_version` name the event it is made from whenever it
is sent, so that nothing personal is kept twice. It is tried soon again at first, then ever more
seldom, for a day.
"""

from dataclasses import dataclass, replace
from typing import Final, assert_never

DELAYS_S: Final = (10, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800)
"""The pause after each failure; the last one stays."""

JITTER: Final = 0.1  # the longest lengthening of a pause, as a share of it

ACCEPTED: Final = range(200, 300)
REFUSED: Final = range(400, 500)
PASSING: Final = frozenset({408, 425, 429})  # "too slow", "too early" and "too many" pass
GONE: Final = 410

TOO_OLD: Final = "too old"
REFUSED_TOO_OFTEN: Final = "refused"
RECEIVER_GONE: Final = "gone"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a callback is tried; `refusals_max` is how often it may be refused (4xx)."""

    age_s_max: float = 86_400.0
    refusals_max: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueCallback:
    """An owner is to be told of version `cause_version` of the stream `about`."""

    owner: str
    kind: str
    about: str
    cause_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordAnswer:
    """The receiver answered with this status; 0 when it gave none, for this `reason`.

    `jitter` (0 to 1) lengthens the pause that may follow.
    """

    status: int
    reason: str = ""
    jitter: float = 0.0
    patience: Patience = Patience()


@dataclass(frozen=True, slots=True)
class AbandonCallback:
    """Nobody is to be told any more."""

    reason: str


Command = QueueCallback | RecordAnswer | AbandonCallback


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackQueued:
    """An owner is going to be told of an event."""

    owner: str
    kind: str
    about: str
    cause_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackFailed:
    """The n-th attempt failed; `status` 0 is no answer. The next one is not before `next_at_s`."""

    attempt: int
    status: int
    reason: str
    next_at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackDelivered:
    """The receiver took it, at the n-th attempt."""

    attempt: int
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackAbandoned:
    """It is not tried any more; `attempts` of them failed, the last with `status`."""

    reason: str
    attempts: int = 0
    status: int = 0


Event = CallbackQueued | CallbackFailed | CallbackDelivered | CallbackAbandoned


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """A callback; times are Unix seconds, `refusals` are the 4xx among the failures."""

    owner: str
    kind: str
    about: str
    cause_version: int
    queued_at_s: float
    failures: int = 0
    refusals: int = 0
    next_at_s: float = 0.0
    settled: bool = False

    def is_too_old(self, at_s: float, patience: Patience) -> bool:
        """True when it has waited for as long as it may."""
        return at_s > self.queued_at_s + patience.age_s_max


def decide(callback: Callback | None, command: Command, at_s: float) -> tuple[Event, ...]:
    """Return the events of one command at `at_s` (Unix); none when it is settled already."""
    if isinstance(command, QueueCallback):
        return () if callback else (_queued(command),)
    if callback is None or callback.settled:
        return ()
    match command:
        case RecordAnswer(status=status) if status in ACCEPTED:
            return (CallbackDelivered(attempt=callback.failures + 1, status=status),)
        case RecordAnswer():
            return (_failed(callback, command, at_s),)
        case AbandonCallback(reason):
            return (CallbackAbandoned(reason=reason, attempts=callback.failures),)
        case _:
            assert_never(command)


def evolve(callback: Callback | None, event: Event, at_s: float) -> Callback:
    """Apply one event that was stored at `at_s`."""
    if isinstance(event, CallbackQueued):
        return Callback(
            owner=event.owner,
            kind=event.kind,
            about=event.about,
            cause_version=event.cause_version,
            queued_at_s=at_s,
        )
    assert callback is not None, event
    match event:
        case CallbackFailed():
            return replace(
                callback,
                failures=event.attempt,
                refusals=callback.refusals + is_refusal(event.status),
                next_at_s=event.next_at_s,
            )
        case CallbackDelivered() | CallbackAbandoned():
            return replace(callback, settled=True)
        case _:
            assert_never(event)


def stream_of(callback_id: str) -> str:
    """Name the stream of a callback."""
    return f"callback-{callback_id}"


def id_of(stream_id: str) -> str:
    """Return which callback a stream is."""
    return stream_id.removeprefix("callback-")


def is_refusal(status: int) -> bool:
    """Tell a refusal, which trying again hardly mends, from trouble that passes."""
    return status in REFUSED and status not in PASSING


def delay_s(failures: int, jitter: float) -> float:
    """Return the pause after the n-th failure (n from 1)."""
    base_s = DELAYS_S[min(failures, len(DELAYS_S)) - 1]
    return base_s * (1 + JITTER * jitter)


def _queued(command: QueueCallback) -> CallbackQueued:
    return CallbackQueued(
        owner=command.owner,
        kind=command.kind,
        about=command.about,
        cause_version=command.cause_version,
    )


def _failed(
    callback: Callback, answer: RecordAnswer, at_s: float
) -> CallbackFailed | CallbackAbandoned:
    attempt = callback.failures + 1
    next_at_s = at_s + delay_s(attempt, answer.jitter)
    if given_up := _given_up(callback, answer, next_at_s):
        return CallbackAbandoned(reason=given_up, attempts=attempt, status=answer.status)
    return CallbackFailed(
        attempt=attempt, status=answer.status, reason=answer.reason, next_at_s=next_at_s
    )


def _given_up(callback: Callback, answer: RecordAnswer, next_at_s: float) -> str:
    """Return why there is no next attempt at `next_at_s`, empty when there is one."""
    if answer.status == GONE:
        return RECEIVER_GONE
    refusals = callback.refusals + is_refusal(answer.status)
    if is_refusal(answer.status) and refusals >= answer.patience.refusals_max:
        return REFUSED_TOO_OFTEN
    return TOO_OLD if callback.is_too_old(next_at_s, answer.patience) else ""
