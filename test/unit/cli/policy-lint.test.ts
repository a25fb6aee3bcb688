import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { runCli } from "../../../src/cli/program.ts";

const dir = mkdtempSync(join(tmpdir(), "hd-lint-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const policy = (spec: string, meta = "name: p"): string => `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {${meta}}
spec: {${spec}}
`;

const FILES = {
  "good.yaml": policy("podSelector: {}"),
  "bad.yaml": policy("podSelector: {}, policyTypes: [Sideways]", "name: p, namespace: shop"),
  "other.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n",
  "old.yaml": "apiVersion: extensions/v1beta1\nkind: NetworkPolicy\nmetadata: {name: o}\n",
  "nameless.yaml": policy("podSelector: {}", ""),
  "broken.yaml": "a: [",
  "with-pods.yaml": [
    policy("podSelector: {matchLabels: {app: wep}}", "name: p, namespace: shop"),
    "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n",
    "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop, labels: {app: web}}\n",
  ].join("---\n"),
};
beforeAll(() => {
  for (const [name, text] of Object.entries(FILES)) writeFileSync(join(dir, name), text);
});

async function lint(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const written = { out: "", err: "" };
  const catching = (to: "err" | "out") => (text: unknown) => {
    written[to] += String(text);
    return true;
  };
  const spies = [
    vi.spyOn(process.stdout, "write").mockImplementation(catching("out")),
    vi.spyOn(process.stderr, "write").mockImplementation(catching("err")),
  ];
  try {
    const files = args.map((arg) => (arg in FILES ? join(dir, arg) : arg));
    return { code: await runCli(["policy", "lint", "--offline", ...files]), ...written };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

describe("heddlectl policy lint --offline", () => {
  it.each<readonly [file: string, code: number, text: string]>([
    ["good.yaml", 0, "nothing to complain about"],
    ["bad.yaml", 1, 'error NetworkPolicy shop/p spec.policyTypes[0]: "Sideways" is not Ingress or Egress'],
    ["old.yaml", 1, "extensions/v1beta1/NetworkPolicy is not enforced"],
    ["nameless.yaml", 1, "object 1: the object has no metadata.name"],
    ["with-pods.yaml", 1, "spec.podSelector: no pod is selected"],
    ["other.yaml", 2, "no policies in"],
    ["broken.yaml", 2, "broken.yaml: "],
  ])("%s: %i, %s", async (file, code, text) => {
    const result = await lint(file);
    expect(result.code).toBe(code);
    expect(result.out + result.err).toContain(text);
  });

  it("names the file of each finding, in JSON too", async () => {
    const { out } = await lint("good.yaml", "bad.yaml", "-o", "json");
    expect(JSON.parse(out)).toMatchObject({
      policies: 2,
      findings: [{ file: join(dir, "bad.yaml"), kind: "invalid", policy: { namespace: "shop", name: "p" } }],
      problems: [],
    });
  });

  it("takes objects that don't say where to be in the namespace that is named", async () => {
    const { out } = await lint("good.yaml", "-n", "x", "-o", "json");
    expect(JSON.parse(out)).toMatchObject({ policies: 1, findings: [] });
  });
});
