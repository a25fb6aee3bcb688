// One end of a TCP connection that is kept: `flow-end.ts serve PORT` sends back what it gets; `flow-end.ts send ADDRESS
// PORT` sends a numbered line every 20 ms, and prints the number of each that came back.
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

if (what === "serve") serve(Number(args[0]));
else send(args[0] ?? "", Number(args[1]));
