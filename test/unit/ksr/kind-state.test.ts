import { expect, it } from "vitest";
import { KindState } from "../../../src/ksr/reflector/kind-state.ts";

it("what the store has already is not written", () => {
  const state = new KindState();
  expect(state.found("k", "x")).toBe("same");
  expect(state.wish("k", "x")).toBe("settled");
  expect(state.wish("k", "x")).toBe("same");
  expect(state.wish("k", "y")).toBe("due");
});

it("a wish for what the store still has, while something else is on its way there, is written", () => {
  const state = new KindState();
  state.found("k", "x");
  state.wish("k", "y");
  expect(state.writing("k")).toBe("y");
  expect(state.wish("k", "x")).toBe("due");
  expect(state.writing("k")).toBe("x");
  expect(state.found("k", "y")).toBe("same");
  expect(state.found("k", "x")).toBe("settled");
});

it("a change by somebody else counts when nothing of ours is on its way", () => {
  const state = new KindState();
  state.wish("k", "x");
  state.writing("k");
  expect(state.found("k", "foreign")).toBe("same");
  expect(state.found("k", "x")).toBe("settled");
  expect(state.found("k", "foreign")).toBe("due");
  expect(state.found("k", undefined)).toBe("due");
});

it("what nobody wishes for is due only when a listing was complete", () => {
  const state = new KindState();
  expect(state.found("k", "x")).toBe("same");
  expect(state.sweep()).toEqual(["k"]);
  expect(state.found("l", "x")).toBe("due");
});

it("a deletion that was written and isn't seen is not repeated where there was nothing to delete", () => {
  const state = new KindState();
  state.wish("k", "x");
  state.wish("k", undefined);
  expect(state.writing("k")).toBeUndefined();
  expect(state.isUnseen("k")).toBe(true);
  expect(state.givenUp("k")).toBe("settled");
  expect(state.isUnseen("k")).toBe(false);
});

it("a value that was written and isn't seen is written again", () => {
  const state = new KindState();
  state.wish("k", "x");
  state.writing("k");
  expect(state.givenUp("k")).toBe("due");
  expect(state.givenUp("k")).toBe("same");
});
