// One end of a TCP connection that is kept: `flow-end.ts serve PORT` sends back what it gets; `flow-end.ts send ADDRESS
// PORT` sends a numbered line every 20 ms, and prints the number of each that came back. Of datagrams: `flow-end.ts push PORT`
// sends numbers to whoever has sent it something, every 20 ms; `flow-end.ts hear ADDRESS PORT` sends one datagram, and prints
// the numbers that come; `hear-all` complains when one is missing.
import { createSocket } from "node:dgram";
import { connect, createServer } from "node:net";

const [what = "", ...args] = process.argv.slice(2);
const EVERY_MS = 20;

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function serve(port: number): void {
  createServer((socket) => {
    socket.setNoDelay(true).pipe(socket);
    socket.on("error", (e) => say(`error ${e.message}`));
  }).listen(port, "::", () => say("ready"));
}

function send(address: string, port: number): void {
  const socket = connect(port, address).setNoDelay(true);
  socket.on("connect", () => {
    say("ready");
    let next = 0;
    setInterval(() => socket.write(`${next++}\n`), EVERY_MS);
  });
  let text = "";
  let expected = 0;
  socket.setEncoding("utf8").on("data", (chunk: string) => {
    const lines = (text + chunk).split("\n");
    text = lines.pop() ?? "";
    for (const line of lines) {
      if (Number(line) !== expected) say(`error ${line} came back where ${expected} was expected`);
      say(String(expected++));
    }
  });
  socket.on("error", (e) => say(`error ${e.message}`));
  socket.on("close", () => say("error it was closed"));
}

function push(port: number): void {
  const socket = createSocket("udp6");
  socket.once("message", (_data, from) => {
    let next = 0;
    setInterval(() => socket.send(String(next++), from.port, from.address), EVERY_MS);
  });
  socket.bind(port, "::", () => say("ready"));
}

function hear(address: string, port: number, all: boolean): void {
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
  let expected = 0;
  socket.on("message", (data) => {
    if (expected === 0) say("ready");
    if (all && Number(data) !== expected) say(`error ${String(data)} came where ${expected} was expected`);
    expected = Number(data) + 1;
    say(String(data));
  });
  socket.send("begin", port, address);
}

const [first = "", second] = args;
if (what === "serve") serve(Number(first));
else if (what === "push") push(Number(first));
else if (what === "hear" || what === "hear-all") hear(first, Number(second), what === "hear-all");
else send(first, Number(second));
