import { describe, expect, test } from "vitest";
import { millis } from "../../../src/base/clock/clock.ts";
import type { Descriptor } from "../../../src/kvscheduler/api/descriptor.ts";
import { DescriptorError } from "../../../src/kvscheduler/api/errors.ts";
import { createScheduler } from "../../../src/kvscheduler/scheduler.ts";
import { plain } from "../../support/kvscheduler/plain.ts";

describe("registration", () => {
  const cases: [string, unknown, RegExp][] = [
    ["no name", plain(""), /no name/],
    ["no prefix", plain("x", { keyPrefixes: [] }), /no key prefix/],
    ["an empty prefix", plain("x", { keyPrefixes: [""] }), /empty key prefix/],
    ["a name that is taken", plain("a", { keyPrefixes: ["z/"] }), /registered already/],
    ["an overlap", plain("x", { keyPrefixes: ["a/b/"] }), /a\/b\/ overlaps with a\/ of descriptor a/],
    ["an overlap with itself", plain("x", { keyPrefixes: ["x/", "x/y"] }), /overlap/],
    ["no create", { ...plain("x"), create: undefined }, /no create/],
    ["no delete", { ...plain("x"), delete: undefined }, /no delete/],
    ["a deadline of zero", plain("x", { deadline: millis(0) }), /deadline/],
    ["a concurrency of zero", plain("x", { concurrency: 0 }), /concurrency/],
    ["a circle of retrieveAfter", plain("x", { retrieveAfter: ["x"] }), /cycle: x -> x/],
  ];
  test.each(cases)("refuses %s", (_, descriptor, why) => {
    const s = createScheduler();
    s.register(plain("a"));
    expect(() => s.register(descriptor as Descriptor)).toThrow(why);
    expect(() => s.register(descriptor as Descriptor)).toThrow(DescriptorError);
  });

  test("leaves nothing of a refused descriptor behind", () => {
    const s = createScheduler();
    expect(() => s.register(plain("x", { retrieveAfter: ["x"] }))).toThrow(DescriptorError);
    s.register(plain("x"));
    expect(s.status("x/1").state).toBe("NONEXISTENT");
  });
});
