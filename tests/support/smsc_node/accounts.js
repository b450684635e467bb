// Who is bound, and what waits for whom.
'use strict';

const smpp = require('smpp');
const { ENQUIRE_MS, HELD_MAX, RETRY_MS } = require('./settings');
const stats = require('./stats');

const accounts = new Map();
const esmes = new Set(); // the bound ones
let esmeNumbers = 0;

// One system_id, over all its sessions.
class Account {
  constructor() {
    this.receivers = new Set();
    this.sessions = 0;
    this.held = [];
  }

  // On the session that submitted if it can receive, else on any other of the account.
  deliver(message, preferred) {
    const [first] = this.receivers;
    const esme = this.receivers.has(preferred) ? preferred : first;
    if (esme) esme.deliver(message);
    else if (this.held.length < HELD_MAX) this.held.push(message);
  }

  attach(esme) {
    this.receivers.add(esme);
    for (const message of this.held.splice(0)) esme.deliver(message);
  }

  detach(esme) {
    this.receivers.delete(esme);
    if (HELD_MAX) for (const message of esme.unanswered) this.deliver(message);
  }
}

function accountOf(systemId) {
  if (!accounts.has(systemId)) accounts.set(systemId, new Account());
  return accounts.get(systemId);
}

// One bound session.
class Esme {
  constructor(session, bind) {
    this.session = session;
    this.number = ++esmeNumbers;
    this.account = accountOf(bind.system_id);
    this.transmits = bind.command !== 'bind_receiver';
    this.receives = bind.command !== 'bind_transmitter';
    this.unanswered = new Set();
    esmes.add(this);
    if (++this.account.sessions > 1) stats.second_binds++;
    stats.sessions_max = Math.max(stats.sessions_max, esmes.size);
    if (this.receives) this.account.attach(this);
    if (ENQUIRE_MS) this.enquiry = setInterval(() => session.enquire_link(), ENQUIRE_MS);
  }

  deliver(message) {
    this.unanswered.add(message);
    this.session.deliver_sm(message, (response) => {
      stats.deliver_responses++;
      this.unanswered.delete(message);
      if (response.command_status === smpp.ESME_RX_T_APPN) {
        setTimeout(() => this.account.deliver(message, this), RETRY_MS);
      }
    });
  }

  unbind() {
    this.session.unbind(() => this.session.close());
  }

  cut() {
    this.session.destroy();
  }

  reset() {
    this.session.socket.resetAndDestroy();
  }

  gone() {
    clearInterval(this.enquiry);
    esmes.delete(this);
    this.account.sessions--;
    this.account.detach(this);
  }
}

module.exports = { Esme, esmes };
