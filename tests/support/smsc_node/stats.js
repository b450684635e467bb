// Counted since the start, as /stats shows them. `second_binds` are those of accounts that were
// bound already; `sessions_max` is how many were bound at once since /forget_max.
'use strict';

module.exports = {
  submits: 0,
  accepted: 0,
  refused: 0,
  receipts: 0,
  mo: 0,
  enquire_links: 0,
  deliver_responses: 0,
  unrecorded: 0,
  second_binds: 0,
  sessions_max: 0,
};
