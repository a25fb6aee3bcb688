import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "../../..");

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
}

/**
 * An empty project with the packed package installed as npm installs it, without a network. What the agent depends on is
 * there by name only: a package that throws when it is loaded.
 */
export class PackedProject {
  readonly dir: string;

  private constructor(dir: string) {
    this.dir = dir;
  }

  static make(): PackedProject {
    const project = new PackedProject(mkdtempSync(join(tmpdir(), "hdpack-")));
    try {
      project.#install();
    } catch (e) {
      project.remove();
      throw e;
    }
    return project;
  }

  #install(): void {
    const npm = (cwd: string, ...args: string[]): string =>
      execFileSync("npm", [...args, "--offline", "--no-audit", "--no-fund", "--loglevel=error"], {
        cwd,
        encoding: "utf8",
      });
    const [packed] = JSON.parse(npm(root, "pack", "--json", "--pack-destination", this.dir)) as { filename: string }[];
    const { dependencies, optionalDependencies } = JSON.parse(
      readFileSync(join(root, "package.json"), "utf8"),
    ) as Manifest;
    const needed: Record<string, string> = { heddle: `file:${packed!.filename}` };
    for (const [name, version] of Object.entries({ ...dependencies, ...optionalDependencies })) {
      const stub = `stubs/${name}`;
      this.write(`${stub}/package.json`, JSON.stringify({ name, version, main: "index.js" }));
      this.write(`${stub}/index.js`, `throw new Error("${name} was loaded");\n`);
      needed[name] = `file:${stub}`;
    }
    const manifest = { name: "consumer", version: "1.0.0", private: true, type: "module", dependencies: needed };
    this.write("package.json", JSON.stringify(manifest));
    npm(this.dir, "install", "--ignore-scripts");
  }

  write(path: string, text: string): void {
    const file = join(this.dir, path);
    mkdirSync(join(file, ".."), { recursive: true });
    writeFileSync(file, text);
  }

  read(path: string): string {
    return readFileSync(join(this.dir, path), "utf8");
  }

  /** Makes the types of Node.js known to the project, as `npm install @types/node` does. */
  addNodeTypes(): void {
    mkdirSync(join(this.dir, "node_modules/@types"), { recursive: true });
    for (const name of ["@types/node", "undici-types"]) {
      symlinkSync(join(root, "node_modules", name), join(this.dir, "node_modules", name));
    }
  }

  /** Type-checks with these options beside the strict ones; returns what the compiler has to say. */
  typeCheck(files: readonly string[], options: Readonly<Record<string, unknown>> = {}): string {
    const compilerOptions = {
      ...{ target: "es2024", module: "nodenext", moduleResolution: "nodenext", noEmit: true, skipLibCheck: false },
      ...{ strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, types: [], ...options },
    };
    this.write("tsconfig.json", JSON.stringify({ compilerOptions, files }));
    try {
      return this.node(join(root, "node_modules/typescript/bin/tsc"), "-p", ".");
    } catch (e) {
      return (e as { stdout?: string }).stdout ?? String(e);
    }
  }

  /** Runs Node.js in the project; returns what it prints. */
  node(...args: string[]): string {
    return execFileSync(process.execPath, args, { cwd: this.dir, encoding: "utf8", timeout: 60_000 });
  }

  /** Runs a module and returns the URLs of everything that was loaded for it, by `import` and by `require`. */
  loadedBy(module: string): string[] {
    this.write(
      "trace.mjs",
      `import { registerHooks } from "node:module";
const seen = new Set();
registerHooks({ load(url, context, next) { seen.add(url); return next(url, context); } });
process.on("exit", () => process._rawDebug(JSON.stringify([...seen])));
`,
    );
    const script = `node --import ./trace.mjs "$1" 2>&1 >/dev/null`;
    const text = execFileSync("sh", ["-c", script.replace("node", process.execPath), "sh", module], {
      cwd: this.dir,
      encoding: "utf8",
      timeout: 60_000,
    });
    return JSON.parse(text) as string[];
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}
