import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const root = join(import.meta.dirname, "..", "..", "..", "..", "..");

/** What talks to the kernel, or gives the event loop its turns: everything else in the folders is codecs. */
const NOT_CODECS: ReadonlySet<string> = new Set([
  "client.ts",
  "exchange.ts",
  "features.ts",
  "ending.ts",
  "flusher.ts",
  "monitor.ts",
  "native.ts",
  "netns-reader.ts",
  "netns.ts",
]);
/** Of Node itself, what only looks at its arguments. */
const PURE = /^import \{ (isIP|isIPv4|isIPv6)(, isIPv6)? \} from "node:net";$/gm;
const CODECS = ["netlink", "conntrack"].flatMap((folder) =>
  globSync(`src/dataplane/linux/${folder}/*.ts`, { cwd: root }).filter(
    (file) => !NOT_CODECS.has(file.split("/").at(-1) ?? ""),
  ),
);

describe("netlink codecs are pure", () => {
  it("are as many as there are kinds of messages, and more", () => {
    const names = CODECS.map((file) => file.split("/").at(-1));
    for (const kind of ["link", "address", "route", "neighbour", "rule", "nsid", "ext-ack", "link-kinds"]) {
      expect(names).toContain(`${kind}.ts`);
    }
  });

  it.each(CODECS)("%s: nothing that does I/O, waits, tells the time or draws lots", (file) => {
    const text = readFileSync(join(root, file), "utf8").replace(PURE, "");
    const imports = [...text.matchAll(/^import (?!type )[^;]*? from "([^"]+)";/gms)].map((m) => m[1] ?? "");
    const allowed = (path: string) =>
      /^\.\.\/(\.\.\/)*base\/(bytes|errors|ip)\//.test(path) ||
      (/^\.\/|^\.\.\/(netlink|conntrack)\//.test(path) && !NOT_CODECS.has(path.split("/").at(-1) ?? ""));
    expect(imports.filter((path) => !allowed(path))).toEqual([]);
    for (const word of [/\bawait\b/, /\bprocess\./, /\bDate\b/, /Math\.random/, /performance\./]) {
      expect(text).not.toMatch(word);
    }
  });
});
