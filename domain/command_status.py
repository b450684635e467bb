"""What a command_status means for the gateway: its name, and what to do next.

Names: SMPP 3.4, 5.1.3. What to do is the field's experience, not the standard's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Literal


class CommandStatus(IntEnum):
    """The statuses the standard names; centres send others too, so a status is an `int`."""

    ESME_ROK = 0x00
    ESME_RINVMSGLEN = 0x01
    ESME_RINVCMDLEN = 0x02
    ESME_RINVCMDID = 0x03
    ESME_RINVBNDSTS = 0x04
    ESME_RALYBND = 0x05
    ESME_RINVPRTFLG = 0x06
    ESME_RINVREGDLVFLG = 0x07
    ESME_RSYSERR = 0x08
    ESME_RINVSRCADR = 0x0A
    ESME_RINVDSTADR = 0x0B
    ESME_RINVMSGID = 0x0C
    ESME_RBINDFAIL = 0x0D
    ESME_RINVPASWD = 0x0E
    ESME_RINVSYSID = 0x0F
    ESME_RCANCELFAIL = 0x11
    ESME_RREPLACEFAIL = 0x13
    ESME_RMSGQFUL = 0x14
    ESME_RINVSERTYP = 0x15
    ESME_RINVNUMDESTS = 0x33
    ESME_RINVDLNAME = 0x34
    ESME_RINVDESTFLAG = 0x40
    ESME_RINVSUBREP = 0x42
    ESME_RINVESMCLASS = 0x43
    ESME_RCNTSUBDL = 0x44
    ESME_RSUBMITFAIL = 0x45
    ESME_RINVSRCTON = 0x48
    ESME_RINVSRCNPI = 0x49
    ESME_RINVDSTTON = 0x50
    ESME_RINVDSTNPI = 0x51
    ESME_RINVSYSTYP = 0x53
    ESME_RINVREPFLAG = 0x54
    ESME_RINVNUMMSGS = 0x55
    ESME_RTHROTTLED = 0x58
    ESME_RINVSCHED = 0x61
    ESME_RINVEXPIRY = 0x62
    ESME_RINVDFTMSGID = 0x63
    ESME_RX_T_APPN = 0x64
    ESME_RX_P_APPN = 0x65
    ESME_RX_R_APPN = 0x66
    ESME_RQUERYFAIL = 0x67
    ESME_RINVOPTPARSTREAM = 0xC0
    ESME_ROPTPARNOTALLWD = 0xC1
    ESME_RINVPARLEN = 0xC2
    ESME_RMISSINGOPTPARAM = 0xC3
    ESME_RINVOPTPARAMVAL = 0xC4
    ESME_RDELIVERYFAILURE = 0xFE
    ESME_RUNKNOWNERR = 0xFF


@dataclass(frozen=True, slots=True)
class SubmitPolicy:
    """What becomes of a part after its submit_sm was answered.

    accepted: the centre has it. throttle: the whole link slows down and the part waits. transient:
    the part is tried again. session: it is tried again on a new bind. permanent: it has failed.
    """

    kind: Literal["accepted", "throttle", "transient", "session", "permanent"]
    retry_delay_s: float
    attempts_max: int
    """Submissions in all, the first included; 0 where only the part's age limits them."""


@dataclass(frozen=True, slots=True)
class BindPolicy:
    """What a bind was answered: bound, wait a little, or wait until the configuration changes."""

    kind: Literal["bound", "temporary", "configuration"]
    delay_s: float
    """The least time until the next attempt."""


_NAMED: Final = frozenset(CommandStatus)

_ACCEPTED: Final = SubmitPolicy("accepted", retry_delay_s=0.0, attempts_max=1)
_THROTTLE: Final = SubmitPolicy("throttle", retry_delay_s=1.0, attempts_max=0)
_TRANSIENT: Final = SubmitPolicy("transient", retry_delay_s=30.0, attempts_max=3)
_TRANSIENT_ONCE: Final = SubmitPolicy("transient", retry_delay_s=30.0, attempts_max=2)
_SESSION: Final = SubmitPolicy("session", retry_delay_s=0.0, attempts_max=0)
_PERMANENT: Final = SubmitPolicy("permanent", retry_delay_s=0.0, attempts_max=1)

_SUBMIT_POLICIES: Final[Mapping[int, SubmitPolicy]] = {
    CommandStatus.ESME_ROK: _ACCEPTED,
    CommandStatus.ESME_RTHROTTLED: _THROTTLE,
    CommandStatus.ESME_RMSGQFUL: _THROTTLE,
    CommandStatus.ESME_RSYSERR: _TRANSIENT,
    CommandStatus.ESME_RX_T_APPN: _TRANSIENT,
    CommandStatus.ESME_RINVSCHED: _TRANSIENT,
    CommandStatus.ESME_RDELIVERYFAILURE: _TRANSIENT,
    CommandStatus.ESME_RUNKNOWNERR: _TRANSIENT,
    CommandStatus.ESME_RSUBMITFAIL: _TRANSIENT_ONCE,  # often permanent
    CommandStatus.ESME_RINVBNDSTS: _SESSION,
    CommandStatus.ESME_RINVCMDLEN: _SESSION,
    CommandStatus.ESME_RINVCMDID: _SESSION,
}

_BOUND: Final = BindPolicy("bound", delay_s=0.0)
# ESME_RALYBND: the centre still holds the old session for a while.
_TEMPORARY: Final = BindPolicy("temporary", delay_s=30.0)
# Centres lock accounts that insist.
_CONFIGURATION: Final = BindPolicy("configuration", delay_s=300.0)

_BIND_POLICIES: Final[Mapping[int, BindPolicy]] = {
    CommandStatus.ESME_ROK: _BOUND,
    CommandStatus.ESME_RALYBND: _TEMPORARY,
    CommandStatus.ESME_RBINDFAIL: _TEMPORARY,
    CommandStatus.ESME_RSYSERR: _TEMPORARY,
    CommandStatus.ESME_RINVPASWD: _CONFIGURATION,
    CommandStatus.ESME_RINVSYSID: _CONFIGURATION,
    CommandStatus.ESME_RINVSYSTYP: _CONFIGURATION,
}


def describe(status: int) -> str:
    """Return the status as people search for it.

    >>> describe(0x0B)
    'ESME_RINVDSTADR (0x0000000B)'
    >>> describe(0x400)
    'SMSC status (0x00000400)'
    """
    name = CommandStatus(status).name if status in _NAMED else "SMSC status"
    return f"{name} (0x{status:08X})"


def submit_policy(status: int) -> SubmitPolicy:
    """Return what to do after a submit_sm_resp or generic_nack; unlisted ones are permanent."""
    return _SUBMIT_POLICIES.get(status, _PERMANENT)


def bind_policy(status: int) -> BindPolicy:
    """Return what to do after a bind response; unlisted refusals are taken for temporary."""
    return _BIND_POLICIES.get(status, _TEMPORARY)
