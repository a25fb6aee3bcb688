import { describe, expect, it } from "vitest";
import { Writer } from "../../../../../src/base/bytes/writer.ts";
import { AttrWriter } from "../../../../../src/dataplane/linux/netlink/attr.ts";
import {
  isBusy,
  isExists,
  isNotFound,
  isNotSupported,
  NetlinkError,
  NetlinkSocketError,
} from "../../../../../src/dataplane/linux/netlink/errors.ts";
import {
  decodeBatch,
  decodeDump,
  encodeBatch,
  encodeDump,
  seqAfter,
} from "../../../../../src/dataplane/linux/netlink/exchange.ts";
import { encodeLink, LinkMsg } from "../../../../../src/dataplane/linux/netlink/link.ts";
import { linkAdd, linkDelete, linkDump, linkGet } from "../../../../../src/dataplane/linux/netlink/link-requests.ts";
import { decodeMessages, encodeMessage, NlmFlag, NlmType } from "../../../../../src/dataplane/linux/netlink/nlmsg.ts";
import { routeAdd } from "../../../../../src/dataplane/linux/netlink/route-requests.ts";

interface Ack {
  readonly seq: number;
  readonly errno?: number;
  readonly text?: string;
  readonly offset?: number;
  readonly missing?: { readonly type: number; readonly nest?: number };
}

/** An NLMSG_ERROR as the kernel writes it with NETLINK_CAP_ACK and NETLINK_EXT_ACK. */
function putAck(w: Writer, ack: Ack): void {
  const body = new Writer();
  body.i32(-(ack.errno ?? 0)).zeros(16);
  const a = new AttrWriter(body);
  a.string(1, ack.text).u32(2, ack.offset).u32(5, ack.missing?.type).u32(6, ack.missing?.nest);
  const tlvs = ack.text !== undefined || ack.offset !== undefined || ack.missing !== undefined;
  const flags = NlmFlag.CAPPED | (tlvs ? NlmFlag.ACK_TLVS : 0);
  encodeMessage(w, { type: NlmType.ERROR, flags, seq: ack.seq, body: body.finish() });
}

function acks(...list: Ack[]): Uint8Array {
  const w = new Writer();
  for (const ack of list) putAck(w, ack);
  return w.finish();
}

const request = linkDelete({ name: "hd0" });

function errorOf(outcome: { ok: boolean; error?: Error } | undefined): Error {
  if (outcome?.error === undefined) throw new Error("no error");
  return outcome.error;
}

describe("a batch of requests", () => {
  it("is one datagram with consecutive sequence numbers, each to be acknowledged", () => {
    const messages = decodeMessages(encodeBatch([request, linkDelete({ index: 7 }), request], 41));
    expect(messages.map((m) => m.seq)).toEqual([41, 42, 43]);
    for (const m of messages) expect(m.flags & (NlmFlag.REQUEST | NlmFlag.ACK)).toBe(NlmFlag.REQUEST | NlmFlag.ACK);
  });

  it("gives each request its own outcome, whatever the order of the answers", () => {
    const outcomes = decodeBatch([request, request, request], 5, acks({ seq: 7 }, { seq: 6, errno: 19 }, { seq: 5 }));
    expect(outcomes.map((o) => o.ok)).toEqual([true, false, true]);
    expect(errorOf(outcomes[1]).message).toBe("delete link hd0: ENODEV: No such device");
  });

  it("passes what was echoed to the request that it belongs to", () => {
    const w = new Writer();
    encodeMessage(w, { type: LinkMsg.NEW, flags: 0, seq: 9, body: encodeLink({ index: 12, name: "hd0" }) });
    putAck(w, { seq: 9 });
    putAck(w, { seq: 10 });
    const outcomes = decodeBatch([linkGet({ name: "hd0" }), request], 9, w.finish());
    expect(outcomes).toMatchObject([
      { ok: true, value: { index: 12, name: "hd0" } },
      { ok: true, value: undefined },
    ]);
  });

  it("ignores late answers to an earlier batch", () => {
    expect(decodeBatch([request], 5, acks({ seq: 4, errno: 17 }, { seq: 5 }))).toEqual([
      { ok: true, value: undefined },
    ]);
  });

  it("says of a request without acknowledgement that its effect is not known", () => {
    const [first, second] = decodeBatch([request, request], 5, acks({ seq: 5 }));
    expect(first?.ok).toBe(true);
    expect(errorOf(second)).toBeInstanceOf(NetlinkSocketError);
    expect(errorOf(second)).toMatchObject({ code: "NO_ANSWER" });
  });

  it("says of answers that are cut off that nothing is known", () => {
    const answers = acks({ seq: 5 });
    for (let length = 1; length < answers.length; length++) {
      const [outcome] = decodeBatch([request], 5, answers.subarray(0, length));
      expect(errorOf(outcome)).toBeInstanceOf(NetlinkSocketError);
    }
  });

  it("numbers on past 32 bits without using 0", () => {
    expect(seqAfter(0xffff_ffff, 1)).toBe(1);
    expect(decodeMessages(encodeBatch([request, request], 0xffff_ffff)).map((m) => m.seq)).toEqual([0xffff_ffff, 1]);
    expect(decodeBatch([request, request], 0xffff_ffff, acks({ seq: 1 }, { seq: 0xffff_ffff }))).toMatchObject([
      { ok: true },
      { ok: true },
    ]);
  });
});

describe("the kernel's refusal", () => {
  const vxlan = linkAdd({ name: "hdv", info: { kind: "vxlan", vxlan: { id: 1 << 25, port: 4789 } } });

  it("is the request in words, the errno's name and text, the kernel's explanation and where it points", () => {
    // 16 netlink header + 16 ifinfomsg + 8 IFLA_IFNAME + 4 IFLA_LINKINFO + 12 KIND + 4 DATA
    const [outcome] = decodeBatch([vxlan], 1, acks({ seq: 1, errno: 34, text: "VXLAN ID must be lower", offset: 60 }));
    const error = errorOf(outcome);
    expect(error.message).toBe(
      "create vxlan hdv (id 33554432, port 4789): ERANGE: Numerical result out of range: VXLAN ID must be lower " +
        "(IFLA_LINKINFO.IFLA_INFO_DATA.IFLA_VXLAN_ID)",
    );
    expect(error).toMatchObject({ code: "ERANGE", errno: 34, attribute: "IFLA_LINKINFO.IFLA_INFO_DATA.IFLA_VXLAN_ID" });
  });

  it.each([
    ["inside a fixed header", 20, undefined],
    ["at the first attribute", 32, "IFLA_IFNAME"],
    ["behind the end", 4000, undefined],
    ["in the netlink header", 3, undefined],
  ])("names the attribute at an offset, where there is one: %s", (_, offset, attribute) => {
    const [outcome] = decodeBatch([vxlan], 1, acks({ seq: 1, errno: 22, offset }));
    expect(errorOf(outcome)).toMatchObject({ code: "EINVAL", attribute });
  });

  it("names what is missing, and in which nest", () => {
    const [top] = decodeBatch([vxlan], 1, acks({ seq: 1, errno: 22, missing: { type: 4 } }));
    expect(errorOf(top)).toMatchObject({ attribute: "IFLA_MTU is missing" });
    const [nested] = decodeBatch([vxlan], 1, acks({ seq: 1, errno: 22, missing: { type: 2, nest: 40 } }));
    expect(errorOf(nested)).toMatchObject({ attribute: "IFLA_LINKINFO.IFLA_INFO_DATA is missing" });
  });

  it("says where it happened", () => {
    const [outcome] = decodeBatch([request], 1, acks({ seq: 1, errno: 17 }), " [/run/netns/hd1]");
    expect(errorOf(outcome).message).toBe("delete link hd0 [/run/netns/hd1]: EEXIST: File exists");
  });

  it.each([
    [17, "EEXIST", isExists],
    [2, "ENOENT", isNotFound],
    [3, "ESRCH", isNotFound],
    [19, "ENODEV", isNotFound],
    [99, "EADDRNOTAVAIL", isNotFound],
    [95, "EOPNOTSUPP", isNotSupported],
    [16, "EBUSY", isBusy],
  ])("is told by a predicate, not by its text: %d %s", (errno, code, is) => {
    const error = new NetlinkError("x", errno);
    expect(error.code).toBe(code);
    for (const predicate of [isExists, isNotFound, isNotSupported, isBusy]) {
      expect(predicate(error)).toBe(predicate === is);
      expect(predicate(new Error(code))).toBe(false);
    }
  });

  it("of an errno that nobody knows has its number", () => {
    expect(new NetlinkError("do it", 4000).message).toBe("do it: errno 4000: Unknown error");
  });

  it("names the RTA_METRICS' part that is wrong", () => {
    const route = routeAdd({ dst: "10.0.0.0/8", oif: 1, metrics: { mtu: 10 } });
    // 16 + 12 + 8 RTA_DST + 4 RTA_METRICS
    const [outcome] = decodeBatch([route], 1, acks({ seq: 1, errno: 22, offset: 40 }));
    expect(errorOf(outcome)).toMatchObject({ attribute: "RTA_METRICS.RTAX_MTU" });
  });
});

describe("a dump", () => {
  const dump = linkDump();

  function answer(
    seq: number,
    options: { interrupted?: boolean; done?: number | undefined } = { done: 0 },
  ): Uint8Array {
    const w = new Writer();
    const flags = NlmFlag.MULTI | (options.interrupted ? NlmFlag.DUMP_INTR : 0);
    for (const index of [1, 2]) {
      encodeMessage(w, { type: LinkMsg.NEW, flags, seq, body: encodeLink({ index, name: `hd${index}` }) });
    }
    if (options.done !== undefined) {
      encodeMessage(w, { type: NlmType.DONE, flags, seq, body: new Writer().i32(-options.done).finish() });
    }
    return w.finish();
  }

  it("asks for all objects in a datagram of its own", () => {
    const [message] = decodeMessages(encodeDump(dump, 3));
    expect(message).toMatchObject({ type: LinkMsg.GET, flags: NlmFlag.REQUEST | NlmFlag.DUMP, seq: 3 });
  });

  it("is the objects up to its end, without those of others", async () => {
    const w = new Writer();
    w.bytes(answer(2)).bytes(answer(3)).bytes(answer(4));
    expect((await decodeDump(dump, 3, w.finish()))?.map((link) => link.name)).toEqual(["hd1", "hd2"]);
  });

  it("is not used when the state changed meanwhile", async () => {
    expect(await decodeDump(dump, 3, answer(3, { interrupted: true, done: 0 }))).toBeUndefined();
  });

  it("fails with the error at its end", async () => {
    await expect(decodeDump(dump, 3, answer(3, { done: 95 }))).rejects.toThrow("read all links: EOPNOTSUPP");
  });

  it("fails with the refusal in its place", async () => {
    const refusal = acks({ seq: 3, errno: 22, text: "Invalid values in header for link dump request" });
    await expect(decodeDump(dump, 3, refusal)).rejects.toThrow(NetlinkError);
  });

  it("that does not end is an error", async () => {
    await expect(decodeDump(dump, 3, answer(3, { done: undefined }))).rejects.toThrow("the dump did not end");
  });

  it("that is cut off is an error that says so", async () => {
    const whole = answer(3);
    for (let length = 1; length < whole.length; length++) {
      await expect(decodeDump(dump, 3, whole.subarray(0, length))).rejects.toBeInstanceOf(NetlinkSocketError);
    }
  });

  it("leaves the event loop its turns, however many objects it has", async () => {
    const w = new Writer();
    for (let i = 0; i < 20; i++) w.bytes(answer(3, { done: undefined }));
    const body = encodeLink({ index: 1, name: "hd1" });
    for (let i = 0; i < 2000; i++) encodeMessage(w, { type: LinkMsg.NEW, flags: NlmFlag.MULTI, seq: 3, body });
    w.bytes(answer(3));
    let turns = 0;
    let done = false;
    const count = (): void => {
      turns++;
      if (!done) setImmediate(count);
    };
    setImmediate(count);
    expect(await decodeDump(dump, 3, w.finish())).toHaveLength(2042);
    done = true;
    expect(turns).toBeGreaterThanOrEqual(4);
  });
});
