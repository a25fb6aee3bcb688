import { Command } from "commander";
import type { Finding } from "../../policy/lint.ts";
import { CliExit, ExitCode, print } from "../output.ts";
import { type QueryOptions, queryCommand } from "../scheduler/options.ts";
import { askAgent } from "./ask.ts";
import type { ManifestObject, ManifestProblem } from "./manifests.ts";

interface LintOptions extends QueryOptions {
  readonly offline?: boolean;
  readonly namespace: string;
}

/** What is printed: findings by file, and what is no policy at all. */
interface LintResult {
  /** Number of policies that were looked at. */
  readonly policies: number;
  readonly findings: readonly (Finding & { readonly file: string })[];
  readonly problems: readonly ManifestProblem[];
}

const HELP = `
Without --offline the policies are looked at beside the pods and namespaces of the agent's cluster; with it beside those in
the files, if there are any. FILE is YAML or JSON, "-" is standard input.
Exit codes: 0 nothing to complain about, 1 something was found, 2 it could not be looked at.`;

/** `heddlectl policy lint FILE...` */
export function lintCommand(): Command {
  return queryCommand(new Command("lint"))
    .description("what is wrong, or hardly meant, in policies that are (not yet) applied")
    .argument("<file...>")
    .option("--offline", "ask no agent")
    .option("-n, --namespace <name>", "of objects that don't say theirs", "default")
    .addHelpText("after", HELP)
    .action(lint);
}

async function lint(files: readonly string[], options: LintOptions): Promise<void> {
  const { readManifests } = await import("./manifests.ts");
  const { objects, problems } = await readManifests(files, options.namespace);
  const policies = objects.filter(({ key }) => /^\/heddle\/k8s\/(cluster)?networkpolicy\//.test(key));
  if (policies.length === 0 && problems.length === 0) {
    throw new CliExit(ExitCode.USAGE, `no policies in ${files.join(", ")}`);
  }
  const fileOf = new Map(policies.map(({ key, file }) => [key, file]));
  const found = options.offline === true ? await lintHere(objects) : await lintThere(options, policies);
  const findings = found.map((finding) => ({ file: fileOf.get(keyOf(finding)) ?? "", ...finding }));
  const result: LintResult = { policies: policies.length, findings, problems };
  const { findingText, lintText } = await import("../../policy/lint-text.ts");
  await print(result, options.output, () =>
    findings.length + problems.length === 0
      ? lintText([])
      : [
          ...problems.map(({ file, message }) => `${file}: error ${message}`),
          ...findings.map((finding) => `${finding.file}: ${findingText(finding)}`),
        ].join("\n"),
  );
  if (findings.length + problems.length > 0) throw new CliExit(ExitCode.FAILED);
}

const keyOf = ({ policy: { kind, namespace, name } }: Finding): string =>
  `/heddle/k8s/${kind.toLowerCase()}/${kind === "NetworkPolicy" ? `${namespace}/` : ""}${name}`;

async function lintHere(objects: readonly ManifestObject[]): Promise<readonly Finding[]> {
  const [{ policyInput }, { lintObjects }] = await Promise.all([
    import("../../policy/inputs.ts"),
    import("../../policy/lint-objects.ts"),
  ]);
  return lintObjects(objects.flatMap(({ key, value }) => policyInput(key, value) ?? []));
}

async function lintThere(options: QueryOptions, policies: readonly ManifestObject[]): Promise<readonly Finding[]> {
  if (policies.length === 0) return [];
  const objects = policies.map(({ key, value }) => [key, Buffer.from(value).toString("base64")]);
  const body = JSON.stringify({ objects });
  const { findings } = await askAgent<{ findings: readonly Finding[] }>(options, {
    method: "POST",
    path: "/policy/lint",
    body,
  });
  return findings;
}
