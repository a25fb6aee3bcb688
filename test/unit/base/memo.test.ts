import { expect, it } from "vitest";
import { memo, memoByText } from "../../../src/base/memo/memo.ts";

it("makes something of each object once", () => {
  let made = 0;
  const lengthOf = memo((list: readonly number[], unit: string) => `${list.length} ${unit} ${++made}`);
  const list = [1, 2];
  expect(lengthOf(list, "apples")).toBe("2 apples 1");
  expect(lengthOf(list, "pears")).toBe("2 apples 1");
  expect(lengthOf([1, 2], "pears")).toBe("2 pears 2");
});

it("remembers nothing of what failed", () => {
  let calls = 0;
  const failing = memo((of: readonly string[]): string => {
    if (++calls === 1) throw new Error("not yet");
    return of.join();
  });
  const one = ["there"];
  expect(() => failing(one)).toThrow("not yet");
  expect(failing(one)).toBe("there");
});

it("makes something of each object and text once", () => {
  let made = 0;
  const joined = memoByText((list: readonly string[], by: string) => `${list.join(by)} ${++made}`);
  const list = ["a", "b"];
  expect([joined(list, "-"), joined(list, "+"), joined(list, "-")]).toEqual(["a-b 1", "a+b 2", "a-b 1"]);
  expect(joined(["a", "b"], "-")).toBe("a-b 3");
});
