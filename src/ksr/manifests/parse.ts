import { parseAllDocuments } from "yaml";
import { fullMessage, HeddleError } from "../../base/errors/errors.ts";
import { isMapping, type Json } from "../convert/members.ts";

/** The text is neither YAML nor JSON, or not complete. The message says where. */
export class ManifestError extends HeddleError<"MANIFEST"> {}

/**
 * The objects of a manifest: documents of YAML or one of JSON, `List`s taken apart. What is in them is not looked at.
 * @throws ManifestError
 */
export function parseManifest(text: string): unknown[] {
  return documents(text)
    .filter((d) => d != null) // comments alone, as templates leave them behind
    .flatMap(items);
}

function documents(text: string): unknown[] {
  // JSON's parser takes a hundredth of the time of YAML's, and what is in JSON is often large.
  if (/^\s*\{/.test(text)) {
    try {
      return [JSON.parse(text)];
    } catch {
      // Perhaps YAML in its flow form, or several documents.
    }
  }
  const parsed = parseAllDocuments(text, { logLevel: "error", prettyErrors: true });
  const all = Array.isArray(parsed) ? parsed : [];
  return all.map((document, i) => {
    const [error] = document.errors;
    if (error) throw new ManifestError("MANIFEST", firstLine(error.message), { cause: error });
    try {
      return document.toJS() as unknown;
    } catch (e) {
      throw new ManifestError("MANIFEST", `document ${i + 1}: ${fullMessage(e)}`, { cause: e }); // too many aliases
    }
  });
}

/** `kind: List`, and those of one kind, whose items needn't say what they are. */
function items(document: unknown): unknown[] {
  if (!isMapping(document)) return [document];
  const { kind, apiVersion, items: members } = document;
  if (typeof kind !== "string" || !kind.endsWith("List") || !Array.isArray(members)) return [document];
  const named: Json = kind === "List" ? {} : { apiVersion, kind: kind.slice(0, -"List".length) };
  return members.flatMap((m: unknown) => (isMapping(m) ? items({ ...named, ...m }) : [m]));
}

const firstLine = (message: string): string => message.split("\n", 1)[0] ?? message;
