import { cpSync, existsSync, globSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ConsoleSession, stepsOf } from "../../support/library/console-session.ts";
import { PackedProject } from "../../support/library/packed.ts";

let project: PackedProject;

beforeAll(() => {
  project = PackedProject.make();
});
afterAll(() => project?.remove());

/** What was loaded: built-in modules by name, files by their place in the package; those of the consumer are left out. */
function loadedFor(specifier: string): string[] {
  project.write("consumer.mjs", `import "${specifier}";\n`);
  const base = `${pathToFileURL(project.dir).href}/`;
  return project
    .loadedBy("./consumer.mjs")
    .filter((url) => url !== `${base}consumer.mjs`)
    .map((url) => url.replace(`${base}node_modules/heddle/`, ""));
}

describe("the packed package", () => {
  test("holds what is needed to use it, and nothing else", () => {
    const files = globSync("**", { cwd: join(project.dir, "node_modules/heddle"), withFileTypes: true })
      .filter((f) => f.isFile())
      .map((f) => join(f.parentPath, f.name).slice(join(project.dir, "node_modules/heddle/").length));
    const folders = new Set(
      files.map((f) =>
        f
          .split("/")
          .slice(0, f.startsWith("dist/") ? 2 : 1)
          .join("/"),
      ),
    );
    const expected = ["dist/library", "examples", "docs", "LICENSE", "README.md", "package.json", "CHANGELOG.md"];
    expect([...folders]).toEqual(expect.arrayContaining(expected));
    expect(files.filter((f) => /^(test|scripts|bench|native)\//.test(f))).toEqual([]);
    const sources = ["src/dataplane/vpp/binapi/README.md", "src/kvscheduler/README.md", "src/models/k8s/heddle.proto"];
    expect(files.filter((f) => f.startsWith("src/")).toSorted()).toEqual(sources);
  });

  test("has doc comments where they are read: in declarations and in code", () => {
    const library = "node_modules/heddle/dist/library/kvscheduler";
    expect(project.read(`${library}/api/descriptor.d.ts`)).toContain("Teaches the scheduler one kind of value.");
    for (const file of ["scheduler.d.ts", "scheduler.js"]) {
      expect(project.read(`${library}/${file}`)).toContain("Makes a scheduler.");
    }
  });
});

describe("importing", () => {
  test("the scheduler loads the scheduler: no package, no built-in module, nothing of the agent", () => {
    const loaded = loadedFor("heddle/kvscheduler");
    expect(loaded).toContain("dist/library/kvscheduler/scheduler.js");
    expect(loaded.filter((f) => !/^dist\/library\/(kvscheduler|base)\//.test(f))).toEqual([]);
    expect(loaded.filter((f) => f.includes("history-file"))).toEqual([]);
  });

  test("the history on disk needs the file system beside that", () => {
    const loaded = loadedFor("heddle/kvscheduler/history-file");
    const others = loaded.filter((f) => !/^dist\/library\/(kvscheduler|base)\//.test(f));
    expect(others.sort()).toEqual(["node:fs/promises", "node:path", "node:zlib"]);
  });

  test("looking into a scheduler needs nothing beside it", () => {
    const loaded = loadedFor("heddle/kvscheduler/introspect");
    expect(loaded.filter((f) => !/^dist\/library\/(kvscheduler|base)\//.test(f))).toEqual([]);
  });

  test("the life cycle loads the life cycle", () => {
    const loaded = loadedFor("heddle/lifecycle");
    expect(loaded.filter((f) => !/^dist\/library\/(infra\/lifecycle|base)\//.test(f))).toEqual([]);
  });

  test.each(["heddle", "heddle/dist/library/kvscheduler/txn/plan.js"])("%s is not offered", (specifier) => {
    project.write("consumer.mjs", `await import("${specifier}").catch((e) => console.log(e.code));\n`);
    expect(project.node("consumer.mjs")).toBe("ERR_PACKAGE_PATH_NOT_EXPORTED\n");
  });
});

test("the quick start of the README is short, is checked, and prints what it says", () => {
  const readme = project.read("node_modules/heddle/src/kvscheduler/README.md");
  const [, code = "", expected = ""] = /```ts\n([^]*?)```\n+```text\n([^]*?)```/.exec(readme) ?? [];
  expect(code.trim().split("\n").length).toBeLessThanOrEqual(30);
  project.write("quick-start.ts", code.replaceAll("console.log", "print"));
  project.write("print.d.ts", "declare function print(...values: unknown[]): void;\n");
  expect(project.typeCheck(["quick-start.ts", "print.d.ts"], { lib: ["es2024", "dom"] })).toBe("");
  project.write("quick-start.ts", code);
  expect(project.node("quick-start.ts")).toBe(expected);
});

test("a consumer in JavaScript applies a value, and finds it in the history after a restart", () => {
  project.write(
    "use.mjs",
    `import { createScheduler, renderOps } from "heddle/kvscheduler";
import { FileHistory } from "heddle/kvscheduler/history-file";
const store = await FileHistory.open({ dir: "history" });
const scheduler = createScheduler({ history: { store } });
const device = new Map();
scheduler.register({
  name: "thing",
  keyPrefixes: ["thing/"],
  create: (key, value) => void device.set(key, value),
  delete: (key) => void device.delete(key),
});
const { record, seq } = await scheduler.transact({ changes: [["thing/1", { size: 1 }]] });
console.log(seq, renderOps(record.executed), device.size);
console.log((await store.read({}, scheduler.history())).txns.map((t) => t.seq).join());
await scheduler.close();
await store.close();
`,
  );
  const op = 'create  thing/1  NONEXISTENT -> CONFIGURED  {"size":1} 1';
  expect(project.node("use.mjs")).toBe(`1 ${op}\n1\n`);
  expect(project.node("use.mjs")).toBe(`2 ${op}\n1,2\n`);
});

describe("a consumer in TypeScript", () => {
  const good = `import { createScheduler, type Descriptor, InvalidValueError, seconds, type Txn } from "heddle/kvscheduler";
import { FileHistory } from "heddle/kvscheduler/history-file";
import { Lifecycle, StartError } from "heddle/lifecycle";

interface Link { readonly mtu: number }
const links: Descriptor<Link, { index: number }> = {
  name: "link",
  keyPrefixes: ["link/"],
  validate(_key, value) {
    if (value.mtu < 68) throw new InvalidValueError("mtu is too small", ["mtu"]);
  },
  create: (_key, value) => ({ index: value.mtu }),
  delete: (_key, _value, metadata) => void metadata.index.toFixed(),
  dependencies: () => [{ label: "card", anyOf: { prefixes: ["card/"] } }],
};
const history = await FileHistory.open({ dir: "history", age: seconds(60) });
const scheduler = createScheduler({ history: { store: history } });
scheduler.register(links);
const txn: Txn = { changes: [["link/1", { mtu: 1500 }]], retry: { first: seconds(1), max: seconds(9), attempts: 3 } };
export const result: number = (await scheduler.transact(txn)).record.executed.length;
export const lifecycle = new Lifecycle([{ name: "scheduler", close: () => scheduler.close() }]);
export const isStartError = (e: unknown): e is StartError => e instanceof StartError;
`;

  test("is checked, with no types but the package's own and the language's", () => {
    project.write("good.ts", good);
    expect(project.typeCheck(["good.ts"], { lib: ["es2024", "dom", "esnext.disposable"] })).toBe("");
  });

  test("is told of its mistakes", () => {
    project.write("bad.ts", good.replace("value.mtu < 68", "value.mut < 68").replace("seconds(60)", "60"));
    const told = project.typeCheck(["bad.ts"], { lib: ["es2024", "dom", "esnext.disposable"] });
    expect(told).toContain("Property 'mut' does not exist on type 'Link'");
    expect(told).toContain("Type 'number' is not assignable to type 'Duration'");
    expect(told.match(/error TS/g)).toHaveLength(2);
  });
});

describe("the examples", () => {
  const ports = new Map<string, string>();

  beforeAll(async () => {
    cpSync(join(project.dir, "node_modules/heddle/examples"), join(project.dir, "examples"), { recursive: true });
    for (const port of ["8080", "8081", "8082", "8083", "8090", "9000"]) ports.set(port, await freePort());
  });

  test("are type-checked from the package", () => {
    project.addNodeTypes();
    const files = globSync("examples/**/*.ts", { cwd: project.dir });
    expect(files.length).toBeGreaterThanOrEqual(5);
    const options = { types: ["node"], allowImportingTsExtensions: true, erasableSyntaxOnly: true, skipLibCheck: true };
    expect(project.typeCheck(files, options)).toBe("");
  });

  test("begin with one of less than 80 lines", () => {
    expect(project.read("examples/hello-descriptor/hello.ts").split("\n").length).toBeLessThan(80);
  });

  test.each([
    ["examples/README.md", "examples"],
    ["examples/network-function/README.md", "examples/network-function"],
  ])("do what %s says, command by command", async (document, folder) => {
    const steps = stepsOf(project.read(document));
    expect(steps.length).toBeGreaterThan(0);
    const session = new ConsoleSession(join(project.dir, folder), dirname(process.execPath));
    try {
      for (const { command, expected } of steps) {
        const real = movePorts(command.replace("node main.ts", "node main.ts 8090"), ports);
        const output = await session.run({ command: real, expected });
        const back = new Map([...ports].map(([port, moved]) => [moved, port]));
        expect(`$ ${command}\n${plain(movePorts(output, back))}`).toBe(`$ ${command}\n${plain(expected)}`);
      }
    } finally {
      await session.close();
    }
  });

  test("and the README name no file and no heading that is not there", () => {
    const home = join(project.dir, "node_modules/heddle");
    for (const document of globSync("{examples/**,src/kvscheduler}/*.md", { cwd: home })) {
      const text = readFileSync(join(home, document), "utf8");
      for (const [, link = "", anchor] of text.matchAll(/\]\((?!https?:)([^)#]+)(?:#([^)]+))?\)/g)) {
        const target = join(home, document, "..", link);
        expect([document, link, existsSync(target)]).toEqual([document, link, true]);
        if (anchor === undefined) continue;
        const headings = [...readFileSync(target, "utf8").matchAll(/^#+ (.*)$/gm)].map(([, h]) => h!.toLowerCase());
        expect(headings, `${document}: ${link}`).toContain(anchor);
      }
    }
  });
});

/** Ports of the documents may be taken on this machine. */
function movePorts(text: string, ports: ReadonlyMap<string, string>): string {
  const any = new RegExp(`\\b(${[...ports.keys()].join("|")})\\b`, "g");
  return text.replace(any, (port) => ports.get(port)!);
}

/** Without what is another in each run. */
function plain(text: string): string {
  return text.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "<time>").replace(/ran \d+ ms/g, "ran <n> ms");
}

function freePort(): Promise<string> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(String(port)));
    });
  });
}
