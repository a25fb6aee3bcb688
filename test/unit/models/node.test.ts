import { describe, expect, it } from "vitest";
import { parseIp } from "../../../src/base/ip/address.ts";
import { parseMac } from "../../../src/base/ip/mac.ts";
import {
  decodeNodeId,
  decodeNodeInfo,
  decodeNodeName,
  encodeNodeId,
  encodeNodeInfo,
  encodeNodeName,
  type NodeInfo,
  nodeIdKey,
  nodeInfoKey,
  nodeNameKey,
  parseNodeKey,
} from "../../../src/models/node.ts";
import { ModelError } from "../../../src/models/versioned-json.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (value: Uint8Array): string => new TextDecoder().decode(value);

const info: NodeInfo = {
  name: "n1",
  id: 7,
  underlayIps: [parseIp("192.168.0.7"), parseIp("fd00::7")],
  podCIDRs: ["10.244.7.0/24", "fd10:244:0:7::/64"],
  vtepMac: parseMac("12:2b:00:00:00:07"),
  overlay: "vxlan",
  version: "0.1.0",
  uid: "6d3b",
};
const KEY = "/heddle/nodes/info/n1";
/** The stored form with some members replaced. */
const stored = (change: Record<string, unknown>): Uint8Array =>
  bytes(JSON.stringify({ ...JSON.parse(text(encodeNodeInfo(info))), ...change }));

describe("keys", () => {
  it("are parsed as they are built", () => {
    expect(parseNodeKey(nodeIdKey(7))).toEqual({ kind: "id", id: 7 });
    expect(parseNodeKey(nodeNameKey("n1.example"))).toEqual({ kind: "name", name: "n1.example" });
    expect(parseNodeKey(nodeInfoKey("n1"))).toEqual({ kind: "info", name: "n1" });
    expect(nodeInfoKey("n1")).toBe(KEY);
  });

  it.each([
    "/heddle/nodes/ids/0",
    "/heddle/nodes/ids/01",
    "/heddle/nodes/ids/x",
    "/heddle/nodes/ids/",
    "/heddle/nodes/ids/1/2",
    "/heddle/nodes/info/",
    "/heddle/nodes/info/a/b",
    "/heddle/nodes/names/..",
    "/heddle/nodes/",
    "/heddle/nodes/x/n1",
  ])("that mean nothing are refused by name: %s", (key) => {
    expect(() => parseNodeKey(key)).toThrow(`${key}: unknown key`);
  });

  it.each(["", "a/b", "..", "-a", "a b", "ä", "a".repeat(254)])("can't be built for %j", (name) => {
    expect(() => nodeInfoKey(name)).toThrow(ModelError);
    expect(() => nodeNameKey(name)).toThrow(`${JSON.stringify(name)} can't be a node's name`);
  });
});

describe("values", () => {
  it("come back as they were written", () => {
    expect(decodeNodeInfo(KEY, encodeNodeInfo(info))).toEqual(info);
    expect(decodeNodeId("k", encodeNodeId({ name: "n1" }))).toEqual({ name: "n1" });
    expect(decodeNodeName("k", encodeNodeName({ id: 7, uid: "u" }))).toEqual({ id: 7, uid: "u" });
  });

  it("are written the same way for the same contents", () => {
    expect(text(encodeNodeId({ uid: "u", name: "n1" }))).toBe('{"v":1,"name":"n1","uid":"u"}');
    const { uid, ...rest } = info;
    expect(encodeNodeInfo({ uid, ...rest })).toEqual(encodeNodeInfo(info));
  });

  it("are made canonical, and members that a newer Heddle added are dropped", () => {
    const value = stored({
      underlayIps: ["FD00::0007"],
      podCIDRs: ["FD10:0::/64"],
      vtepMac: "12-2B-00-00-00-07",
      extra: 1,
    });
    expect(decodeNodeInfo(KEY, value)).toEqual({ ...info, underlayIps: ["fd00::7"], podCIDRs: ["fd10::/64"] });
  });

  it.each<[string, Uint8Array, string]>([
    ["not JSON", bytes("{"), "the value is not JSON"],
    ["not UTF-8", Uint8Array.of(0x22, 0xff, 0x22), "the value is not JSON"],
    ["empty", bytes(""), "the value is not JSON"],
    ["null", bytes("null"), 'version "v" is not 1'],
    ["an array", bytes("[]"), 'version "v" is not 1'],
    ["without version", bytes('{"name":"n1"}'), 'version "v" is not 1'],
    ["of version 0", stored({ v: 0 }), 'version "v" is not 1'],
    [
      "with a bad address",
      stored({ underlayIps: ["10.0.0.1", "10.0.0.256"] }),
      'underlayIps.1: "10.0.0.256" is not an IP address',
    ],
    ["with host bits in a subnet", stored({ podCIDRs: ["10.1.2.3/24"] }), "podCIDRs.0: 10.1.2.3/24 has address bits"],
    ["with a bad MAC", stored({ vtepMac: "xx" }), "vtepMac:"],
    ["with ID 0", stored({ id: 0 }), "id:"],
    ["with a fractional ID", stored({ id: 1.5 }), "id:"],
    ["with an unknown overlay", stored({ overlay: "geneve" }), "overlay:"],
    ["without a name", stored({ name: undefined }), "name:"],
    ["of another node", stored({ name: "n2" }), "the value is about node n2"],
  ])("that are wrong are refused by key and place: %s", (_what, value, message) => {
    expect(() => decodeNodeInfo(KEY, value)).toThrow(message);
    expect(() => decodeNodeInfo(KEY, value)).toThrow(expect.objectContaining({ code: "BAD_VALUE", key: KEY }));
    expect(() => decodeNodeInfo(KEY, value)).toThrow(`${KEY}: `);
  });

  it("of a newer version are told apart from damaged ones", () => {
    expect(() => decodeNodeInfo(KEY, stored({ v: 2, id: "seven" }))).toThrow(
      expect.objectContaining({
        code: "NEWER_VERSION",
        message: `${KEY}: the value is of version 2, this Heddle knows version 1`,
      }),
    );
  });
});
