"""What the web process adds to the read models: whether a link is licensed."""

from dataclasses import replace
from typing import Final

from support.sms_proxy import ROW

from signalbox.ops.reads import OwnReads
from signalbox.projections.links import LinkRow

UNLICENSED: Final = {"status": "UNLICENSED", "reason": "not licensed"}


class Models:
    """Read models with these links, as new as anybody could ask."""

    def __init__(self, *rows: LinkRow) -> None:
        self._rows = list(rows)
        self.statistics = None

    def wait_for(self, position: int, timeout_s: float) -> None:
        assert position == timeout_s == 0

    def links(self) -> list[LinkRow]:
        return self._rows


def shown(*rows: LinkRow, connections_max: int) -> list[LinkRow]:
    models = Models(*rows)
    reads = OwnReads(models, lambda: 0, 0, lambda: connections_max)  # type: ignore[arg-type]
    return reads.links()


def test_links_beyond_the_licence_are_unlicensed_whatever_they_are_otherwise() -> None:
    rows = [ROW, replace(ROW, id=2), replace(ROW, id=3, bind_state="down", reason="cut")]
    assert shown(*rows, connections_max=1) == [
        ROW,
        replace(rows[1], **UNLICENSED),
        replace(rows[2], **UNLICENSED),
    ]


def test_licensed_links_are_what_the_read_model_says() -> None:
    rows = [ROW, replace(ROW, id=2, status="THROTTLED")]
    assert shown(*rows, connections_max=2) == rows
    assert shown(*rows, connections_max=0) == rows


def test_a_link_that_is_off_takes_no_room_and_is_disabled_first_of_all() -> None:
    rows = [replace(ROW, enabled=False, status="DISABLED"), replace(ROW, id=2)]
    assert shown(*rows, connections_max=1) == rows
