import { readFileSync } from "node:fs";
import { join } from "node:path";
import { decodeMessages, type NetlinkMessage } from "../../../../../src/dataplane/linux/netlink/nlmsg.ts";

/** A file of a golden/ folder, made by golden/capture.ts beside this file. */
export interface Golden {
  readonly command: string;
  readonly sent: NetlinkMessage;
  readonly received: readonly NetlinkMessage[];
}

/** `folder`: whose golden/, beside this one's. */
export function golden(name: string, folder = "netlink"): Golden {
  const text = readFileSync(join(import.meta.dirname, "..", folder, "golden", `${name}.txt`), "utf8");
  const bytes = (kind: string) =>
    [...text.matchAll(new RegExp(`^${kind} ([0-9a-f]+)$`, "gm"))].map((m) => Buffer.from(m[1] ?? "", "hex"));
  const [request = Buffer.alloc(0)] = bytes("sent");
  // iproute2 sends the whole of a fixed structure for some dumps; the message ends where its header says.
  const [sent] = decodeMessages(request.subarray(0, request.readUInt32LE(0)));
  if (sent === undefined) throw new Error(`${name}: no message was sent`);
  return {
    command: /^# command: (.*?) {3}\(/m.exec(text)?.[1] ?? "",
    sent,
    received: bytes("received").flatMap((b) => decodeMessages(b)),
  };
}
