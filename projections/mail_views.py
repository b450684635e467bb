"""What is asked of the mails: lists, reports to their clients, and what may be forgotten.

Contents are in no read model; they come from the log itself, a thousand mails in one query. Times
are Unix seconds, 0.0 where there is none.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import batched
from typing import TYPE_CHECKING, Final, LiteralString

import msgspec

from signalbox.domain.mail import (
    BounceKind,
    MailQueued,
    MailRejected,
    MailReplaced,
    pk_of,
    stream_of,
)
from signalbox.domain.mail_content import MailContent
from signalbox.domain.names import names_of
from signalbox.domain.personal import ERASED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Literal

    from psycopg.rows import TupleRow

    from signalbox.eventstore.log import EventLog
    from signalbox.projections.mail_counts import MailStatus
    from signalbox.projections.mail_rows import Kind
    from signalbox.projections.projection import Cursor
