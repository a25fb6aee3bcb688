import { readFile } from "node:fs/promises";
import { errnoOf, fullMessage } from "../../base/errors/errors.ts";
import { isMapping } from "../../ksr/convert/members.ts";
import { bytesOf, idOf, reflect } from "../../ksr/convert/reflect.ts";
import { ManifestError, parseManifest } from "../../ksr/manifests/parse.ts";
import { CliExit, ExitCode } from "../output.ts";

/** An object of a manifest as the store would have it. */
export interface ManifestObject {
  readonly file: string;
  readonly key: string;
  readonly value: Uint8Array;
}

/** Something in a file that is no object that policies know. */
export interface ManifestProblem {
  readonly file: string;
  readonly message: string;
}

export interface Manifests {
  readonly objects: readonly ManifestObject[];
  readonly problems: readonly ManifestProblem[];
}

/** Kinds that are policies, whether or not this Heddle knows them. */
const POLICY_KINDS: ReadonlySet<unknown> = new Set([
  "NetworkPolicy",
  "ClusterNetworkPolicy",
  "AdminNetworkPolicy",
  "BaselineAdminNetworkPolicy",
]);

/** `-` is standard input. Objects without a namespace are in `namespace`. @throws CliExit for what can't be read */
export async function readManifests(files: readonly string[], namespace: string): Promise<Manifests> {
  const objects: ManifestObject[] = [];
  const problems: ManifestProblem[] = [];
  for (const file of files) {
    const text = await readText(file);
    for (const [i, object] of parse(file, text).entries()) {
      const problem = (message: string): void => void problems.push({ file, message: `object ${i + 1}: ${message}` });
      const found = reflect(inNamespace(object, namespace));
      if (found.is === "wish") objects.push({ file, key: found.wish.key, value: bytesOf(found.wish.value) });
      if (found.is === "problem") problem(found.problem);
      if (found.is === "ignored" && isMapping(object) && POLICY_KINDS.has(object["kind"])) {
        problem(
          `${idOf(object) ?? "it"} is not enforced: policies are networking.k8s.io/v1/NetworkPolicy and policy.networking.k8s.io/v1alpha2/ClusterNetworkPolicy`,
        );
      }
    }
  }
  return { objects, problems };
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file === "-" ? "/dev/stdin" : file, "utf8");
  } catch (e) {
    const why = errnoOf(e) === "ENOENT" ? "there is no such file" : fullMessage(e);
    throw new CliExit(ExitCode.USAGE, `${file}: ${why}`);
  }
}

function parse(file: string, text: string): unknown[] {
  try {
    return parseManifest(text);
  } catch (e) {
    if (e instanceof ManifestError) throw new CliExit(ExitCode.USAGE, `${file}: ${e.message}`);
    throw e;
  }
}

function inNamespace(object: unknown, namespace: string): unknown {
  if (!isMapping(object) || !isMapping(object["metadata"])) return object;
  const { metadata } = object;
  return { ...object, metadata: { ...metadata, namespace: metadata["namespace"] ?? namespace } };
}
