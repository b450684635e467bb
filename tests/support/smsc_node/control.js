// The control API: what a test may ask of the SMSC while it runs.
'use strict';

const http = require('http');
const { esmes } = require('./accounts');
const { plain } = require('./behaviours');
const seen = require('./seen');
const stats = require('./stats');

function mo(query) {
  const message = query.has('hex')
    ? { data_coding: 0, short_message: Buffer.from(query.get('hex'), 'hex') }
    : plain(query.get('text') || '');
  for (const field of ['data_coding', 'esm_class']) {
    if (query.has(field)) message[field] = Number(query.get(field));
  }
  for (const esme of esmes) {
    if (!esme.receives) continue;
    stats.mo++;
    esme.deliver({ source_addr: query.get('from'), destination_addr: query.get('to'), ...message });
  }
}

// `switches` are what a test turns on and off: {muted, bindStatus}.
const controlsOf = (switches) => ({
  '/stats': () => {},
  '/seen': (query) => query.has('summary') ? seen.summary() : seen.entries(query.get('to')),
  '/drop': () => esmes.forEach((esme) => esme.cut()),
  '/unbind': () => esmes.forEach((esme) => esme.unbind()),
  '/mute': (query) => { switches.muted = query.get('on') !== '0'; },
  '/refuse_bind': (query) => { switches.bindStatus = Number(query.get('status')); },
  '/mo': mo,
  '/forget_max': () => { stats.sessions_max = esmes.size; },
});

function createControl(switches) {
  const controls = controlsOf(switches);
  return http.createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://control');
    const act = controls[pathname];
    const answer = act && act(searchParams);
    response.statusCode = act ? 200 : 404;
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(answer || { ...stats, sessions: esmes.size }) + '\n');
  });
}

module.exports = { createControl };
