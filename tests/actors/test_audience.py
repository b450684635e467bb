"""News of a stream go to all who listen at that moment, and to nobody else."""

from datetime import UTC, datetime

import pytest

from signalbox.actors.audience import Audience
from signalbox.domain.phone_message import PhoneMessageArchived
from signalbox.eventstore.mapper import Recorded


def news(stream_id: str, version: int = 1) -> Recorded:
    at = datetime(2026, 12, 5, tzinfo=UTC)
    return Recorded(stream_id=stream_id, version=version, event=PhoneMessageArchived(), at=at)


def test_all_who_listen_are_told() -> None:
    audience = Audience()
    first: list[Recorded] = []
    second: list[Recorded] = []
    with audience.listening(["a", "b"], first.append), audience.listening(["b"], second.append):
        for stream in ("a", "b", "c"):
            audience.tell(news(stream))
        assert "a" in audience
        assert "c" not in audience
    assert [one.stream_id for one in first] == ["a", "b"]
    assert [one.stream_id for one in second] == ["b"]


def test_who_has_left_is_not_told_while_others_are() -> None:
    audience = Audience()
    heard: list[int] = []
    with audience.listening(["a"], lambda _: heard.append(1)):
        with audience.listening(["a"], lambda _: heard.append(2)):
            audience.tell(news("a"))
        audience.tell(news("a", 2))
    audience.tell(news("a", 3))
    assert heard == [1, 2, 1]
    assert "a" not in audience


def test_nobody_is_left_behind_by_a_caller_that_fails() -> None:
    audience = Audience()
    with pytest.raises(RuntimeError), audience.listening(["a"], print):
        raise RuntimeError
    assert "a" not in audience
