// A load generator for HTTP/1.1 on keep-alive connections: node load.js JOB.json
// The job: {port, connections, seconds, requests: [text, …]}; every connection sends its requests round
// robin, one at a time. "@ID@" in a request becomes a number of eight digits, another each time.
// Prints one line of JSON: requests per second, statuses, latency percentiles in ms.
'use strict';
const net = require('net');
const job = JSON.parse(require('fs').readFileSync(process.argv[2], 'utf8'));
const statuses = {};
const latencies = [];
let sent = 0;
let stopping = false;
let open = 0;
const started = process.hrtime.bigint();

function connect(index) {
  const socket = net.connect(job.port, '127.0.0.1');
  socket.setNoDelay(true);
  open += 1;
  let begun = 0n;
  let answer = '';
  const send = () => {
    if (stopping) return socket.end();
    const request = job.requests[(index + sent) % job.requests.length];
    sent += 1;
    begun = process.hrtime.bigint();
    socket.write(request.replaceAll('@ID@', String(10000000 + sent)));
  };
  socket.on('connect', send);
  socket.on('data', (chunk) => {
    answer += chunk.toString('latin1');
    const head = answer.indexOf('\r\n\r\n');
    if (head < 0) return;
    const length = /content-length: *(\d+)/i.exec(answer.slice(0, head));
    if (!length || answer.length < head + 4 + Number(length[1])) return;
    const status = answer.slice(9, 12);
    statuses[status] = (statuses[status] || 0) + 1;
    latencies.push(Number(process.hrtime.bigint() - begun) / 1e6);
    answer = '';
    send();
  });
  socket.on('error', () => { statuses.error = (statuses.error || 0) + 1; });
  socket.on('close', () => { open -= 1; if (open === 0) report(); });
}

function report() {
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  latencies.sort((a, b) => a - b);
  const at = (share) => latencies[Math.floor((latencies.length - 1) * share)] || 0;
  console.log(JSON.stringify({ per_second: latencies.length / seconds, statuses, p50_ms: at(0.5), p99_ms: at(0.99) }));
  process.exit(0);
}

for (let i = 0; i < job.connections; i += 1) connect(i);
setTimeout(() => { stopping = true; }, job.seconds * 1000);
setTimeout(report, job.seconds * 1000 + 10000);
