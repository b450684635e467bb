"""Every read model, listed once."""

from typing import Final

from signalbox.projections import (
    accounts,
    activity,
    dashboard,
    links,
    mail,
    messages,
    phone_messages,
    phones,
)
from signalbox.projections import warmup as warmups

PROJECTIONS: Final = (
    messages.PROJECTION,
    links.PROJECTION,
    activity.PROJECTION,
    dashboard.PROJECTION,
    accounts.PROJECTION,
    warmups.PROJECTION,
    phone_messages.PROJECTION,
    phones.PROJECTION,
    mail.PROJECTION,
)
