// Builds what package.json exports into dist/library/: for each module of the library, and those of src/base that it
// needs, a .js and a .d.ts file with the comments of the source. Types are checked by `npm run lint`, not here.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const target = join(root, "dist/library");
const stamp = join(root, "dist/.library-stamp");

/** Does nothing when the sources have not changed since. */
export function buildLibrary({ force = false }: { readonly force?: boolean } = {}): void {
  const digest = digestOf(
    globSync(
      [
        "src/{kvscheduler,base,infra/lifecycle,dataplane/vpp/binapi}/**/*.ts",
        "tsconfig*.json",
        "package-lock.json",
        "scripts/build-library.ts",
      ],
      { cwd: root },
    ),
  );
  if (!force && existsSync(stamp) && readFileSync(stamp, "utf8") === digest) return;
  mkdirSync(join(root, "dist"), { recursive: true });
  const fresh = `${target}.new`;
  rmSync(fresh, { recursive: true, force: true });
  const tsc = spawnSync(
    process.execPath,
    [join(root, "node_modules/typescript/bin/tsc"), "-p", "tsconfig.library.json", "--outDir", fresh],
    { cwd: root, encoding: "utf8" },
  );
  if (tsc.status !== 0) throw new Error(`the library cannot be built:\n${tsc.stdout}${tsc.stderr}`);
  // The compiler writes .js into the modules' imports, and leaves .ts in the declarations'.
  for (const file of globSync("**/*.d.ts", { cwd: fresh })) {
    const path = join(fresh, file);
    const text = readFileSync(path, "utf8");
    writeFileSync(path, text.replaceAll(/(from |import\()"(\.{1,2}\/[^"]*)\.ts"/g, '$1"$2.js"'));
  }
  rmSync(target, { recursive: true, force: true });
  renameSync(fresh, target);
  writeFileSync(stamp, digest);
  console.error("build: library");
}

function digestOf(files: readonly string[]): string {
  const hash = createHash("sha256");
  for (const file of [...files].sort()) hash.update(file).update(readFileSync(join(root, file)));
  return hash.digest("hex");
}
