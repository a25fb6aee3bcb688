import { type ChildProcess, spawn } from "node:child_process";
import { inNetns } from "../../../src/lab/net/ip.ts";

/**
 * SCTP without the kernel's SCTP: raw sockets. `listen` prints the first INIT that comes in for a port, answers it with an
 * INIT ACK from the address that was asked, and ends; `connect` sends an INIT and prints what comes back. One line of JSON
 * each. A chunk's checksum is CRC-32C (RFC 9260, section 6.8 and appendix A); conntrack drops packets whose is wrong.
 */
const SCRIPT = `
import json, socket, struct, sys
role, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
v6 = ":" in address
INIT, INIT_ACK = 1, 2

def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff

def packet(sport, dport, vtag, kind, itag):
    cookie = struct.pack("!HHI", 7, 8, 0x68656464) if kind == INIT_ACK else b""
    chunk = struct.pack("!BBHIIHHI", kind, 0, 20 + len(cookie), itag, 65535, 1, 1, 1) + cookie
    head = struct.pack("!HHI", sport, dport, vtag)
    return head + struct.pack("<I", crc32c(head + b"\\0\\0\\0\\0" + chunk)) + chunk

def receive(s, kind, port):
    while True:
        data, peer = s.recvfrom(2048)
        data = data if v6 else data[(data[0] & 15) * 4:]
        sport, dport, vtag = struct.unpack("!HHI", data[:8])
        if data[12] == kind and dport == port:
            good = struct.pack("<I", crc32c(data[:8] + b"\\0\\0\\0\\0" + data[12:])) == data[8:12]
            return peer[0], sport, vtag, struct.unpack("!I", data[16:20])[0], good

s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_RAW, 132)
s.settimeout(5)
if role == "listen":
    s.bind((address, 0))
    print("ready", flush=True)
    peer, sport, vtag, itag, good = receive(s, INIT, port)
    s.sendto(packet(port, sport, itag, INIT_ACK, 0x2222), (peer, 0))
else:
    s.sendto(packet(40132, port, 0, INIT, 0x1111), (address, 0))
    peer, sport, vtag, itag, good = receive(s, INIT_ACK, 40132)
print(json.dumps({"from": peer, "port": sport, "checksum": good}), flush=True)
`;

/** A packet as it arrived: the sender's address and port. */
export interface SctpSeen {
  readonly from: string;
  readonly port: number;
  readonly checksum: boolean;
}

function run(netns: string, ...args: readonly string[]): { child: ChildProcess; lines: AsyncIterator<string> } {
  const [file = "", ...rest] = [...inNetns(netns), "python3", "-c", SCRIPT, ...args];
  const child = spawn(file, rest, { stdio: ["ignore", "pipe", "inherit"] });
  async function* lines(): AsyncGenerator<string> {
    let text = "";
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
      text += chunk.toString();
      for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n")) {
        yield text.slice(0, at);
        text = text.slice(at + 1);
      }
    }
  }
  return { child, lines: lines() };
}

async function line(lines: AsyncIterator<string>, what: string): Promise<string> {
  const next = await lines.next();
  if (next.done === true) throw new Error(`SCTP: ${what} did not come`);
  return next.value;
}

/**
 * INIT from one namespace to `to`, INIT ACK back from another one that listens on `at`. Resolves with what both ends have
 * seen. @throws Error when one of them did not arrive.
 */
export async function sctpExchange(
  client: string,
  to: { readonly address: string; readonly port: number },
  server: string,
  at: { readonly address: string; readonly port: number },
): Promise<{ readonly init: SctpSeen; readonly ack: SctpSeen }> {
  const listener = run(server, "listen", at.address, String(at.port));
  try {
    await line(listener.lines, "the listener");
    const caller = run(client, "connect", to.address, String(to.port));
    try {
      const init = JSON.parse(await line(listener.lines, "the INIT")) as SctpSeen;
      const ack = JSON.parse(await line(caller.lines, "the INIT ACK")) as SctpSeen;
      return { init, ack };
    } finally {
      caller.child.kill("SIGKILL");
    }
  } finally {
    listener.child.kill("SIGKILL");
  }
}
