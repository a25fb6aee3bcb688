import { createSocket } from "node:dgram";
import { createInterface } from "node:readline";
import type { GivenLease } from "./dhcp.ts";

/*
 * A DHCP server (RFC 2131) for a network namespace of its own: `node dhcp-server.ts ADDRESS`, which is its own one. Leases
 * come on its standard input, one in a line, as JSON; who has none is not answered, who asks for another is refused. Says
 * "ready" when it listens.
 */

const [server = ""] = process.argv.slice(2);
const COOKIE = Buffer.from([99, 130, 83, 99]);
const MESSAGE_TYPE = 53;
const DISCOVER = 1;
const OFFER = 2;
const REQUEST = 3;
const ACK = 5;
const NAK = 6;
const BROADCAST = "255.255.255.255";

const ip = (text: string): number[] => text.split(".").map(Number);
const option = (code: number, ...bytes: number[]): number[] => [code, bytes.length, ...bytes];
const word = (n: number): number[] => [24, 16, 8, 0].map((shift) => (n >>> shift) & 255);
const text = (bytes: Buffer): string => [...bytes].join(".");

const leases = new Map<string, GivenLease>();
createInterface({ input: process.stdin }).on("line", (line) => {
  const lease = JSON.parse(line) as GivenLease;
  leases.set(lease.mac ?? "*", lease);
});

/** The value of an option of a request; they begin behind 236 bytes and the cookie. */
function optionOf(message: Buffer, code: number): Buffer | undefined {
  for (let at = 240; at < message.length && message[at] !== 255; ) {
    const length = message[at + 1] ?? 0;
    if (message[at] === code) return message.subarray(at + 2, at + 2 + length);
    at += message[at] === 0 ? 1 : 2 + length;
  }
  return undefined;
}

/** Message type and options of the answer; undefined for none. */
function answer(request: Buffer, { address, router, nameServer, prefix = 24, seconds = 3600 }: GivenLease) {
  const type = optionOf(request, MESSAGE_TYPE)?.[0];
  if (type !== DISCOVER && type !== REQUEST) return undefined;
  const wanted = text(optionOf(request, 50) ?? request.subarray(12, 16));
  if (type === REQUEST && wanted !== address) return { type: NAK, options: [] };
  const mask = word(prefix === 0 ? 0 : -1 << (32 - prefix));
  const options = [
    ...option(51, ...word(seconds)),
    ...option(1, ...mask),
    ...(router === undefined ? [] : option(3, ...ip(router))),
    ...(nameServer === undefined ? [] : option(6, ...ip(nameServer))),
  ];
  return { type: type === DISCOVER ? OFFER : ACK, options };
}

const socket = createSocket("udp4");
socket.on("message", (request) => {
  const mac = request
    .subarray(28, 34)
    .toString("hex")
    .replace(/..(?=.)/g, "$&:");
  const lease = leases.get(mac) ?? leases.get("*");
  const given = lease && answer(request, lease);
  if (!given) return;
  const { type, options } = given;
  const reply = Buffer.alloc(236);
  request.copy(reply, 0, 0, 236); // transaction, flags, client's own and hardware address
  reply[0] = 2; // BOOTREPLY
  Buffer.from(type === NAK ? [0, 0, 0, 0] : ip(lease.address)).copy(reply, 16); // yiaddr
  Buffer.from(ip(server)).copy(reply, 20); // siaddr
  const all = [...option(MESSAGE_TYPE, type), ...option(54, ...ip(server)), ...options, 255];
  const client = text(request.subarray(12, 16));
  const to = type === NAK || client === "0.0.0.0" ? BROADCAST : client;
  socket.send(Buffer.concat([reply, COOKIE, Buffer.from(all)]), 68, to);
});
socket.bind(67, "0.0.0.0", () => {
  socket.setBroadcast(true);
  process.stdout.write("ready\n");
});
