import { readFileSync } from "node:fs";
import { expect, it } from "vitest";

const root = new URL("../../../../", import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), "utf8");

const folders: Readonly<Record<string, string>> = {
  "relay.test.ts": "test/unit/cni-binary/",
  "failures.test.ts": "test/unit/cni-binary/",
};
const integration = "test/integration/netns/";

/** `relay.test.ts "one"; "another"; integration: cni-add.test.ts "a third"` → path and title of each. */
function references(cell: string): readonly (readonly [file: string, title: string])[] {
  const found: (readonly [string, string])[] = [];
  let file = "";
  for (const part of cell.split("; ")) {
    const named = /^(?:(integration: )?([\w-]+\.test\.ts) )?"(.*)"$/.exec(part.trim());
    if (named === null) throw new Error(`not a test's name: ${part}`);
    if (named[2] !== undefined) {
      const folder = named[1] === undefined ? (folders[named[2]] ?? "test/unit/pods/cni/") : integration;
      file = folder + named[2];
    }
    if (file !== "") found.push([file, named[3] ?? ""]);
  }
  return found;
}

it("every test that docs/acceptance/cni-spec.md names exists", () => {
  const rows = read("docs/acceptance/cni-spec.md")
    .split("\n")
    .filter((line) => line.startsWith("| ") && !line.startsWith("| sentence"));
  const named = rows.flatMap((row) => references(row.split(" | ").at(-1)?.replace(/ \|$/, "") ?? ""));
  expect(named.length).toBeGreaterThan(60);
  const missing = named.filter(([file, title]) => {
    // Titles of tables that stand for several tests are written with their placeholders.
    return !read(file).includes(title);
  });
  expect(missing).toEqual([]);
});
