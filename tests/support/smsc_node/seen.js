// Every submit_sm that arrived, up to a bound.
'use strict';

const smpp = require('smpp');
const { SEEN_MAX } = require('./settings');
const stats = require('./stats');

// The octets of a text are what tests compare, so the engine must not decode them.
delete smpp.commands.submit_sm.params.short_message.filter;
delete smpp.tlvs.message_payload.filter;

const seen = [];

function record(esme, pdu) {
  if (seen.length >= SEEN_MAX) {
    stats.unrecorded++;
    return;
  }
  seen.push({
    destination: pdu.destination_addr,
    destination_ton: pdu.dest_addr_ton,
    destination_npi: pdu.dest_addr_npi,
    source: pdu.source_addr,
    source_ton: pdu.source_addr_ton,
    source_npi: pdu.source_addr_npi,
    sequence: pdu.sequence_number,
    short_message: pdu.short_message.toString('hex'),
    data_coding: pdu.data_coding,
    esm_class: pdu.esm_class,
    registered_delivery: pdu.registered_delivery,
    tlvs: tlvsOf(pdu),
    time_ms: Date.now(),
    session: esme.number,
  });
}

// By name, or by tag in decimal when the engine knows no name; octets as hex.
function tlvsOf(pdu) {
  const tlvs = {};
  for (const key of Object.keys(pdu)) {
    if (!(key in smpp.tlvs) && !/^\d/.test(key)) continue;
    tlvs[key] = Buffer.isBuffer(pdu[key]) ? pdu[key].toString('hex') : pdu[key];
  }
  return tlvs;
}

// All of them, or those for one destination.
function entries(destination) {
  return destination ? seen.filter((entry) => entry.destination === destination) : seen;
}

function summary() {
  const counts = {};
  for (const { destination } of seen) counts[destination] = (counts[destination] || 0) + 1;
  return counts;
}

module.exports = { record, entries, summary };
