import { createSocket } from "node:dgram";

/*
 * A DHCP server (RFC 2131) with one lease, for a network namespace of its own:
 * `node dhcp-server.ts ADDRESS ROUTER NAMESERVER`. Says "ready" when it listens.
 */

const [address = "", router = "", nameServer = ""] = process.argv.slice(2);
const COOKIE = Buffer.from([99, 130, 83, 99]);
const MESSAGE_TYPE = 53;
const DISCOVER = 1;
const OFFER = 2;
const ACK = 5;

const ip = (text: string): number[] => text.split(".").map(Number);
const option = (code: number, ...bytes: number[]): number[] => [code, bytes.length, ...bytes];

/** The value of an option of a request; they begin behind 236 bytes and the cookie. */
function optionOf(message: Buffer, code: number): Buffer | undefined {
  for (let at = 240; at < message.length && message[at] !== 255; ) {
    const length = message[at + 1] ?? 0;
    if (message[at] === code) return message.subarray(at + 2, at + 2 + length);
    at += message[at] === 0 ? 1 : 2 + length;
  }
  return undefined;
}

const socket = createSocket("udp4");
socket.on("message", (request) => {
  const type = optionOf(request, MESSAGE_TYPE)?.[0];
  const reply = Buffer.alloc(236);
  request.copy(reply, 0, 0, 236); // transaction, flags, client's hardware address
  reply[0] = 2; // BOOTREPLY
  Buffer.from(ip(address)).copy(reply, 16); // yiaddr
  Buffer.from(ip(router)).copy(reply, 20); // siaddr
  const options = [
    ...option(MESSAGE_TYPE, type === DISCOVER ? OFFER : ACK),
    ...option(54, ...ip(router)), // server
    ...option(51, 0, 0, 14, 16), // lease of an hour
    ...option(1, 255, 255, 255, 0),
    ...option(3, ...ip(router)),
    ...option(6, ...ip(nameServer)),
    255,
  ];
  socket.send(Buffer.concat([reply, COOKIE, Buffer.from(options)]), 68, "255.255.255.255");
});
socket.bind(67, "0.0.0.0", () => {
  socket.setBroadcast(true);
  process.stdout.write("ready\n");
});
