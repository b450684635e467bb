"""Every read model, listed once."""

from typing import Final

from signalbox.projections import dashboard, links, messages

PROJECTIONS: Final = (messages.PROJECTION, links.PROJECTION, dashboard.PROJECTION)
