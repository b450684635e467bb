import time, gevent, os
from support.dispatch import *
from support.mail_sink import MailSink
from signalbox.ops.mail_sections import Mail
from signalbox.ops.mail_transport import transport_of
from signalbox.domain.tenant_config import TenantConfig
from signalbox.actors.mail_dispatch import MailDispatchers
def test_bench(event_log):
    n=int(os.environ.get("N","6000")); w=int(os.environ.get("W","10"))
    class Lazy:
        def send(self, job, tell): self.t.send(job, tell)
    lazy=Lazy()
    with MailSink(keep=False) as sink, Relay(event_log, lazy, in_flight_per_account_max=int(os.environ.get("D",str(w)))) as r:
        lazy.t=transport_of(Mail(in_flight_per_account_max=w), r.tenants)
        r.tenants.put_account("acme", MailAccount(account_id=ACCOUNT, host="127.0.0.1", port=sink.port), by="x"); r.tenants.put("acme", TenantConfig(), by="x"); r.tenants.suspend("acme", by="x")
        c=content(); 
        for i in range(0,n,1000):
            r.add(*[new(f"m{i+j}", content=MailContent(sender="a@acme.test",to=("b@example.test",),subject="Hello",body="x"*200)) for j in range(1000)])
        r.tenants.activate("acme", by="x"); 
        t0=time.time(); last=0; cpu=time.process_time()
        while r.waiting() and time.time()-t0<100:
            gevent.sleep(2); k=sink.count; print(round(time.time()-t0,1), k-last, flush=True); last=k
        print("deliver", n/(time.time()-t0), "cpu ms/mail", (time.process_time()-cpu)*1000/n, sink.count)
