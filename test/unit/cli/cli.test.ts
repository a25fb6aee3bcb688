import { describe, expect, it, vi } from "vitest";
import { flatten } from "../../../src/cli/commands/status.ts";
import { render } from "../../../src/cli/output.ts";
import { runCli } from "../../../src/cli/program.ts";

/** Runs the command line with its output kept from the test's. */
async function run(...argv: string[]): Promise<{ code: number; stderr: string }> {
  let stderr = "";
  const err = vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    stderr += String(text);
    return true;
  });
  const out = vi.spyOn(process.stdout, "write").mockImplementation(() => true);
  try {
    return { code: await runCli(argv), stderr };
  } finally {
    err.mockRestore();
    out.mockRestore();
  }
}

describe("exit codes", () => {
  it.each([
    ["help", ["--help"], 0],
    ["an unknown command", ["weave"], 2],
    ["an unknown option", ["demo", "--loom"], 2],
    ["a missing mandatory option", ["lab", "status"], 2],
    ["a value out of bounds", ["demo", "--nodes", "0"], 2],
    ["a value that is no number", ["demo", "--pods", "x"], 2],
    ["a choice that there is not", ["lab", "up", "--state", "/nonexistent/x", "--dataplane", "ebpf"], 2],
    ["a malformed pod name", ["lab", "del-pod", "A_B", "--state", "/nonexistent/x"], 1],
    ["no lab where one is needed", ["lab", "status", "--state", "/nonexistent/x"], 1],
    ["removing what is not there", ["lab", "down", "--state", "/nonexistent/x"], 0],
    ["a question about policies that no agent answers", ["policy", "show", "a", "--agent", "127.0.0.1:9"], 2],
    ["policies in a file that is not there", ["policy", "lint", "--offline", "/nonexistent/x.yaml"], 2],
    ["policies without a file", ["policy", "lint", "--offline"], 2],
    ["an agent that does not answer", ["status", "--rest", "http://127.0.0.1:9"], 1],
  ])("%s", async (_what, argv, code) => {
    expect((await run(...argv)).code).toBe(code);
  });

  it("name the lab that is missing", async () => {
    expect((await run("lab", "status", "--state", "/nonexistent/x")).stderr).toContain("/nonexistent/x");
  });
});

const rows = () => [
  ["NAME", "STORE"],
  ["n1", "etcd"],
];

describe("output", () => {
  const data = { name: "n1", ips: ["10.0.0.1", "fd00::1"], store: { kind: "etcd" } };

  it("prints the same data as JSON and YAML", async () => {
    expect(JSON.parse(await render(data, "json", rows))).toEqual(data);
    expect(await render(data, "yaml", rows)).toBe("name: n1\nips:\n  - 10.0.0.1\n  - fd00::1\nstore:\n  kind: etcd");
  });

  it("aligns the table's columns without borders", async () => {
    expect(await render(data, "table", rows)).toBe("NAME  STORE\nn1    etcd");
  });

  it("flattens an answer into one row a leaf", () => {
    expect(flatten({ ...data, pods: [{ name: "a" }] })).toEqual([
      ["name", "n1"],
      ["ips", "10.0.0.1, fd00::1"],
      ["store.kind", "etcd"],
      ["pods[0].name", "a"],
    ]);
  });
});
