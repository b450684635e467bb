// How a submit_sm is answered, and what is delivered because of it.
'use strict';

const crypto = require('crypto');
const smpp = require('smpp');
const { DLR_DELAY_MS, ID_MODE, SLOW_MS, SPLIT_MS } = require('./settings');
const stats = require('./stats');

const ENROUTE = 1;
const DELIVRD = 2;
const STATES = [
  '', 'ENROUTE', 'DELIVRD', 'EXPIRED', 'DELETED', 'UNDELIV', 'ACCEPTD', 'UNKNOWN', 'REJECTD',
];
const GOOD_STATES = new Set(['ENROUTE', 'DELIVRD', 'ACCEPTD']);

smpp.addTLV('vendor_specific', { id: 0x2150, type: smpp.types.tlv.buffer });

// How each tail of a destination is answered. Receipts go only to submits that ask for one.
const behaviours = {
  8100: (submit) => { submit.receiptLater({ delayMs: 0 }); after(100, () => submit.accept()); },
  8101: () => {}, // never answered
  8102: (submit) => { ordinary(submit); after(20, () => submit.esme.cut()); },
  8103: (submit) => submit.esme.reset(),
  8104: (submit) => { ordinary(submit); submit.receiptLater(); },
  8105: (submit) => submit.accept(), // no receipt
  8106: (submit) => { ordinary(submit); submit.esme.unbind(); },
  8107: (submit) => submit.nack(),
  8108: (submit) => { ordinary(submit); submit.reply(plain('MO echo: hi')); },
  8109: (submit) => { // hexadecimal in the response, decimal in the receipt
    submit.accept({ message_id: hex(submit.serial) });
    submit.receiptLater({ id: String(submit.serial) });
  },
  8110: (submit) => { submit.accept(); submit.receiptLater({ tlvs: false }); },
  8111: (submit) => { submit.accept(); submit.receiptLater({ text: false }); },
  8112: (submit) => after(SLOW_MS, () => ordinary(submit)),
  8113: (submit) => { submit.acceptInHalves(); submit.receiptLater(); },
  8114: (submit) => ordinary(submit, { vendor_specific: Buffer.from([0xab, 0xcd]) }),
  8115: (submit) => ordinary(submit, { additional_status_info_text: 'ok' }),
  8116: (submit) => { submit.acceptWithoutBody(); submit.receiptLater(); },
  8117: (submit) => {
    submit.accept();
    submit.receiptLater({ state: ENROUTE, delayMs: DLR_DELAY_MS / 2 });
    submit.receiptLater();
  },
  8118: (submit) => {
    submit.accept();
    submit.reply(part(1, 'Привет '));
    submit.reply(part(2, 'мир'));
  },
  8119: (submit) => { submit.accept(); ordinary(submit); },
};
for (let state = 1; state <= 8; state++) {
  behaviours[8000 + state] = (submit) => { submit.accept(); submit.receiptLater({ state }); };
}
for (let status = 1; status <= 999; status++) {
  behaviours[9000 + status] = (submit) => submit.refuse(status);
}

function ordinary(submit, fields) {
  submit.accept(fields);
  submit.receiptLater();
}

function after(delayMs, act) {
  if (delayMs > 0) setTimeout(act, delayMs);
  else act();
}

const hex = (serial) => serial.toString(16).toUpperCase().padStart(8, '0');
const idFormats = { hex, dec: String, uuid: () => crypto.randomUUID() };
const idOf = idFormats[ID_MODE];

const ucs2 = (text) => Buffer.from(text, 'utf16le').swap16();
const isAscii = (text) => /^[\x00-\x7f]*$/.test(text);
const plain = (text) => isAscii(text)
  ? { data_coding: 0, short_message: Buffer.from(text, 'latin1') }
  : { data_coding: 8, short_message: ucs2(text) };

// Part `index` of a two-part UCS-2 message: UDH with an 8-bit reference, 3GPP TS 23.040 9.2.3.24.1.
function part(index, text) {
  const header = Buffer.from([5, 0, 3, 0x7a, 2, index]);
  return { esm_class: 0x40, data_coding: 8, short_message: Buffer.concat([header, ucs2(text)]) };
}

// The text of a receipt: SMPP 3.4, appendix B.
function receiptText(id, state) {
  const stamp = new Date().toISOString().replace(/[-:T]/g, '').slice(2, 12);
  const [delivered, error] = GOOD_STATES.has(STATES[state]) ? ['001', '000'] : ['000', '011'];
  return `id:${id} sub:001 dlvrd:${delivered} submit date:${stamp} done date:${stamp} ` +
    `stat:${STATES[state]} err:${error} text:`;
}

let serials = 0x1000;

class Submit {
  constructor(esme, pdu) {
    this.esme = esme;
    this.pdu = pdu;
    this.serial = ++serials;
    this.id = idOf(this.serial);
  }

  response(fields) {
    stats.accepted++;
    return this.pdu.response({ message_id: this.id, ...fields });
  }

  accept(fields) {
    this.esme.session.send(this.response(fields));
  }

  acceptWithoutBody() {
    const header = this.response().toBuffer().subarray(0, 16);
    header.writeUInt32BE(16, 0);
    this.esme.session.socket.write(header);
  }

  acceptInHalves() {
    const { socket } = this.esme.session;
    const octets = this.response().toBuffer();
    socket.write(octets.subarray(0, 10));
    socket.cork(); // whatever else is written meanwhile stays behind the second half
    socket.write(octets.subarray(10));
    after(SPLIT_MS, () => socket.uncork());
  }

  refuse(status) {
    stats.refused++;
    this.esme.session.send(this.pdu.response({ command_status: status }));
  }

  nack() {
    stats.refused++;
    const { sequence_number } = this.pdu;
    this.esme.session.generic_nack({ command_status: smpp.ESME_RINVCMDID, sequence_number });
  }

  receiptLater({ delayMs = DLR_DELAY_MS, ...options } = {}) {
    if (this.pdu.registered_delivery & 3) after(delayMs, () => this.receipt(options));
  }

  receipt({ id = this.id, state = DELIVRD, text = true, tlvs = true } = {}) {
    stats.receipts++;
    this.deliver({
      esm_class: state === ENROUTE ? 0x20 : 0x04,
      data_coding: 0,
      short_message: Buffer.from(text ? receiptText(id, state) : ''),
      ...(tlvs && { receipted_message_id: id, message_state: state }),
    });
  }

  reply(message) {
    stats.mo++;
    this.deliver(message);
  }

  deliver(message) {
    const { pdu } = this;
    this.esme.account.deliver({
      service_type: pdu.service_type,
      source_addr_ton: pdu.dest_addr_ton,
      source_addr_npi: pdu.dest_addr_npi,
      source_addr: pdu.destination_addr,
      dest_addr_ton: pdu.source_addr_ton,
      dest_addr_npi: pdu.source_addr_npi,
      destination_addr: pdu.source_addr,
      ...message,
    }, this.esme);
  }
}

const behaviourFor = (destination) => behaviours[destination.slice(-4)] || ordinary;

module.exports = { Submit, after, behaviourFor, plain };
