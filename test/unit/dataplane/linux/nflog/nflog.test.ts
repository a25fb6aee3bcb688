import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Writer } from "../../../../../src/base/bytes/writer.ts";
import { HeddleError } from "../../../../../src/base/errors/errors.ts";
import { AttrWriter } from "../../../../../src/dataplane/linux/netlink/attr.ts";
import { encodeMessage } from "../../../../../src/dataplane/linux/netlink/nlmsg.ts";
import type { LogListener } from "../../../../../src/dataplane/linux/nflog/follower.ts";
import { decodePackets } from "../../../../../src/dataplane/linux/nflog/follower.ts";
import { parseHeaders } from "../../../../../src/dataplane/linux/nflog/headers.ts";
import { bindGroup, LogMsg } from "../../../../../src/dataplane/linux/nflog/messages.ts";
import { DeniedPacketLog, deniedPacket } from "../../../../../src/dataplane/linux/policy/denied-packets.ts";

const hex = (text: string): Uint8Array => Buffer.from(text.replaceAll(/\s/g, ""), "hex");

// RFC 791 and RFC 8200, written by hand: 10.0.0.1 to 10.0.0.2, fd00::1 to fd00::2.
const ADDRESSES4 = "0a000001 0a000002";
const ADDRESSES6 = "fd000000000000000000000000000001 fd000000000000000000000000000002";
const TCP = "d431 0050 00000000 00000000 5002";
const UDP = "d431 0035 0008 0000";

describe("headers of a packet", () => {
  it.each<readonly [what: string, packet: string, protocol: number, ports: readonly [number, number] | undefined]>([
    ["TCP on IPv4", `45000028 00004000 40060000 ${ADDRESSES4} ${TCP}`, 6, [54_321, 80]],
    ["UDP behind options of IPv4", `4600001c 00000000 40110000 ${ADDRESSES4} 01010101 ${UDP}`, 17, [54_321, 53]],
    ["ICMP", `4500001c 00000000 40010000 ${ADDRESSES4} 0800 0000`, 1, undefined],
    ["the first fragment", `4500001c 00002000 40110000 ${ADDRESSES4} ${UDP}`, 17, [54_321, 53]],
    ["another fragment", `4500001c 00002001 40110000 ${ADDRESSES4} ${UDP}`, 17, undefined],
    ["SCTP on IPv6", `60000000 000c8440 ${ADDRESSES6} d431 0050 00000000`, 132, [54_321, 80]],
    [
      "UDP behind hop-by-hop and destination options of IPv6",
      `60000000 00200040 ${ADDRESSES6} 3c00 050200000100 1101 01040000000001020000000000 00 ${UDP}`,
      17,
      [54_321, 53],
    ],
    [
      "UDP behind an authentication header",
      `60000000 00143340 ${ADDRESSES6} 1101 000000000001 00000001 ${UDP}`,
      17,
      [54_321, 53],
    ],
    ["the first fragment of IPv6", `60000000 00102c40 ${ADDRESSES6} 1100 0001 00000001 ${UDP}`, 17, [54_321, 53]],
    ["another fragment of IPv6", `60000000 00102c40 ${ADDRESSES6} 1100 0009 00000001 ${UDP}`, 17, undefined],
  ])("%s", (_what, packet, protocol, ports) => {
    const [source, destination] = packet.startsWith("4") ? ["10.0.0.1", "10.0.0.2"] : ["fd00::1", "fd00::2"];
    expect(parseHeaders(hex(packet))).toEqual({
      source,
      destination,
      protocol,
      ...(ports ? { sourcePort: ports[0], destinationPort: ports[1] } : {}),
    });
  });

  it("of something else are none", () => {
    expect(parseHeaders(hex("00"))).toBeUndefined();
  });

  it("are never read beyond the packet, whatever is in it", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 128 }), fc.constantFrom(0x45, 0x4f, 0x41, 0x60), (bytes, first) => {
        if (bytes.length > 0) bytes[0] = first;
        try {
          parseHeaders(bytes);
        } catch (e) {
          expect((e as HeddleError).code).toBe("TRUNCATED");
        }
      }),
    );
  });
});

function logged(prefix: string, payload: Uint8Array): Uint8Array {
  const body = new Writer();
  body.u32(0);
  new AttrWriter(body).u32be(4, 7).bytes(9, payload).string(10, prefix);
  const w = new Writer();
  encodeMessage(w, { type: LogMsg.PACKET, flags: 0, seq: 0, body: body.finish() });
  return w.finish();
}

const PING = hex(`4500001c 00000000 40010000 ${ADDRESSES4} 0800 0000`);

describe("messages of nfnetlink_log", () => {
  it("tell packets with the prefix of their rule", () => {
    const { packets, lost } = decodePackets(Buffer.concat([logged("egress", PING), logged("ingress", PING)]));
    expect(lost).toBe(false);
    expect(packets.map(deniedPacket)).toEqual([
      { direction: "egress", source: "10.0.0.1", destination: "10.0.0.2", protocol: 1 },
      { direction: "ingress", source: "10.0.0.1", destination: "10.0.0.2", protocol: 1 },
    ]);
  });

  it("of other rules, or of packets that end in their headers, are passed over", () => {
    const { packets } = decodePackets(Buffer.concat([logged("other", PING), logged("egress", PING.slice(0, 13))]));
    expect(packets.map(deniedPacket)).toEqual([undefined, undefined]);
  });

  it("that are cut off cost what is in them, and say so", () => {
    const whole = logged("egress", PING);
    for (let length = 1; length < whole.length; length++) {
      expect(decodePackets(whole.slice(0, length))).toMatchObject({ lost: true });
    }
  });

  it("bind a group, with so many bytes of each packet", () => {
    // By hand from linux/netfilter/nfnetlink_log.h: struct nfgenmsg, NFULA_CFG_CMD, _MODE (with padding), _TIMEOUT.
    expect(Buffer.from(bindGroup(18_500, 128).body)).toEqual(
      Buffer.from(hex("00004844 0500010001000000 0a000200000000800200 0000 080004000000000a")),
    );
  });
});

describe("the log of denied packets", () => {
  const options = { group: 7, perSecond: 10 };

  it("hands on what the kernel tells of", async () => {
    let listener: LogListener | undefined;
    const log = await DeniedPacketLog.open(options, (_group, _bytes, l) => {
      listener = l;
      return Promise.resolve({ close: () => {} });
    });
    const heard: unknown[] = [];
    log.follow((packets) => heard.push(...packets));
    listener?.packets([{ prefix: "egress", payload: PING }]);
    expect(heard).toHaveLength(1);
    expect([log.told, log.problem]).toEqual([options, undefined]);
  });

  it("is none where the group cannot be had, and says why: no rule may log then", async () => {
    const log = await DeniedPacketLog.open(options, () => Promise.reject(new HeddleError("EPERM", "another has it")));
    expect(log.told).toBeUndefined();
    expect(log.problem).toBe("denied packets are not logged: another has it");
  });
});
