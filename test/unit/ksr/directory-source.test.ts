import { appendFile, chmod, mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { millis, systemClock } from "../../../src/base/clock/clock.ts";
import { silentLog } from "../../../src/infra/log/log.ts";
import { DirectorySource } from "../../../src/ksr/manifests/directory-source.ts";
import { ManifestError, parseManifest } from "../../../src/ksr/manifests/parse.ts";
import { K8S_PREFIX } from "../../../src/models/k8s/keys.ts";
import { namespace, pod, Reflecting } from "../../support/k8s/reflecting.ts";
import { MemoryStoreData } from "../../support/memory-store.ts";
import { until } from "../../support/until.ts";

let root: string;
let dir: string;
let running: Reflecting[];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "hd-manifests-"));
  dir = join(root, "manifests");
  await mkdir(dir);
  running = [];
});
afterEach(async () => {
  for (const r of running) await r.close();
  await rm(root, { recursive: true });
});

function start(data?: MemoryStoreData, settle = millis(30)): Reflecting {
  const source = new DirectorySource({
    dir,
    clock: systemClock,
    log: silentLog,
    settle,
    rescan: millis(200),
  });
  const reflecting = new Reflecting(source, systemClock, data).start();
  running.push(reflecting);
  return reflecting;
}

/** In its place, as `cat >` does. */
const write = (name: string, ...objects: object[]) =>
  writeFile(join(dir, name), objects.map((o) => stringify(o)).join("---\n"));
/** Under another name first, as careful programs do. */
async function replace(name: string, ...objects: object[]): Promise<void> {
  await write(".new", ...objects);
  await rename(join(dir, ".new"), join(dir, name));
}

describe("a directory of manifests", () => {
  it("is reflected, and followed as files come, change and go", async () => {
    await write("a.yaml", namespace("ns"), pod("a"));
    await writeFile(join(dir, "b.json"), JSON.stringify(pod("b")));
    const r = start();
    await r.has("namespace/ns", "pod/ns/a", "pod/ns/b");
    await r.isSynced();
    await write("c.yml", pod("c"));
    await r.has("namespace/ns", "pod/ns/a", "pod/ns/b", "pod/ns/c");
    await write("a.yaml", namespace("ns"), pod("d"));
    await r.has("namespace/ns", "pod/ns/b", "pod/ns/c", "pod/ns/d");
    await rm(join(dir, "b.json"));
    await replace("c.yml", pod("c", { app: "x" }));
    await r.has("namespace/ns", "pod/ns/c", "pod/ns/d");
    await until("the label", () => JSON.stringify(r.value("pod/ns/c")).includes('"app":"x"'));
    expect(r.source.problems()).toEqual([]);
  });

  it("files that are no manifests are not read", async () => {
    await writeFile(join(dir, "README.md"), "kind: x");
    await writeFile(join(dir, ".hidden.yaml"), "{");
    await writeFile(join(dir, "a.yaml~"), "{");
    await writeFile(join(dir, "a.yaml.tmp"), "{");
    await mkdir(join(dir, "sub.yaml"));
    await write("a.yaml", pod("a"), { apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "d" } });
    const r = start();
    await r.has("pod/ns/a");
    expect(r.source.problems()).toEqual([]);
  });

  it("a start sweeps what no file has", async () => {
    const data = new MemoryStoreData();
    data.apply([{ op: "put", key: `${K8S_PREFIX}pod/ns/gone`, value: Buffer.from("{}") }]);
    await write("a.yaml", pod("a"));
    await start(data).has("pod/ns/a");
  });

  it("a file that breaks keeps what it had, is named, and counts again when it is good", async () => {
    await write("a.yaml", pod("a"));
    await write("b.yaml", pod("b"));
    const r = start();
    await r.has("pod/ns/a", "pod/ns/b");
    await writeFile(join(dir, "a.yaml"), "metadata: [unclosed\n");
    await until("it is named", () => r.source.problems().some((p) => p.startsWith("a.yaml: ")));
    await write("later.yaml", pod("z"));
    await r.has("pod/ns/a", "pod/ns/b", "pod/ns/z");
    await write("a.yaml", pod("c"));
    await r.has("pod/ns/b", "pod/ns/c", "pod/ns/z");
    expect(r.source.problems()).toEqual([]);
  });

  it("while a file is broken from the start nothing is removed, for nobody knows what it had", async () => {
    const data = new MemoryStoreData();
    data.apply([{ op: "put", key: `${K8S_PREFIX}pod/ns/perhaps`, value: Buffer.from("{}") }]);
    await writeFile(join(dir, "bad.yaml"), "a: [");
    await write("good.yaml", pod("a"));
    const r = start(data);
    await r.has("pod/ns/a", "pod/ns/perhaps");
    await r.isSynced();
    await rm(join(dir, "good.yaml"));
    await r.has("pod/ns/perhaps");
    await write("bad.yaml", pod("b"));
    await r.has("pod/ns/b");
  });

  it("a file that is written slowly counts when it is whole: half of it would be a whole manifest, too", async () => {
    await write("a.yaml", pod("a"), pod("b"), pod("c"));
    const seen = new Set<number>();
    const r = start(undefined, millis(1000));
    await r.has("pod/ns/a", "pod/ns/b", "pod/ns/c");
    const file = join(dir, "a.yaml");
    await writeFile(file, "");
    for (const name of ["a", "b", "c", "d"]) {
      await appendFile(file, `---\n${stringify(pod(name))}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
      seen.add(r.keys().length);
    }
    await r.has("pod/ns/a", "pod/ns/b", "pod/ns/c", "pod/ns/d");
    expect(Math.min(...seen)).toBe(3);
  });

  it("objects that can't be used are named; the others of the file are reflected", async () => {
    await write(
      "a.yaml",
      { just: "text" },
      pod("a"),
      { apiVersion: "v1", kind: "Pod", metadata: {} },
      pod("a", { x: "y" }),
    );
    const r = start();
    await r.has("pod/ns/a");
    expect(r.source.problems()).toEqual([
      expect.stringMatching(/^a.yaml: object 1: no Kubernetes object/),
      expect.stringMatching(/^a.yaml: object 3: .*metadata.name/),
      expect.stringMatching(/^a.yaml: .*twice/),
    ]);
  });

  it("an object in two files is the last one's, and stays when that goes", async () => {
    await write("a.yaml", pod("p", { from: "a" }));
    await write("b.yaml", pod("p", { from: "b" }));
    const r = start();
    const from = (x: string) =>
      until(`it is from ${x}`, () => JSON.stringify(r.value("pod/ns/p")).includes(`"from":"${x}"`));
    await r.has("pod/ns/p");
    await from("b");
    expect(r.source.problems()).toEqual([expect.stringContaining("a.yaml, b.yaml")]);
    await write("a.yaml", pod("p", { from: "c" }));
    await write("other.yaml", pod("q"));
    await r.has("pod/ns/p", "pod/ns/q");
    await from("b");
    await rm(join(dir, "b.yaml"));
    await from("c");
    expect(r.source.problems()).toEqual([]);
  });

  it("a directory that is unmounted for a while loses nothing", async () => {
    await write("a.yaml", pod("a"));
    const r = start();
    await r.has("pod/ns/a");
    const writes = r.data.writes;
    await rename(dir, `${dir}.away`);
    await until("it is named", () => r.source.problems().length === 1);
    await rename(`${dir}.away`, dir);
    await until("it is well", () => r.source.problems().length === 0);
    await write("b.yaml", pod("b"));
    await r.has("pod/ns/a", "pod/ns/b");
    expect(r.data.writes - writes).toBe(1);
  });

  it("a mounted ConfigMap's files change all at once, by one link", async () => {
    for (const version of ["v1", "v2"]) {
      await mkdir(join(dir, `..${version}`));
      await write(`..${version}/a.yaml`, pod(`a-${version}`));
      await write(`..${version}/b.yaml`, pod(`b-${version}`));
    }
    await symlink("..v1", join(dir, "..data"));
    for (const name of ["a.yaml", "b.yaml"]) await symlink(`..data/${name}`, join(dir, name));
    const r = start();
    await r.has("pod/ns/a-v1", "pod/ns/b-v1");
    await symlink("..v2", join(dir, "..data_tmp"));
    await rename(join(dir, "..data_tmp"), join(dir, "..data"));
    await r.has("pod/ns/a-v2", "pod/ns/b-v2");
  });

  it("many files that change fast end as they are", async () => {
    const r = start();
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 20; i++) {
        if ((i + round) % 4 === 0) await rm(join(dir, `${i}.yaml`), { force: true });
        else await (i % 2 ? write : replace)(`${i}.yaml`, pod(`p${i}`, { round: String(round) }));
      }
    }
    const left = Array.from({ length: 20 }, (_, i) => i).filter((i) => (i + 4) % 4 !== 0);
    await r.has(...left.map((i) => `pod/ns/p${i}`));
    await until("the last round", () => left.every((i) => JSON.stringify(r.value(`pod/ns/p${i}`)).includes('"4"')));
  });

  it("a file that was only touched writes nothing", async () => {
    await write("a.yaml", pod("a"));
    const r = start();
    await r.has("pod/ns/a");
    const writes = r.data.writes;
    await chmod(join(dir, "a.yaml"), 0o600);
    await write("b.yaml", pod("b"));
    await r.has("pod/ns/a", "pod/ns/b");
    expect(r.data.writes - writes).toBe(1);
  });
});

describe("manifests are parsed", () => {
  it.each([
    ["nothing", "", []],
    ["comments", "# nothing\n---\n# yet\n", []],
    ["documents", "a: 1\n---\nb: 2\n", [{ a: 1 }, { b: 2 }]],
    ["JSON", '{"a": [1]}', [{ a: [1] }]],
    ["YAML in flow form", "{a: 1}\n---\n{b: 2}", [{ a: 1 }, { b: 2 }]],
    ["a List", "kind: List\nitems:\n- {kind: A}\n- {kind: B}", [{ kind: "A" }, { kind: "B" }]],
    [
      "a list of one kind",
      "kind: PodList\napiVersion: v1\nitems: [{metadata: {name: a}}, {kind: Own}]",
      [
        { apiVersion: "v1", kind: "Pod", metadata: { name: "a" } },
        { apiVersion: "v1", kind: "Own" },
      ],
    ],
    ["what is no object", "hello\n---\n[1]", ["hello", [1]]],
  ])("%s", (_, text, objects) => {
    expect(parseManifest(text)).toEqual(objects);
  });

  it.each([
    ["unclosed", "a: [1"],
    ["a key twice", "a: 1\na: 2"],
    ["half of JSON", '{"a": {"b": '],
    [
      "aliases that grow without bound",
      `a0: &a0 [x,x]\n${Array.from({ length: 30 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i},*a${i}]`).join("\n")}`,
    ],
  ])("refused: %s", (_, text) => {
    expect(() => parseManifest(text)).toThrow(ManifestError);
  });
});
