import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

const SERVER = `
const server = require("net").createServer({ allowHalfOpen: true }, (socket) => {
  const hash = require("crypto").createHash("md5");
  socket.on("data", (chunk) => hash.update(chunk));
  socket.on("end", () => { socket.end(hash.digest("hex")); server.close(); });
}).listen(5201, "::", () => console.log("ready"));`;

const CLIENT = `
const { createHash, randomBytes } = require("crypto");
const [address, mebibytes] = process.argv.slice(1);
const hash = createHash("md5"), block = randomBytes(1 << 20);
const socket = require("net").connect(5201, address);
let left = Number(mebibytes), answer = "";
const write = () => {
  while (left-- > 0) { hash.update(block); if (!socket.write(block)) return socket.once("drain", write); }
  socket.end();
};
write();
socket.on("data", (chunk) => (answer += chunk));
socket.on("close", () => console.log(answer === hash.digest("hex")));`;

const start = (netns: string, code: string, ...args: readonly string[]): ChildProcess =>
  spawn("ip", ["netns", "exec", netns, process.execPath, "-e", code, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
    timeout: 30_000,
  });

/** Sends noise by TCP between two namespaces, as fast as it goes. Whether all of it has arrived as it was sent. */
export async function transfer(from: string, to: string, address: string, mebibytes: number): Promise<boolean> {
  const server = start(to, SERVER);
  await once(server.stdout ?? server, "data");
  const client = start(from, CLIENT, address, String(mebibytes));
  let said = "";
  client.stdout?.on("data", (chunk: Buffer) => (said += chunk.toString()));
  const served = once(server, "close");
  await once(client, "close");
  if (server.exitCode === null) server.kill();
  await served;
  return said.trim() === "true";
}
