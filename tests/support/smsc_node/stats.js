// Counted since the start, as /stats shows them.
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
};
