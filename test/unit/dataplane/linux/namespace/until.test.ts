import { describe, expect, it } from "vitest";
import { until } from "../../../../../src/dataplane/linux/namespace/until.ts";

const unused = () => new Error("not to be made");

describe("until", () => {
  it("asks until the answer is yes", async () => {
    let asked = 0;
    await until(() => Promise.resolve(++asked === 4), new AbortController().signal, unused);
    expect(asked).toBe(4);
  });

  it("asks at least once, also when there is no time left", async () => {
    await expect(until(() => Promise.resolve(true), AbortSignal.abort(), unused)).resolves.toBeUndefined();
  });

  it("gives up when the signal aborts", async () => {
    const abort = new AbortController();
    const waiting = until(
      () => {
        abort.abort();
        return Promise.resolve(false);
      },
      abort.signal,
      () => new Error("never came"),
    );
    await expect(waiting).rejects.toThrow("never came");
  });

  it("passes on what asking throws", async () => {
    const ask = () => Promise.reject(new Error("EPERM"));
    await expect(until(ask, new AbortController().signal, unused)).rejects.toThrow("EPERM");
  });
});
