import { spawn } from "node:child_process";
import { once } from "node:events";

const SERVE = `
import socket, sys
listener = socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
connection, _ = listener.accept()
total = 0
while data := connection.recv(1 << 16): total += len(data)
print(total, flush=True)
`;
const SEND = `
import socket, sys
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)
connection.sendall(bytes(int(sys.argv[3])))
connection.shutdown(socket.SHUT_WR)
connection.recv(1)
`;
let nextPort = 7200;

/**
 * Sends so many bytes by one TCP connection between two namespaces under /run/netns, as fast as it goes; what arrives, within
 * 20 s.
 */
export async function sendBulk(from: string, to: string, address: string, bytes: number): Promise<number> {
  const port = String(nextPort++);
  const python = (netns: string, program: string, ...args: string[]) =>
    spawn("ip", ["netns", "exec", netns, "timeout", "20", "python3", "-c", program, ...args], {
      stdio: ["ignore", "pipe", "inherit"],
    });
  const server = python(to, SERVE, port);
  let output = "";
  server.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const ended = once(server, "close");
  await once(server.stdout, "data");
  const client = python(from, SEND, address, port, String(bytes));
  await Promise.all([ended, once(client, "close")]);
  return Number(output.split("\n")[1] ?? 0);
}
