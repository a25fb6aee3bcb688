import { describe, expect, it } from "vitest";
import { CniError, CniErrorCode, errorVersion, toErrorBody } from "../../../../src/pods/cni/errors.ts";

describe("an error's JSON", () => {
  it("has version, number, message and details", () => {
    const error = new CniError("TRY_AGAIN_LATER", "the pool is busy", "pool v4");
    expect(toErrorBody(error, "0.4.0")).toEqual({
      cniVersion: "0.4.0",
      code: 11,
      msg: "the pool is busy",
      details: "pool v4",
    });
    expect(error.message).toBe("the pool is busy: pool v4");
  });

  it("of anything else is 999, with its causes", () => {
    const error = new Error("a", { cause: new Error("b") });
    expect(toErrorBody(error)).toMatchObject({ cniVersion: "1.1.0", code: 999, details: "a: b" });
    expect(toErrorBody("text")).toMatchObject({ code: 999, details: "text" });
  });

  it("has the spec's numbers below 100 and our own from 100 on", () => {
    // SPEC.md section 5 "Error", and 8 of the reference library.
    expect(Object.values(CniErrorCode).filter((code) => code < 100)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 11, 50, 51]);
    expect(new Set(Object.values(CniErrorCode)).size).toBe(Object.keys(CniErrorCode).length);
  });
});

describe("the version of an answer to what could not be parsed", () => {
  it.each([
    ['{"cniVersion":"0.3.1","name":5}', "0.3.1"],
    ['{"cniVersion":"0.2.0"}', "1.1.0"],
    ['{"cniVersion":5}', "1.1.0"],
    ["[]", "1.1.0"],
    ["{", "1.1.0"],
    ["", "1.1.0"],
  ])("of %s is %s", (body, version) => {
    expect(errorVersion(Buffer.from(body))).toBe(version);
  });
});
