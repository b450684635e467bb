"""Phones and their SIMs as their owners see them."""

from datetime import timedelta
from typing import Final

import pytest
from support.histories import T0, T0_S, record, rows_of
from support.phone_histories import OWNER, PHONE, PUSHED, queued, received, tell

from signalbox.domain.names import Event
from signalbox.domain.phone import (
    Lost,
    PhoneConnected,
    PhoneDisconnected,
    SimCard,
    SimsReported,
    stream_of,
)
from signalbox.eventstore.log import EventLog
from signalbox.projections.building import build, rebuild
from signalbox.projections.models import PROJECTIONS
from signalbox.projections.phone_sims import NO_SLOT
from signalbox.projections.phones import PhoneRow, SimsView
from signalbox.projections.projector import Projector
from signalbox.projections.readers import ReadModels

ONE: Final = SimCard(0, "+49 151 1", "SIM1", "Telekom")
TWO: Final = SimCard(1, "", "SIM2", "O2")


def connected(connection: int = 1, phone_id: str = PHONE) -> Event:
    return PhoneConnected(OWNER, phone_id, connection, "web-1")


def told(*sims: SimCard, connection: int = 1, phone_id: str = PHONE) -> Event:
    return SimsReported(OWNER, phone_id, connection, sims)


def gone(connection: int = 1, reason: Lost = "closed", phone_id: str = PHONE) -> Event:
    return PhoneDisconnected(OWNER, phone_id, connection, reason)


@pytest.fixture
def seen(event_log: EventLog, projector: Projector, models: ReadModels) -> "Seen":
    return Seen(event_log, projector, models)


class Seen:
    """What an owner sees of the phones and SIMs that are told of, one event a second."""

    def __init__(self, log: EventLog, projector: Projector, models: ReadModels) -> None:
        self._log, self._projector, self._models = log, projector, models
        self._told = 0
        self._versions: dict[str, int] = {}

    def tell(self, *events: Event) -> None:
        """Record events in the order of the log, each in its phone's stream or its own."""
        for event in events:
            at = T0 + timedelta(seconds=self._told)
            self._told += 1
            if isinstance(event, PhoneConnected | SimsReported | PhoneDisconnected):
                stream = stream_of(event.phone_id, T0_S)
                version = self._versions[stream] = self._versions.get(stream, 0) + 1
                record(self._log, stream, event, at=at, first_version=version)
            else:
                tell(self._log, f"m{self._told}", event, at=at)

    def phones(self, *events: Event) -> list[PhoneRow]:
        self.tell(*events)
        build(self._projector)
        return self._models.phones(OWNER)

    def phone(self, *events: Event) -> PhoneRow:
        (phone,) = self.phones(*events)
        return phone

    def sims(self, *events: Event) -> SimsView:
        self.tell(*events)
        build(self._projector)
        return self._models.phone_sims(OWNER)


def test_a_phone_is_online_from_its_connection_to_its_end(seen: Seen) -> None:
    assert seen.phone(connected()) == PhoneRow(PHONE, True, T0_S, T0_S, "")  # noqa: FBT003
    assert seen.phone(gone()) == PhoneRow(PHONE, False, T0_S, T0_S + 1, "")  # noqa: FBT003
    assert seen.phone(connected(2)) == PhoneRow(PHONE, True, T0_S + 2, T0_S + 2, "")  # noqa: FBT003


def test_the_end_of_a_connection_that_was_replaced_changes_nothing(seen: Seen) -> None:
    assert seen.phone(connected(1), connected(2), gone(1, "replaced")).online
    assert not seen.phone(gone(2)).online


def test_an_older_connection_that_is_stored_late_changes_nothing(seen: Seen) -> None:
    phone = seen.phone(connected(2), connected(1), told(TWO, connection=1), gone(1))
    assert (phone.online, phone.connected_at_s) == (True, T0_S)
    assert seen.sims().live == []
    phone = seen.phone(gone(2), connected(1))
    assert not phone.online


def test_a_phone_was_not_seen_between_the_last_word_and_the_end_of_its_line(seen: Seen) -> None:
    end = PhoneDisconnected(OWNER, PHONE, 1, "silent", T0_S + 0.5)
    assert seen.phone(connected(), end).last_seen_at_s == T0_S + 0.5


def test_why_a_phone_went_is_kept(event_log: EventLog, seen: Seen) -> None:
    seen.phone(connected(), gone(reason="silent"))
    assert "silent" in str(rows_of(event_log)["phones"])


def test_a_phone_has_the_first_number_it_told_and_keeps_it(seen: Seen) -> None:
    assert seen.phone(connected(), told(TWO, ONE)).number == "+49 151 1"
    assert seen.phone(connected(2), told(TWO, connection=2)).number == "+49 151 1"
    other = SimCard(0, "+1")
    assert seen.phone(connected(3), told(other, connection=3)).number == "+1"


def test_a_phone_without_a_connection_was_seen_when_it_brought_a_message(seen: Seen) -> None:
    assert seen.phones(queued(), PUSHED) == []
    phone = seen.phone(received(phone_id="dev_http"))
    assert phone == PhoneRow("dev_http", False, None, T0_S + 2, "")  # noqa: FBT003


def test_a_line_that_heard_of_its_phone_later_is_believed(event_log: EventLog, seen: Seen) -> None:
    seen.tell(connected(1), connected(1, "dev_2"))
    with event_log.pool.connection() as connection:
        for owner, phone_id, line, after_s in (
            (OWNER, PHONE, 1, 60.5),
            (OWNER, PHONE, 0, 30),
            (OWNER, "dev_2", 1, -60),
            ("org_other", PHONE, 2, 90),
        ):
            connection.execute(
                "INSERT INTO signalbox.phone_lines"
                " (phone_id, connection, owner, process, seen_at, expires_at)"
                " VALUES (%s, %s, %s, 'web-1', to_timestamp(%s), now())",
                (phone_id, line, owner, T0_S + after_s),
            )
    by_id = {phone.phone_id: phone.last_seen_at_s for phone in seen.phones()}
    assert by_id == {PHONE: T0_S + 60.5, "dev_2": T0_S + 1}


def test_an_owner_sees_its_own_phones_only(seen: Seen, models: ReadModels) -> None:
    seen.phone(connected(), told(ONE))
    assert models.phones("org_a") == []
    assert models.phone_sims("org_a") == SimsView(0, [], [])


def test_live_sims_are_those_of_the_phones_online_the_oldest_connection_first(seen: Seen) -> None:
    third = SimCard(0, "", "SIM1", "Vodafone")
    sims = seen.sims(
        connected(5, "dev_a"),
        connected(4, "dev_b"),
        connected(6, "dev_silent"),
        connected(7, "dev_gone"),
        told(third, connection=5, phone_id="dev_a"),
        told(ONE, connection=4, phone_id="dev_b"),
        told(TWO, ONE, connection=4, phone_id="dev_b"),
        told(SimCard(0, "+7"), connection=7, phone_id="dev_gone"),
        gone(7, phone_id="dev_gone"),
    )
    assert sims.online_lines == 3
    assert sims.live == [TWO, ONE, third]
    assert len(sims.known) == 4


def test_a_new_connection_has_no_sims_until_it_tells_them(seen: Seen) -> None:
    sims = seen.sims(connected(1), told(ONE), connected(2))
    assert (sims.online_lines, sims.live) == (1, [])
    assert seen.sims(told(TWO, connection=2)).live == [TWO]


def test_every_sim_stays_known_the_one_last_heard_of_first(seen: Seen) -> None:
    sims = seen.sims(connected(), told(ONE, TWO), told(TWO))
    assert sims.known == [(TWO, T0_S + 2), (ONE, T0_S + 1)]


def test_a_number_is_one_sim_in_whatever_phone_and_slot(seen: Seen) -> None:
    moved = SimCard(1, "+491511", "", "")
    sims = seen.sims(connected(), told(ONE), connected(2, "dev_2"), told(
        moved, connection=2, phone_id="dev_2"
    ))  # fmt: skip
    assert sims.known == [(SimCard(1, "+491511", "SIM1", "Telekom"), T0_S + 3)]


def test_sims_without_a_number_are_told_apart_by_phone_and_slot(seen: Seen) -> None:
    sims = seen.sims(
        connected(),
        told(TWO, SimCard(0)),
        connected(2, "dev_2"),
        told(TWO, connection=2, phone_id="dev_2"),
    )
    assert [card for card, _ in sims.known] == [TWO, SimCard(0), TWO]


@pytest.mark.parametrize(
    ("slot", "number", "known"),
    [
        (0, "", [(ONE, T0_S + 2), (TWO, T0_S + 1)]),
        (1, "", [(TWO, T0_S + 2), (ONE, T0_S + 1)]),
        (None, "+491511", [(ONE, T0_S + 2), (TWO, T0_S + 1)]),
        (1, "+491511", [(ONE, T0_S + 2), (TWO, T0_S + 1)]),
        (2, "", [(SimCard(2), T0_S + 2), (ONE, T0_S + 1), (TWO, T0_S + 1)]),
        (None, "+7", [(SimCard(NO_SLOT, "+7"), T0_S + 2), (ONE, T0_S + 1), (TWO, T0_S + 1)]),
        (0, "+7", [(SimCard(0, "+7"), T0_S + 2), (ONE, T0_S + 1), (TWO, T0_S + 1)]),
        (None, "", [(ONE, T0_S + 1), (TWO, T0_S + 1)]),
    ],
)
def test_a_message_tells_of_the_sim_it_came_by(
    seen: Seen, slot: int | None, number: str, known: list[tuple[SimCard, float]]
) -> None:
    came = received(sim_slot=slot, sim_number=number)
    assert seen.sims(connected(), told(ONE, TWO), came).known == known


def test_until_a_new_connection_tells_its_sims_a_slot_means_what_it_meant(seen: Seen) -> None:
    sims = seen.sims(connected(1), told(ONE), gone(1), connected(2), received(sim_slot=0))
    assert sims.known == [(ONE, T0_S + 4)]


def test_of_a_sim_known_by_a_message_alone_more_is_told_later(seen: Seen) -> None:
    came = received(sim_number="+49 151 1")
    assert seen.sims(came).known == [(SimCard(NO_SLOT, "+49 151 1"), T0_S)]
    assert seen.sims(connected(), told(ONE)).known == [(ONE, T0_S + 2)]
    assert seen.sims(gone(), received(sim_number="491511", phone_id="x")).known == [
        (SimCard(0, "491511", "SIM1", "Telekom"), T0_S + 4)
    ]


def test_a_phone_without_a_name_is_there_as_long_as_its_connection(
    event_log: EventLog, seen: Seen
) -> None:
    nameless = f"{OWNER}~1f"
    came = received(phone_id=nameless, sim_slot=1)
    assert seen.phone(connected(1, nameless), told(ONE, TWO, phone_id=nameless), came).online
    assert seen.sims().known[0] == (TWO, T0_S + 2)
    assert seen.phones(gone(1, phone_id=nameless), received(phone_id=nameless)) == []
    assert rows_of(event_log)["phones"] == []
    assert seen.phone(connected(2, f"{OWNER}.pixel"), gone(2, phone_id=f"{OWNER}.pixel"))


def test_sims_of_phones_without_a_name_are_told_apart_by_all_that_is_told(seen: Seen) -> None:
    other = SimCard(1, "", "SIM2", "Vodafone")
    for connection, sims in enumerate(((TWO,), (TWO, ONE), (other,)), start=1):
        phone_id = f"{OWNER}~{connection}"
        seen.tell(connected(connection, phone_id))
        seen.tell(told(*sims, connection=connection, phone_id=phone_id))
    assert [card for card, _ in seen.sims().known] == [other, ONE, TWO]


def test_a_message_of_nobody_knows_which_phone_tells_of_its_sim_alone(seen: Seen) -> None:
    came = received(phone_id="", sim_slot=0), received(phone_id="", sim_number="+7")
    assert seen.phones(*came) == []
    known = seen.sims().known
    assert known == [(SimCard(NO_SLOT, "+7"), T0_S + 1), (SimCard(0), T0_S)]


@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_the_size_of_the_batches_changes_nothing(
    event_log: EventLog, seen: Seen, batch: int
) -> None:
    seen.phones(
        connected(1),
        received(sim_slot=0),
        told(ONE, TWO),
        received(sim_slot=1),
        connected(2),
        gone(1, "replaced"),
        received(sim_number="491511", phone_id="dev_2"),
        told(TWO, connection=2),
        gone(2),
        connected(3),
        connected(4, f"{OWNER}~4"),
        told(ONE, TWO, connection=4, phone_id=f"{OWNER}~4"),
        gone(4, phone_id=f"{OWNER}~4"),
        received(sim_slot=1, phone_id=f"{OWNER}~4"),
    )
    by_fives = rows_of(event_log)
    assert len(by_fives["phone_sims"]) == 5
    rebuild(event_log, PROJECTIONS, batch_events_max=batch)
    assert rows_of(event_log) == by_fives
