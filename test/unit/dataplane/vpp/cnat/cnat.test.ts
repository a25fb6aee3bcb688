import { describe, expect, it } from "vitest";
import { parseExclusive, parseFlowHashes, parseSnatPolicy } from "../../../../../src/dataplane/vpp/cnat/parse.ts";
import { decodeTranslation, encodeTranslation } from "../../../../../src/dataplane/vpp/cnat/translation.ts";
import {
  type CnatTranslationValue,
  validateCnatExclude,
  validateCnatSnat,
  validateCnatTranslation,
} from "../../../../../src/models/vpp/cnat.ts";

// Output of VPP 26.06 for `show cnat translation`, `show cnat client` and `show cnat snat-policy`.
const TRANSLATIONS = `[0] 10.96.0.10;53 UDP lb:maglev fhc:0x1
0.0.0.0;0->10.1.1.1;53
  fib-entry:9
  [@0]: dpo-load-balance: [proto:ip4 index:10 buckets:1 uRPF:0 to:[0:0]]
        [0] [@0]: dpo-drop ip4
 via:
  [@2]: dpo-load-balance: [proto:ip4 index:11 buckets:1 uRPF:-1 to:[0:0]]
maglev backends map
  backend#0: 1ffff
[12] fd10:96::a;80 TCP lb:default fhc:0x9f(default)
::;0->fd10:244::2;8080
`;
const CLIENTS = `[0] cnat-client:[192.0.2.1] tr:0 sess:0 locks:5 flags: 30 exclusive return
[1] cnat-client:[fd10:96::a] tr:1 sess:0 locks:5 flags: 10 exclusive
[2] cnat-client:[192.0.2.2] tr:1 sess:0 locks:5 flags: 00
3 clients
`;
const UNUSED = `Source NAT
  ip4: 192.0.2.1;0
  ip6: local0 (ip4);0

Excluded prefixes:
  Hash table '(unnamed)'
    empty, uninitialized

Included v4 interfaces:

Included v6 interfaces:

k8s pod interfaces:

k8s host interfaces:
`;
const USED = `Source NAT
  ip4: 192.0.2.1;0
  ip6: 2001:db8::1;0

Excluded prefixes:
  Hash table 'snat prefixes'
[626]: heap offset 1663936, len 1, refcnt 1, linear 0
    0: 10.0.0.0/8 dst
[700]: heap offset 1663937, len 1, refcnt 2, linear 0
    0: fd10::/16 dst
    3: 10.2.0.0/16 src
    3 active elements 2 active buckets
    1 free lists
       [len 1] 0 free elts
    0 linear search buckets
    heap: 1 chunk(s) allocated
          bytes: used 128k, scrap 119.88k


Included v4 interfaces:
  local0

Included v6 interfaces:

k8s pod interfaces:
  loop0
  host-hd1

k8s host interfaces:
  loop1
`;

describe("what VPP's CLI tells about CNAT", () => {
  it("has flow hashes by translation", () => {
    expect([...parseFlowHashes(TRANSLATIONS)]).toEqual([
      [0, 1],
      [12, 0x9f],
    ]);
    expect(parseFlowHashes("").size).toBe(0);
  });

  it("has the addresses that VPP took over", () => {
    expect([...parseExclusive(CLIENTS)]).toEqual(["192.0.2.1", "fd10:96::a"]);
  });

  it("has excluded destinations and interfaces by table", () => {
    expect(parseSnatPolicy(UNUSED)).toEqual({ excluded: [], interfaces: [] });
    expect(parseSnatPolicy(USED)).toEqual({
      excluded: ["10.0.0.0/8", "fd10::/16"],
      interfaces: [
        { table: "include4", vppName: "local0" },
        { table: "pod", vppName: "loop0" },
        { table: "pod", vppName: "host-hd1" },
        { table: "host", vppName: "loop1" },
      ],
    });
  });
});

const service: CnatTranslationValue = {
  address: "10.96.0.10",
  port: 53,
  proto: "udp",
  real: false,
  balance: "default",
  hash: "connection",
  backends: [{ address: "10.244.1.2", port: 5353 }],
};

describe("CNAT's values", () => {
  it.each<[string, CnatTranslationValue]>([
    ["no backends", { ...service, backends: [] }],
    ["a backend of another family", { ...service, backends: [{ address: "fd10::1", port: 1 }] }],
    ["a backend twice", { ...service, backends: [...service.backends, ...service.backends] }],
    ["port 0", { ...service, port: 0 }],
    ["an address that is not canonical", { ...service, address: "010.96.0.10" }],
    ["SCTP over IPv6", { ...service, proto: "sctp", address: "fd10::1", backends: [{ address: "fd10::2", port: 1 }] }],
  ])("are refused with %s", (_why, bad) => {
    expect(() => validateCnatTranslation(bad)).toThrow(expect.objectContaining({ code: "INVALID_VALUE" }));
    expect(() => validateCnatTranslation(service)).not.toThrow();
  });

  it("are refused as a policy without addresses, or one that is only found", () => {
    expect(() => validateCnatSnat({ policy: "k8s" })).toThrow("address");
    expect(() => validateCnatSnat({ ip4: "192.0.2.1", policy: "unknown" })).toThrow("only found");
    expect(() => validateCnatSnat({ ip6: "::", policy: "all" })).toThrow("source");
  });

  it("are refused as an excluded prefix that would mark a policy", () => {
    expect(() => validateCnatExclude({ prefix: "240.0.0.3/32" })).toThrow("marks");
    expect(() => validateCnatExclude({ prefix: "10.0.0.0/8" })).not.toThrow();
  });
});

describe("a translation", () => {
  it.each([
    { real: true, hash: "client" },
    { real: true, hash: "connection" },
    { real: false, hash: "client" },
    { real: false, hash: "connection" },
  ] as const)("is known again by its dump alone: %o", ({ real, hash }) => {
    const backends = [{ address: "10.1.0.2", port: 8080 }];
    const value: CnatTranslationValue = {
      ...{ address: "10.96.0.1", port: 80, proto: "tcp", balance: "default" },
      ...{ real, hash, backends },
    };
    const sent = encodeTranslation(value);
    // What the dump leaves out.
    const told = { ...sent, id: 3, is_real_ip: 0, flags: 0, flow_hash_config: 0 } as never;
    expect(decodeTranslation(told, new Map(), new Set(["10.96.0.1"]))).toEqual(value);
  });
});
