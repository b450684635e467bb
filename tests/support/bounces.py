"""Mails that came back, in the manner of the servers that people meet."""

from __future__ import annotations

from typing import Final

PK: Final = "Z0Guq3x5TVqV0dHq1hEabA"

HEADERS: Final = f"""\
From: shop@example.com
To: ann@example.org
Subject: Your order
Message-ID: <{PK}@example.com>
X-Genro-Mail-ID: store@uuid-1
X-Signalbox-Mail-ID: {PK}
"""

POSTFIX: Final = f"""\
From: MAILER-DAEMON@mx.example.com (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: bounces@example.com
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="B/mx"

This is a MIME-encapsulated message.

--B/mx
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients.

--B/mx
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com
X-Postfix-Queue-ID: 4XyZ
X-Postfix-Sender: rfc822; bounces@example.com
Arrival-Date: Sat, 21 Nov 2026 08:00:00 +0000 (UTC)

Final-Recipient: rfc822; ann@example.org
Original-Recipient: rfc822;ann@example.org
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.example.org
Diagnostic-Code: smtp; 550 5.1.1 <ann@example.org>: Recipient address rejected:
    User unknown in virtual mailbox table

--B/mx
Content-Description: Undelivered Message
Content-Type: message/rfc822

{HEADERS}
Hello Ann

--B/mx--
"""

POSTFIX_DELAYED: Final = (
    POSTFIX.replace("Action: failed", "Action: delayed")
    .replace("Status: 5.1.1", "Status: 4.4.1")
    .replace("550 5.1.1 <ann@example.org>: Recipient address rejected:", "connect to mx: timed out")
    .replace("    User unknown in virtual mailbox table\n", "Will-Retry-Until: Thu, 26 Nov 2026\n")
)

POSTFIX_SUCCESS: Final = (
    POSTFIX.replace("Action: failed", "Action: delivered")
    .replace("Status: 5.1.1", "Status: 2.0.0")
    .replace("550 5.1.1", "250 2.0.0")
)

HEADERS_ONLY: Final = POSTFIX.replace(
    "Content-Type: message/rfc822", "Content-Type: text/rfc822-headers"
).replace("Hello Ann\n", "")

SEVERAL: Final = POSTFIX.replace(
    "Final-Recipient: rfc822; ann@example.org",
    """Final-Recipient: rfc822; late@example.org
Action: delayed
Status: 4.2.2
Diagnostic-Code: smtp; 452 4.2.2 mailbox full

Final-Recipient: rfc822; good@example.org
Action: relayed
Status: 2.0.0

Final-Recipient: rfc822; ann@example.org""",
)

EXIM: Final = f"""\
X-Failed-Recipients: ann@example.org
Auto-Submitted: auto-replied
From: Mail Delivery System <Mailer-Daemon@host.example.com>
To: bounces@example.com
Subject: Mail delivery failed: returning message to sender

This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  ann@example.org
    host mx.example.org [203.0.113.5]
    SMTP error from remote mail server after RCPT TO:<ann@example.org>:
    554 5.7.1 Relay access denied

------ This is a copy of your message, including all the headers. ------

{HEADERS}
Hello Ann
"""

QMAIL: Final = f"""\
From: MAILER-DAEMON@mail.example.org
To: bounces@example.com
Subject: failure notice

Hi. This is the qmail-send program at mail.example.org.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<ann@example.org>:
Sorry, no mailbox here by that name. (#5.1.1)

--- Below this line is a copy of the message.

Return-Path: <bounces@example.com>
Received: (qmail 4711 invoked from network); 21 Nov 2026 08:00:00 -0000
{HEADERS}
Hello Ann
"""

EXCHANGE: Final = f"""\
From: "Microsoft Outlook" <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@example.org>
To: <bounces@example.com>
Subject: Undeliverable: Your order
Auto-Submitted: auto-replied
X-MS-Exchange-Message-Is-Ndr:
In-Reply-To: <{PK}@example.com>
Content-Language: en-US
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="9B095B5ADSN=_01DA1C"

--9B095B5ADSN=_01DA1C
Content-Type: multipart/alternative; differences=Content-Type; boundary="inner"

--inner
Content-Type: text/plain; charset="utf-8"
Content-Transfer-Encoding: base64

RGVsaXZlcnkgaGFzIGZhaWxlZCB0byB0aGVzZSByZWNpcGllbnRzOiBhbm5AZXhhbXBsZS5vcmc=

--inner
Content-Type: text/html; charset="utf-8"

<p>Delivery has failed</p>
--inner--

--9B095B5ADSN=_01DA1C
Content-Type: message/delivery-status

Reporting-MTA: dns;EX01.example.org

Final-recipient: RFC822;ann@example.org
Action: failed
Status: 5.2.2
Diagnostic-code: smtp;554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException
X-Display-Name: Ann

--9B095B5ADSN=_01DA1C
Content-Type: message/rfc822

{HEADERS}
Hello Ann

--9B095B5ADSN=_01DA1C--
"""

GMAIL: Final = f"""\
From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>
To: bounces@example.com
Auto-Submitted: auto-replied
Subject: Delivery Status Notification (Failure)
References: <{PK}@example.com>
In-Reply-To: <{PK}@example.com>
X-Failed-Recipients: ann@example.org
Content-Type: multipart/report; boundary="000000000000aa"; report-type=delivery-status

--000000000000aa
Content-Type: text/plain; charset="UTF-8"

** Address not found **

--000000000000aa
Content-Type: message/delivery-status

Reporting-MTA: dns; googlemail.com
Arrival-Date: Sat, 21 Nov 2026 00:00:00 -0800 (PST)
X-Original-Message-ID: <{PK}@example.com>

Final-Recipient: rfc822; ann@example.org
Action: failed
Status: 5.1.1
Remote-MTA: dns; gmail-smtp-in.l.google.com. (2a00::1b, the server for the domain.)
Diagnostic-Code: smtp; 550-5.1.1 The email account that you tried to reach does not exist.
Last-Attempt-Date: Sat, 21 Nov 2026 00:00:01 -0800 (PST)

--000000000000aa
Content-Type: message/rfc822

From: shop@example.com
To: ann@example.org
Subject: Your order
Message-ID: <{PK}@example.com>

Hello Ann

--000000000000aa--
"""

VACATION: Final = f"""\
From: Ann <ann@example.org>
To: shop@example.com
Subject: Automatic reply: Your order
Auto-Submitted: auto-replied
In-Reply-To: <{PK}@example.com>

I am away until Monday. Call 555-550-1234.
"""

ANSWER: Final = f"""\
From: Ann <ann@example.org>
To: shop@example.com
Subject: Re: Your order
In-Reply-To: <{PK}@example.com>

Thanks! The 550 parts are here.
"""


def octets(text: str) -> bytes:
    """Return a mail as it comes over the wire."""
    return text.replace("\n", "\r\n").encode()


ACCEPTED: Final = f"""\
X-Ricevuta: accettazione
X-Riferimento-Message-ID: <{PK}@example.com>
From: posta-certificata@pec.example.it
To: shop@pec.example.com
Subject: ACCETTAZIONE: Your order
Content-Type: multipart/mixed; boundary="pec"

--pec
Content-Type: text/plain; charset="utf-8"

Ricevuta di accettazione

--pec
Content-Type: application/xml; name="daticert.xml"

<postacert tipo="accettazione"/>
--pec--
"""

DELIVERED: Final = f"""\
X-Ricevuta: avvenuta-consegna
X-TipoRicevuta: completa
From: posta-certificata@pec.example.org
To: shop@pec.example.com
Subject: CONSEGNA: Your order
Content-Type: multipart/mixed; boundary="pec"

--pec
Content-Type: text/plain; charset="utf-8"

Ricevuta di avvenuta consegna

--pec
Content-Type: message/rfc822; name="postacert.eml"

{HEADERS}
Hello Ann

--pec--
"""

NOT_DELIVERED: Final = (
    ACCEPTED.replace("X-Ricevuta: accettazione", "X-Ricevuta: errore-consegna")
    .replace("ACCETTAZIONE:", "AVVISO DI MANCATA CONSEGNA:")
    .replace("Ricevuta di accettazione", "5.1.1 - indirizzo non valido")
)
