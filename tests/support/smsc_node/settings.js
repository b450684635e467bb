// What the environment sets; times in milliseconds.
'use strict';

const env = process.env;
const number = (name, otherwise) => Number(env[name] || otherwise);

module.exports = {
  HOST: env.HOST || '127.0.0.1',
  PORT: number('PORT', 2775),
  CTRL_PORT: number('CTRL_PORT', 0),
  SYSTEM_ID: env.SYSTEM_ID,
  PASSWORD: env.PASSWORD,
  MAX_BINDS: number('MAX_BINDS', 0) || Infinity,
  TLS_CERT: env.TLS_CERT,
  TLS_KEY: env.TLS_KEY,
  DLR_DELAY_MS: number('DLR_DELAY_MS', 50),
  RESP_DELAY_MS: number('RESP_DELAY_MS', 0),
  SLOW_MS: number('SLOW_MS', 3000),
  SPLIT_MS: number('SPLIT_MS', 7000),
  RETRY_MS: number('RETRY_MS', 1000),
  ENQUIRE_MS: number('ENQUIRE_MS', 0),
  TPS: number('TPS', 0),
  ID_MODE: env.ID_MODE || 'hex',
  QUIET: Boolean(env.QUIET),
  SEEN_MAX: env.SEEN === '0' ? 0 : 200000,
  HELD_MAX: env.KEEP === '0' ? 0 : 200000,
};
