// Bundles the executables into dist/: dist/lib/*.js, and dist/bin/* shell wrappers that run them on the pinned Node; and
// builds the library beside them.
import { createHash } from "node:crypto";
import { chmodSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { buildLibrary } from "./build-library.ts";

const root = join(import.meta.dirname, "..");
const dist = join(root, "dist");

const bundles: Record<string, string> = {
  "heddle-agent": "cmd/vswitch-agent/main.ts",
  "heddle-ksr": "cmd/ksr/main.ts",
  heddlectl: "cmd/heddlectl/main.ts",
  "local-db-worker": "src/stores/local/worker.ts",
};
const executables = ["heddle-agent", "heddle-ksr", "heddlectl"];

// Node is found from the real place of the wrapper upwards, so that `npx heddlectl`, a link on the PATH and a global
// installation all run on the Node that this package pins, whatever `node` the PATH has.
// Agent and reflector have a memory budget. V8's young generation grows to 32 MB where nothing else is said, and its old one in large
// steps; glibc keeps an arena of freed memory for every thread, and what is large beside it once something as large was freed.
// Without --optimize-for-size it leaves a tenth of what it has from the kernel in pieces that nobody uses.
const lean = "--optimize-for-size --max-semi-space-size=2 --heap-growing-percent=20 ";
const fewArenas = "MALLOC_ARENA_MAX=${MALLOC_ARENA_MAX:-2} MALLOC_MMAP_THRESHOLD_=${MALLOC_MMAP_THRESHOLD_:-262144} ";
const flags: Record<string, string> = {
  "heddle-agent": lean,
  // It parses pages of lists, 2 MB each.
  "heddle-ksr": "--max-semi-space-size=4 --heap-growing-percent=20 ",
};
const environment: Record<string, string> = { "heddle-agent": fewArenas, "heddle-ksr": fewArenas };
const wrapper = (name: string) => `#!/bin/sh
self=$(readlink -f "$0")
dir=\${self%/*}
case $(uname -m) in aarch64) arch=arm64 ;; *) arch=x64 ;; esac
up=$dir
while [ "$up" ]; do
  node=$up/node_modules/node-linux-$arch/bin/node
  if [ -x "$node" ]; then
    ${environment[name] ?? ""}UV_THREADPOOL_SIZE=\${UV_THREADPOOL_SIZE:-16} exec "$node" --enable-source-maps ${flags[name] ?? ""}"$dir/../lib/${name}.js" "$@"
  fi
  up=\${up%/*}
done
echo "${name}: the pinned Node (npm package node-linux-$arch) is not installed; run npm ci" >&2
exit 2
`;

const sources = globSync(["src/**/*.ts", "cmd/**/*.ts", "package-lock.json", "scripts/build.ts"], { cwd: root }).sort();
const hash = createHash("sha256");
for (const file of sources) hash.update(file).update(readFileSync(join(root, file)));
const digest = hash.digest("hex");
const stamp = join(dist, ".stamp");
const present = Object.entries(bundles).filter(([, source]) => existsSync(join(root, source)));

buildLibrary({ force: process.argv.includes("--force") });
if (existsSync(stamp) && readFileSync(stamp, "utf8") === digest && !process.argv.includes("--force")) {
  process.exit(0);
}
mkdirSync(join(dist, "bin"), { recursive: true });
const { metafile } = await build({
  metafile: true,
  absWorkingDir: root,
  entryPoints: Object.fromEntries(present),
  outdir: join(dist, "lib"),
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node26",
  sourcemap: "linked",
  logLevel: "warning",
  // Packages stay outside the bundle: they are installed with this one, and some load files beside themselves.
  packages: "external",
});
// Chunks have new names whenever they change; those of earlier builds go.
const made = new Set(Object.keys(metafile.outputs).map((path) => join(root, path)));
for (const file of globSync("lib/*", { cwd: dist })) if (!made.has(join(dist, file))) rmSync(join(dist, file));
for (const name of executables) {
  if (!present.some(([built]) => built === name)) continue;
  writeFileSync(join(dist, "bin", name), wrapper(name));
  chmodSync(join(dist, "bin", name), 0o755);
}
writeFileSync(stamp, digest);
console.error(`build: ${present.map(([name]) => name).join(", ")}`);
