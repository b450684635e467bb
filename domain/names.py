"""What every event is called in the log, written by hand, never renamed.

A name is `<noun>.<what happened>.<version>`. A changed shape gets a new version here, and its old
name an entry in `UPCASTS`: a function from the old stored fields to the fields of the newest
version. Unknown fields are ignored when an event is read (a newer version may have written them);
unknown names are an error.
"""

from collections.abc import Callable, Mapping
from typing import Final

from signalbox.domain import (
    account,
    api_key,
    callback,
    inbound,
    invite,
    link,
    mail,
    mail_instance,
    mail_usage,
    message,
    numbering,
    once,
    org,
    phone,
    phone_account,
    phone_message,
    rejection,
    reports,
    sending_day,
    sending_ip,
    session,
    slowdown,
    tenant,
    webhook,
)
from signalbox.domain import license as licenses

Event = (
    message.Event
    | link.Event
    | session.Event
    | inbound.MoEvent
    | inbound.ReceiptEvent
    | rejection.MessageRejected
    | account.Event
    | licenses.Event
    | sending_ip.Event
    | sending_day.Event
    | phone_message.Event
    | phone.Event
    | numbering.NumberTaken
    | once.OnceDone
    | org.Event
    | phone_account.Event
    | phone_account.EmailClaimed
    | api_key.Event
    | invite.Event
    | webhook.Event
    | callback.Event
    | mail.Event
    | mail_usage.UsageTaken
    | tenant.Event
    | tenant.TenantKeyOwner
    | mail_instance.Event
    | mail_instance.BouncePolled
    | reports.Event
)

EVENT_CLASSES: Final[dict[str, type[Event]]] = {
    "message.accepted.1": message.MessageAccepted,
    "message.rerouted.1": message.MessageRerouted,
    "message.submit_attempted.1": message.SubmitAttempted,
    "message.submitted.1": message.MessageSubmitted,
    "message.submit_refused.1": message.SubmitRefused,
    "message.submit_outcome_unknown.1": message.SubmitOutcomeUnknown,
    "message.receipt_recorded.1": message.ReceiptRecorded,
    "message.rejected.1": rejection.MessageRejected,
    "link.configured.1": link.LinkConfigured,
    "link.toggled.1": link.LinkToggled,
    "link.removed.1": link.LinkRemoved,
    "session.claimed.1": session.LinkClaimed,
    "session.bound.1": session.LinkBound,
    "session.lost.1": session.LinkLost,
    "session.bind_refused.1": session.BindRefused,
    "session.throttled.1": session.LinkThrottled,
    "mo.part_received.1": inbound.MoPartReceived,
    "mo.received.1": inbound.MoReceived,
    "receipt.unmatched.1": inbound.ReceiptUnmatched,
    "receipt.matched.1": inbound.ReceiptMatched,
    "receipt.abandoned.1": inbound.ReceiptAbandoned,
    "user.registered.1": account.UserRegistered,
    "user.removed.1": account.UserRemoved,
    "user.admin_granted.1": account.AdminGranted,
    "user.admin_revoked.1": account.AdminRevoked,
    "user.password_rehashed.1": account.PasswordRehashed,
    "app.registered.1": account.AppRegistered,
    "license.uploaded.1": licenses.LicenseUploaded,
    "warmup.ip_added.1": sending_ip.WarmupIpAdded,
    "warmup.ip_replaced.1": sending_ip.WarmupIpReplaced,
    "warmup.ip_removed.1": sending_ip.WarmupIpRemoved,
    "warmup.grouping_removed.1": sending_ip.WarmupGroupingRemoved,
    "warmup.paused.1": sending_ip.WarmupPaused,
    "warmup.resumed.1": sending_ip.WarmupResumed,
    "warmup.finished.1": sending_ip.WarmupFinished,
    "warmup.backoff_started.1": slowdown.WarmupBackoffStarted,
    "warmup.backoff_ended.1": slowdown.WarmupBackoffEnded,
    "warmup.suspended.1": slowdown.WarmupSuspended,
    "warmup.suspension_lifted.1": slowdown.WarmupSuspensionLifted,
    "warmup.day_closed.1": sending_day.WarmupDayClosed,
    "volume.reserved.1": sending_day.VolumeReserved,
    "volume.settled.1": sending_day.VolumeSettled,
    "sms.queued.1": phone_message.OutboundQueued,
    "sms.pushed.1": phone_message.OutboundPushed,
    "sms.status_reported.1": phone_message.StatusReported,
    "sms.status_report_ignored.1": phone_message.StatusReportIgnored,
    "sms.expired.1": phone_message.OutboundExpired,
    "sms.given_up.1": phone_message.OutboundGivenUp,
    "sms.received.1": phone_message.InboundReceived,
    "sms.archived.1": phone_message.PhoneMessageArchived,
    "phone.connected.1": phone.PhoneConnected,
    "phone.sims_reported.1": phone.SimsReported,
    "phone.disconnected.1": phone.PhoneDisconnected,
    "number.taken.1": numbering.NumberTaken,
    "once.done.1": once.OnceDone,
    "org.claimed.1": org.OrgClaimed,
    "org.locked.1": org.OrgLocked,
    "account.opened.1": phone_account.PhoneAccountOpened,
    "account.phone_paired.1": phone_account.PhonePaired,
    "account.phone_unpaired.1": phone_account.PhoneUnpaired,
    "account.password_changed.1": phone_account.PhoneAccountPasswordChanged,
    "account.password_rehashed.1": phone_account.PhoneAccountPasswordRehashed,
    "account.key_replaced.1": phone_account.PhoneAccountKeyReplaced,
    "email.claimed.1": phone_account.EmailClaimed,
    "key.issued.1": api_key.ApiKeyIssued,
    "key.revoked.1": api_key.ApiKeyRevoked,
    "invite.made.1": invite.InviteMade,
    "invite.redeemed.1": invite.InviteRedeemed,
    "invite.revoked.1": invite.InviteRevoked,
    "webhook.configured.1": webhook.WebhookConfigured,
    "webhook.disabled.1": webhook.WebhookDisabled,
    "webhook.removed.1": webhook.WebhookRemoved,
    "webhook.missed.1": webhook.CallbackMissed,
    "webhook.taken_again.1": webhook.CallbacksTakenAgain,
    "callback.queued.1": callback.CallbackQueued,
    "callback.failed.1": callback.CallbackFailed,
    "callback.delivered.1": callback.CallbackDelivered,
    "callback.abandoned.1": callback.CallbackAbandoned,
    "tenant.created.1": tenant.TenantCreated,
    "tenant.updated.1": tenant.TenantUpdated,
    "tenant.deleted.1": tenant.TenantDeleted,
    "tenant.key_issued.1": tenant.TenantKeyIssued,
    "tenant.key_revoked.1": tenant.TenantKeyRevoked,
    "tenant.dispatch_suspended.1": tenant.DispatchSuspended,
    "tenant.dispatch_activated.1": tenant.DispatchActivated,
    "tenant.account_set.1": tenant.MailAccountSet,
    "tenant.account_removed.1": tenant.MailAccountRemoved,
    "tenant.key_given.1": tenant.TenantKeyOwner,
    "mail.queued.1": mail.MailQueued,
    "mail.replaced.1": mail.MailReplaced,
    "mail.rejected.1": mail.MailRejected,
    "mail.attempted.1": mail.MailAttempted,
    "mail.sent.1": mail.MailSent,
    "mail.partly_sent.1": mail.MailPartlySent,
    "mail.deferred.1": mail.MailDeferred,
    "mail.failed.1": mail.MailFailed,
    "mail.in_doubt.1": mail.MailInDoubt,
    "mail.bounced.1": mail.MailBounced,
    "mail.pec_receipt_recorded.1": mail.PecReceiptRecorded,
    "mail.pec_acceptance_missed.1": mail.PecAcceptanceMissed,
    "mail.deleted.1": mail.MailDeleted,
    "mail.usage_taken.1": mail_usage.UsageTaken,
    "instance.updated.1": mail_instance.InstanceUpdated,
    "instance.bounces_reloaded.1": mail_instance.BouncesReloaded,
    "instance.bounces_polled.1": mail_instance.BouncePolled,
    "reports.acknowledged.1": reports.ReportsAcknowledged,
    "reports.postponed.1": reports.SyncPostponed,
}

NAMES: Final[dict[type[Event], str]] = {cls: name for name, cls in EVENT_CLASSES.items()}

Fields = dict[str, object]
UPCASTS: Final[Mapping[str, tuple[str, Callable[[Fields], Fields]]]] = {}
"""Old name -> (the next version's name, how its fields are made from the old ones)."""


def name_of(cls: type[Event]) -> str:
    """Return the stored name of an event class."""
    return NAMES[cls]


def names_of(*classes: type[Event]) -> tuple[str, ...]:
    """Return every name the classes are stored under, older ones too, for filters on the log."""
    newest = {NAMES[cls] for cls in classes}
    older = [name for name in UPCASTS if _newest(name) in newest]
    return (*(NAMES[cls] for cls in classes), *older)


def class_of(name: str) -> type[Event]:
    """Return the event class of a stored name. Raises: `KeyError` for an unknown name."""
    return EVENT_CLASSES[name]


def _newest(name: str) -> str:
    while name in UPCASTS:
        name, _ = UPCASTS[name]
    return name
