"""Mails taken on and deleted, on a real log."""
from signalbox.actors.mails import Mails, NewMail
from signalbox.actors.tenants import Tenants
from signalbox.domain.mail_account import MailAccount
from signalbox.domain.mail_content import MailContent
import time

def test_speed(event_log, journal):
    tenants=Tenants(event_log,journal); tenants.put_account("acme",MailAccount(account_id="a",host="h",port=25),by="x")
    mails=Mails(event_log,journal,tenants)
    c=MailContent(sender="a@acme.test",to=("b@example.test",),subject="Hello",body="x"*200)
    t=time.time()
    for i in range(100):
        r=mails.add("acme",[NewMail(client_id=f"m{i}-{j}",account_id="a",content=c) for j in range(100)],by="x")
        assert all(not one.reason for one in r)
    print("RATE",10000/(time.time()-t))
    r=mails.add("acme",[NewMail(client_id="m0-0",account_id="a",content=c),NewMail(client_id="m0-0",account_id="zz",content=c),NewMail(client_id="n",account_id="zz",content=c)],by="x")
    print(r, mails.find(mails.pk_of("acme","m0-0")), mails.content(mails.pk_of("acme","m0-0")))
    print(mails.delete("acme",["m0-0","nix"],by="x"))
