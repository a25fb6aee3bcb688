import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeRule, encodeRule } from "../../../../../src/dataplane/vpp/acl/codec.ts";
import { type AclRule, validateAcl, validateAclInterface } from "../../../../../src/models/vpp/acl.ts";

const any: AclRule = { action: "permit", src: "0.0.0.0/0", dst: "0.0.0.0/0" };

const range = (max: number) =>
  fc
    .tuple(fc.nat(max), fc.nat(max))
    .map(([a, b]): readonly [number, number] => [Math.min(a, b), Math.max(a, b)])
    .filter(([first, last]) => first !== 0 || last !== 65_535);
const action = fc.constantFrom<AclRule["action"]>("deny", "permit", "permit+reflect");
const addresses = fc.constantFrom({ src: "10.1.0.0/16", dst: "0.0.0.0/0" }, { src: "::/0", dst: "fd10::1/128" });
const rule: fc.Arbitrary<AclRule> = fc
  .tuple(
    action,
    addresses,
    fc.oneof(
      fc.record(
        { proto: fc.constantFrom(6, 17), srcPorts: range(65_535), dstPorts: range(65_535) },
        { requiredKeys: ["proto"] },
      ),
      fc.record(
        { proto: fc.constantFrom(1, 58), icmpType: range(255), icmpCode: range(255) },
        { requiredKeys: ["proto"] },
      ),
      fc.record({
        proto: fc.constant(6),
        tcpFlags: fc.record({ value: fc.nat(255), mask: fc.integer({ min: 1, max: 255 }) }),
      }),
      fc.record({ proto: fc.constant(132) }),
      fc.constant({}),
    ),
  )
  .map(([a, where, rest]) => ({ action: a, ...where, ...rest }));

describe("ACL rules", () => {
  it("come back from VPP's form as they were", () => {
    fc.assert(
      fc.property(rule, (r) => {
        validateAcl({ name: "a", rules: [r] });
        expect(decodeRule(encodeRule(r))).toEqual(r);
      }),
    );
  });

  it.each<[string, AclRule]>([
    ["families that differ", { ...any, dst: "::/0" }],
    ["bits behind the prefix", { ...any, src: "10.1.2.3/16" }],
    ["ports of a protocol in which VPP sees none", { ...any, proto: 132, dstPorts: [80, 80] }],
    ["ports of every protocol", { ...any, dstPorts: [80, 80] }],
    ["ICMP types of TCP", { ...any, proto: 6, icmpType: [3, 3] }],
    ["a range that ends before it begins", { ...any, proto: 6, dstPorts: [81, 80] }],
    ["all ports, said in words", { ...any, proto: 6, dstPorts: [0, 65_535] }],
    ["TCP flags of UDP", { ...any, proto: 17, tcpFlags: { value: 2, mask: 18 } }],
    ["protocol 0", { ...any, proto: 0 }],
  ])("are refused with %s", (_why, bad) => {
    expect(() => validateAcl({ name: "a", rules: [bad] })).toThrow(expect.objectContaining({ code: "INVALID_VALUE" }));
  });

  it("are refused as an empty list, and with a name that does not fit VPP's tag", () => {
    expect(() => validateAcl({ name: "a", rules: [] })).toThrow("rules");
    expect(() => validateAcl({ name: "x".repeat(57), rules: [any] })).toThrow("name");
    expect(() => validateAcl({ name: "x".repeat(56), rules: [any] })).not.toThrow();
  });

  it("are bound once in a direction, and to 255 lists at most", () => {
    const names = Array.from({ length: 255 }, (_, i) => `n${i}`);
    expect(() => validateAclInterface({ interface: "a", input: names, output: [] })).not.toThrow();
    expect(() => validateAclInterface({ interface: "a", input: names, output: ["n0"] })).toThrow("255");
    expect(() => validateAclInterface({ interface: "a", input: ["n0", "n0"], output: [] })).toThrow("twice");
    expect(() => validateAclInterface({ interface: "a", input: [], output: [] })).toThrow("neither");
  });
});
