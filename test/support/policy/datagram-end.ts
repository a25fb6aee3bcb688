// `datagram-end.ts serve PORT` sends back what it gets, and prints `ready`. `datagram-end.ts ask ADDRESS PORT BYTES` sends one
// datagram, larger than any packet if so many bytes are asked for, and prints what becomes of it: `answered` when all of it is
// back, the name of an error that the kernel was told of by ICMP, or `silence`.
import { createSocket, type SocketType } from "node:dgram";

const [what = "", ...args] = process.argv.slice(2);
const PATIENCE_MS = 600;

function serve(port: number): void {
  const socket = createSocket("udp6");
  socket.on("message", (message, { address, port: from }) => socket.send(message, from, address));
  socket.bind(port, () => process.stdout.write("ready\n"));
}

function ask(address: string, port: number, bytes: number): void {
  const type: SocketType = address.includes(":") ? "udp6" : "udp4";
  const socket = createSocket(type);
  const end = (text: string): never => {
    process.stdout.write(`${text}\n`);
    process.exit();
  };
  socket.on("message", (message) => end(message.length === bytes ? "answered" : `${message.length} bytes came back`));
  socket.on("error", (e: NodeJS.ErrnoException) => end(e.code ?? e.message));
  socket.connect(port, address, () => socket.send(Buffer.alloc(bytes, "x")));
  setTimeout(() => end("silence"), PATIENCE_MS);
}

if (what === "serve") serve(Number(args[0]));
else ask(args[0] ?? "", Number(args[1]), Number(args[2]));
