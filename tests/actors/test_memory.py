"""What was looked up a moment ago."""

from collections.abc import Callable

from signalbox.actors.memory import Memory


class Archive:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.values: dict[str, int] = {"one": 1, "two": 2, "three": 3}

    def __call__(self, key: str) -> Callable[[], int | None]:
        """Return how to look up a key."""

        def look_up() -> int | None:
            self.asked.append(key)
            return self.values.get(key)

        return look_up


def test_a_finding_is_looked_up_once() -> None:
    memory, archive = Memory[str, int](10, 1.0), Archive()
    assert [memory.get("one", archive("one")) for _ in range(3)] == [1, 1, 1]
    assert archive.asked == ["one"]


def test_an_absence_is_believed_for_a_moment() -> None:
    now_s = 100.0
    memory, archive = Memory[str, int](10, 1.0, lambda: now_s), Archive()
    assert memory.get("four", archive("four")) is None
    archive.values["four"] = 4
    now_s = 100.9
    assert memory.get("four", archive("four")) is None
    now_s = 101.0
    assert memory.get("four", archive("four")) == 4
    assert archive.asked == ["four", "four"]


def test_what_is_forgotten_is_looked_up_again() -> None:
    memory, archive = Memory[str, int](10, 1.0), Archive()
    for key in ("one", "four"):
        memory.get(key, archive(key))
    archive.values.update(one=10, four=4)
    assert (memory.forget("one"), memory.forget("four")) == (True, False)
    assert memory.get("one", archive("one")) == 10
    assert memory.get("four", archive("four")) == 4


def test_the_oldest_goes_when_there_is_no_room() -> None:
    memory, archive = Memory[str, int](2, 1.0), Archive()
    for key in ("one", "two", "three", "three", "two", "one"):
        memory.get(key, archive(key))
    assert archive.asked == ["one", "two", "three", "one"]


def test_absences_need_no_more_room_than_findings() -> None:
    memory, archive = Memory[str, int](2, 1.0), Archive()
    for key in ("a", "b", "c", "c", "b", "a"):
        memory.get(key, archive(key))
    assert archive.asked == ["a", "b", "c", "a"]


def test_everything_can_be_forgotten() -> None:
    memory, archive = Memory[str, int](10, 1.0), Archive()
    for _ in range(2):
        memory.get("one", archive("one"))
        memory.get("a", archive("a"))
        memory.clear()
    assert archive.asked == ["one", "a", "one", "a"]


def test_what_changes_while_it_is_looked_up_is_not_remembered() -> None:
    memory, archive = Memory[str, int](10, 1.0), Archive()

    def look_up_while_it_changes(key: str) -> int | None:
        found = archive(key)()
        archive.values.update(one=10, four=4)
        memory.forget(key)
        return found

    assert memory.get("one", lambda: look_up_while_it_changes("one")) == 1
    assert memory.get("one", archive("one")) == 10
    del archive.values["four"]
    assert memory.get("four", lambda: look_up_while_it_changes("four")) is None
    assert memory.get("four", archive("four")) == 4
