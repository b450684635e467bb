// A controllable SMSC for the tests, on the SMPP engine of the npm package `smpp`.
//
// The last four digits of a submit_sm's destination_addr choose what happens to it
// (smsc_node/behaviours.js), so tests share one SMSC without disturbing one another. An account's
// receipts and messages are kept until they are answered, over reconnects too, as
// store-and-forward centres do.
//
// Environment: HOST PORT CTRL_PORT SYSTEM_ID PASSWORD MAX_BINDS TLS_CERT TLS_KEY
//   DLR_DELAY_MS RESP_DELAY_MS SLOW_MS (8112) SPLIT_MS (8113) ENQUIRE_MS (0: never) RETRY_MS
//   TPS (0: unlimited) ID_MODE=hex|dec|uuid QUIET SEEN=0 (record nothing) KEEP=0 (deliver once)
// A port of 0 is a free one; a line tells when both listen, and where.
//
// Control, all GET: /stats  /seen[?summary=1][&to=DESTINATION]  /drop  /unbind  /mute?on=1
//   /refuse_bind?status=13 (0: accept again)  /forget_max
//   /mo?from=&to=&text=  or  /mo?from=&to=&hex=[&data_coding=&esm_class=]
'use strict';

const fs = require('fs');
const smpp = require('smpp');
const { Esme, esmes } = require('./smsc_node/accounts');
const { Submit, after, behaviourFor } = require('./smsc_node/behaviours');
const { createControl } = require('./smsc_node/control');
const { record } = require('./smsc_node/seen');
const settings = require('./smsc_node/settings');
const stats = require('./smsc_node/stats');

const log = (...words) => settings.QUIET || console.log(new Date().toISOString(), ...words);
const switches = { muted: false, bindStatus: smpp.ESME_ROK };

class TokenBucket {
  constructor(perSecond) {
    this.perSecond = perSecond;
    this.tokens = perSecond;
    this.filledAtMs = Date.now();
  }

  take() {
    const nowMs = Date.now();
    const earned = (nowMs - this.filledAtMs) * this.perSecond / 1000;
    this.tokens = Math.min(this.perSecond, this.tokens + earned);
    this.filledAtMs = nowMs;
    if (this.tokens < 1) return false;
    this.tokens -= 1;
    return true;
  }
}
const bucket = new TokenBucket(settings.TPS);

function statusOfBind(pdu) {
  if (switches.bindStatus) return switches.bindStatus;
  if (settings.SYSTEM_ID && pdu.system_id !== settings.SYSTEM_ID) return smpp.ESME_RINVSYSID;
  if (settings.PASSWORD && pdu.password !== settings.PASSWORD) return smpp.ESME_RINVPASWD;
  if (esmes.size >= settings.MAX_BINDS) return smpp.ESME_RALYBND;
  return smpp.ESME_ROK;
}

function bind(session, pdu) {
  const status = session.esme ? smpp.ESME_RALYBND : statusOfBind(pdu);
  log(pdu.command, pdu.system_id, 'status', status);
  session.send(pdu.response({ command_status: status, system_id: 'NODESMSC' }));
  if (!status) session.esme = new Esme(session, pdu);
  else if (!session.esme) after(50, () => session.close());
}

function submit(session, pdu) {
  const { esme } = session;
  if (!esme || !esme.transmits) {
    session.send(pdu.response({ command_status: smpp.ESME_RINVBNDSTS }));
    return;
  }
  stats.submits++;
  record(esme, pdu);
  if (switches.muted) return;
  const submitted = new Submit(esme, pdu);
  if (settings.TPS && !bucket.take()) {
    submitted.refuse(smpp.ESME_RTHROTTLED);
    return;
  }
  const behaviour = behaviourFor(pdu.destination_addr);
  after(settings.RESP_DELAY_MS, () => behaviour(submitted));
}

function enquireLink(session, pdu) {
  stats.enquire_links++;
  if (!switches.muted) session.send(pdu.response());
}

function unbind(session, pdu) {
  session.send(pdu.response());
  session.close();
}

const requests = {
  bind_transmitter: bind,
  bind_receiver: bind,
  bind_transceiver: bind,
  submit_sm: submit,
  enquire_link: enquireLink,
  unbind,
};

function refuseCommand(session, { sequence_number }) {
  session.generic_nack({ command_status: smpp.ESME_RINVCMDID, sequence_number });
}

function serve(session) {
  session.on('pdu', (pdu) => {
    if (!pdu.isResponse()) (requests[pdu.command] || refuseCommand)(session, pdu);
  });
  session.on('error', (error) => {
    log('session error', error.message);
    session.destroy();
  });
  session.on('close', () => session.esme && session.esme.gone());
}

const tls = settings.TLS_CERT
  ? { cert: fs.readFileSync(settings.TLS_CERT), key: fs.readFileSync(settings.TLS_KEY) }
  : {};
const control = createControl(switches);
const server = smpp.createServer(tls, serve);
server.listen(settings.PORT, settings.HOST, () => {
  control.listen(settings.CTRL_PORT, settings.HOST, () => {
    const { port } = server.address();
    console.log(`SMSC listening on port ${port}, control on port ${control.address().port}`);
  });
});
