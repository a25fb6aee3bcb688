import { open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf, HeddleError } from "../../base/errors/errors.ts";

/** Larger ones are refused: they are no manifests. */
const MAX_FILE_BYTES = 256 * 1024 * 1024;

/** What tells one state of a file from another. */
export interface FileSignature {
  readonly text: string;
  /**
   * Its inode was changed after its content, as a rename does (rename(2), and ext4, XFS, tmpfs): whoever renames a file
   * into its place has finished writing it. Writing sets both times alike.
   */
  readonly renamed: boolean;
}

/** Without those that editors and downloads make on their way. */
export const isManifest = (name: string): boolean => /^[^.#~].*\.(ya?ml|json)$/.test(name);

/** Names of the directory's manifests, in order. */
export async function manifestNames(dir: string): Promise<string[]> {
  const names = await readdir(dir);
  return names.filter(isManifest).sort();
}

/** Undefined if there is no such file. Follows links, as a mounted ConfigMap consists of them. */
export async function signatureOf(dir: string, name: string): Promise<FileSignature | undefined> {
  try {
    const found = await stat(join(dir, name), { bigint: true });
    return found.isFile() ? signature(found) : undefined;
  } catch (e) {
    if (errnoOf(e) === "ENOENT") return undefined;
    throw e;
  }
}

/** Its content, if nobody wrote to it while it was read. */
export async function readSettled(dir: string, name: string, expected: FileSignature): Promise<string | undefined> {
  await using file = await open(join(dir, name));
  const before = await file.stat({ bigint: true });
  if (before.size > MAX_FILE_BYTES) throw new HeddleError("TOO_LARGE", `${before.size} bytes are no manifest`);
  const text = await file.readFile("utf8");
  const after = await file.stat({ bigint: true });
  return [before, after].every((s) => signature(s).text === expected.text) ? text : undefined;
}

interface Stat {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

const signature = ({ dev, ino, size, mtimeNs, ctimeNs }: Stat): FileSignature => ({
  text: [dev, ino, size, mtimeNs, ctimeNs].join(":"),
  renamed: ctimeNs > mtimeNs,
});
