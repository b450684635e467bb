"""The read models as the web process must see them: with all that it has committed or seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from signalbox.projections.dashboard import Figures
    from signalbox.projections.links import LinkRow
    from signalbox.projections.messages import MessageInfo
    from signalbox.projections.readers import ReadModels


class OwnReads:
    """Waits up to `wait_s` for the projector to pass `position`, then reads what there is."""

    def __init__(self, read_models: ReadModels, position: Callable[[], int], wait_s: float) -> None:
        self._read_models = read_models
        self._position = position
        self._wait_s = wait_s

    def message(self, message_id: str, *, app_id: int, link_id: int) -> MessageInfo | None:
        """Return a message of this application on this link. Raises: `Unavailable`."""
        return self._caught_up().message(message_id, app_id=app_id, link_id=link_id)

    def links(self) -> list[LinkRow]:
        """Return the configured links. Raises: `Unavailable`."""
        return self._caught_up().links()

    def figures(self) -> Figures:
        """Return the dashboard's figures. Raises: `Unavailable`."""
        return self._caught_up().figures()

    def _caught_up(self) -> ReadModels:
        self._read_models.wait_for(self._position(), self._wait_s)
        return self._read_models
