// Makes docs/guide/models.md from the models' doc comments and from what their descriptors call.
import ts from "typescript";
import { NAMED_REQUESTS, OPTIONAL_REQUESTS } from "../../src/dataplane/vpp/binapi/gen/names.ts";
import { Code, type Declared, docOf, outermost, visit } from "./code.ts";
import { keyText, prefixOf } from "./model-keys.ts";

const MESSAGES: ReadonlySet<string> = new Set(Object.values({ ...NAMED_REQUESTS, ...OPTIONAL_REQUESTS }).flat());
/** Folders whose descriptors make no requests of their own: what carries their items out instead. */
const CARRIERS: Readonly<Record<string, string>> = {
  "src/dataplane/linux/nftables/": "one transaction of nf_tables for all of an event: by netlink, or by `nft -f -`",
  "src/dataplane/linux/sysctl/": "files of `/proc/sys`",
};
/** What says how an item is to be, not how it is made so. */
const NOT_CARRYING = new Set(["dependencies", "derived", "describe", "equivalent", "retrieve", "validate"]);

interface Model {
  readonly prefix: Declared;
  readonly value: Declared | undefined;
  readonly key: string;
  readonly descriptor: DescriptorCode;
}

interface DescriptorCode {
  readonly file: string;
  readonly object: ts.ObjectLiteralExpression;
  readonly prefixes: readonly string[];
}

const code = new Code("src/dataplane/**/*.ts", "src/models/**/*.ts");
const enter = ({ file }: Declared): boolean =>
  file.startsWith("src/dataplane/") && !file.startsWith("src/dataplane/vpp/binapi/");
const reach = (...nodes: readonly ts.Node[]) => code.reach(nodes, enter);

/** The document. */
export function modelsText(): string {
  const descriptors = findDescriptors();
  const models = modelPrefixes().map((prefix) => modelOf(prefix, descriptors));
  const [linux, vpp] = [models.filter((m) => !isVpp(m)), models.filter(isVpp)];
  return `<!-- Generated from src/models and the descriptors by \`npm run gen\`. Do not edit. -->

# Models

What the scheduler is given, what carries it out, and what it waits for. Each model is one value under one key; its fields are
in \`src/models\`. Where an item is read back, a resync compares it with what is really there, and says what it is read by.

## VPP

${table(vpp)}

### Kinds of interfaces

${kindsTable(vpp)}

### Read by VPP's command line

VPP has no dump of these, so \`cli_inband\` carries a command and its text is parsed:

${cliList(vpp)}

### Not used by the agent itself

${unused(vpp)}

## The kernel

${table(linux)}
`;
}

const isVpp = ({ prefix }: Model): boolean => prefix.file.startsWith("src/models/vpp/");

/** The key spaces, as the models name them. */
function modelPrefixes(): Declared[] {
  return ["src/models/linux.ts", "src/models/nft.ts", "src/models/vpp/"].flatMap((path) =>
    [...code.declarations(path)].filter(({ name }) => /_(PREFIX|KEY)$/.test(name) && name !== "TAG_PREFIX"),
  );
}

function findDescriptors(): DescriptorCode[] {
  const found: DescriptorCode[] = [];
  for (const { node, file } of code.declarations("src/dataplane/")) {
    visit(node, (inner) => {
      if (!ts.isObjectLiteralExpression(inner)) return;
      const prefixes = property(inner, "keyPrefixes");
      if (!prefixes || !ts.isPropertyAssignment(prefixes) || !ts.isArrayLiteralExpression(prefixes.initializer)) return;
      found.push({ file, object: inner, prefixes: prefixes.initializer.elements.map((e) => e.getText()) });
    });
  }
  return found;
}

const property = (object: ts.ObjectLiteralExpression, name: string): ts.ObjectLiteralElementLike | undefined =>
  object.properties.find((p) => p.name?.getText() === name);

function modelOf(prefix: Declared, descriptors: readonly DescriptorCode[]): Model {
  const descriptor = descriptors.find((d) => d.prefixes.includes(prefix.name));
  if (!descriptor) throw new Error(`no descriptor has ${prefix.name}`);
  return { prefix, descriptor, value: valueOf(prefix, descriptor), key: keyText(code, prefix) };
}

/** `ACL_INTERFACE_PREFIX` is that of `AclInterfaceValue`; else what the descriptor says it is of. */
function valueOf({ name, file }: Declared, { object, file: at }: DescriptorCode): Declared | undefined {
  const named = code.resolve(file, `${camel(name)}Value`);
  if (named) return named;
  const text = outermost(object).getText();
  // `AclDescriptors["acl"]` is a field of an interface.
  const [, type = "", field = ""] = /\): (\w+)\["(\w+)"\]/.exec(text) ?? [];
  const where =
    code
      .resolve(at, type)
      ?.node.getText()
      .split("\n")
      .find((line) => line.includes(` ${field}: `)) ?? text;
  const value = /Descriptor<(\w+)/.exec(where)?.[1];
  return value === undefined ? undefined : code.resolve(at, value);
}

function camel(constant: string): string {
  const words = constant.replace(/_(PREFIX|KEY)$/, "").split("_");
  return words.map((w) => w.charAt(0) + w.slice(1).toLowerCase()).join("");
}

function table(models: readonly Model[]): string {
  const rows = models.map((model) => {
    const { descriptor } = model;
    const { object } = descriptor;
    const carrying = object.properties.filter((p) => !NOT_CARRYING.has(p.name?.getText() ?? ""));
    // A physical interface is not made: what is done to it is done to all.
    const ofKinds = isInterface(model) ? interfaceKinds(model).filter(({ kind }) => kind !== "physical") : [];
    const kinds = new Set(ofKinds.flatMap(({ messages }) => messages));
    const does = messagesOf(...carrying, ...groupOf(descriptor)).filter((m) => !kinds.has(m));
    const folder = Object.keys(CARRIERS).find((path) => descriptor.file.startsWith(path));
    const doing = folder === undefined ? list(does) : CARRIERS[folder];
    return [nameOf(model), `\`${model.key}\``, doing, readBack(model), waits(model)];
  });
  return text(["model", "key", "carried out by", "read back by", "waits for"], rows);
}

/** The commit group that carries a descriptor's items out, where it says that it does nothing alone. */
function groupOf({ file, object }: DescriptorCode): ts.Node[] {
  if (!object.properties.some((p) => ts.isSpreadAssignment(p) && p.expression.getText() === "common(group)")) return [];
  const [, name = ""] = /new (\w+Group)\(/.exec(object.getSourceFile().text) ?? [];
  return [code.resolve(file, name)?.node ?? []].flat();
}

const isInterface = ({ prefix }: Model): boolean => prefix.name === "INTERFACE_PREFIX";

function nameOf({ value, prefix }: Model): string {
  if (!value) return `\`${camel(prefix.name)}\``;
  const [first = ""] = docOf(value.node).split(/(?<=\.) (?=[A-Z])/);
  return `\`${value.name.replace(/Value$/, "")}\`${first === "" ? "" : `: ${plain(first)}`}`;
}

function readBack({ descriptor }: Model): string {
  const retrieve = property(descriptor.object, "retrieve");
  if (!retrieve) return "no";
  const by = [...messagesOf(retrieve).map((m) => `\`${m}\``), ...commandsOf(retrieve).map((c) => `CLI \`${c}\``)];
  return by.length === 0 ? "yes" : by.join(", ");
}

function waits({ descriptor }: Model): string {
  const dependencies = property(descriptor.object, "dependencies");
  if (!dependencies) return "nothing";
  const { nodes, named } = reach(dependencies);
  const keys = [...named].flatMap((d) => {
    const prefix = d.file.startsWith("src/models/") ? prefixOf(code, d) : undefined;
    return prefix === undefined ? [] : [`\`${/"(.+?)\/?"/.exec(prefix.node.getText())?.[1] ?? prefix.name}\``];
  });
  const requires = nodes.some((node) =>
    contains(node, (n) => ts.isPropertyAccessExpression(n) && n.name.text === "requires"),
  );
  const all = [...new Set(keys)].toSorted();
  if (requires) all.push("what its `requires` names");
  return all.join(", ") || "nothing";
}

/** Requests of VPP's API, and of rtnetlink. */
function messagesOf(...from: readonly ts.Node[]): string[] {
  const found = new Set<string>();
  for (const node of reach(...from).nodes) {
    const { fileName } = node.getSourceFile();
    visit(node, (inner) => {
      if (ts.isStringLiteral(inner) && MESSAGES.has(inner.text)) found.add(inner.text);
      if (!ts.isPropertyAccessExpression(inner) || !ts.isIdentifier(inner.expression)) return;
      // Elsewhere it is compared with, as the type of an answer.
      const { parent } = inner;
      const isSent =
        ts.isCallExpression(parent) || (ts.isPropertyAssignment(parent) && parent.name.getText() === "type");
      if (!isSent) return;
      const enumeration = code.resolve(fileName, inner.expression.text);
      // `/** RTM_*ADDR of linux/rtnetlink.h. */ const AddressMsg = { NEW: 20, … }`
      const suffix = enumeration && /^RTM_\*(\w+)/.exec(docOf(enumeration.node))?.[1];
      if (suffix !== undefined) found.add(`RTM_${inner.name.text}${suffix}`);
    });
  }
  return [...found].toSorted();
}

/** Commands of VPP's CLI. */
function commandsOf(...from: readonly ts.Node[]): string[] {
  const found = new Set<string>();
  for (const node of reach(...from).nodes) {
    visit(node, (inner) => {
      if (!ts.isCallExpression(inner) || !ts.isPropertyAccessExpression(inner.expression)) return;
      const [command] = inner.arguments;
      if (inner.expression.name.text === "cli" && command) found.add(command.getText().replaceAll(/^["`]|["`]$/g, ""));
    });
  }
  return [...found].toSorted();
}

function cliList(models: readonly Model[]): string {
  const lines = models.flatMap((model) => {
    const retrieve = property(model.descriptor.object, "retrieve");
    const commands = retrieve ? commandsOf(retrieve) : [];
    return commands.length === 0 ? [] : [`- \`${model.key}\`: ${commands.map((c) => `\`${c}\``).join(", ")}`];
  });
  return lines.join("\n");
}

/** Those that no renderer of a node or pod can use, because the agent doesn't register what carries them out. */
function unused(models: readonly Model[]): string {
  const registered = code.resolve("src/dataplane/vpp/vpp-dataplane.ts", "VppDataplane");
  if (!registered) throw new Error("VppDataplane is gone");
  const reached = new Set(reach(registered.node).nodes.map((node) => outermost(node)));
  const others = models.filter(({ descriptor }) => !reached.has(outermost(descriptor.object)));
  if (others.length === 0) return "All of them are registered by the agent.";
  const keys = others.map(({ key }) => `- \`${key}\``).join("\n");
  return `They are for programs with a scheduler of their own; the agent does not register what carries them out:\n\n${keys}`;
}

interface Kind {
  readonly kind: string;
  readonly value: Declared;
  readonly messages: readonly string[];
}

/** Values with a `kind`, and what the cases of that kind send. */
function interfaceKinds({ descriptor }: Model): Kind[] {
  const cases = reach(descriptor.object).nodes.flatMap((node) => {
    const found: ts.CaseClause[] = [];
    visit(node, (inner) => {
      if (ts.isCaseClause(inner)) found.push(inner);
    });
    return found;
  });
  const kinds: Kind[] = [];
  for (const value of code.declarations("src/models/vpp/interface")) {
    const kind = /readonly kind: "([\w-]+)"/.exec(value.node.getText())?.[1];
    if (kind === undefined) continue;
    const own = cases.filter((c) => ts.isStringLiteral(c.expression) && c.expression.text === kind);
    kinds.push({ kind, value, messages: messagesOf(...own.flatMap((c) => c.statements)) });
  }
  return kinds.toSorted((a, b) => (a.kind < b.kind ? -1 : 1));
}

function kindsTable(models: readonly Model[]): string {
  const model = models.find(isInterface);
  const rows = (model ? interfaceKinds(model) : []).map(({ kind, value, messages }) => [
    `\`${kind}\``,
    plain(docOf(value.node).split(/(?<=\.) (?=[A-Z])/)[0] ?? ""),
    list(messages),
  ]);
  return text(["kind", "what", "made and removed by"], rows);
}

function contains(node: ts.Node, is: (node: ts.Node) => boolean): boolean {
  let found = false;
  visit(node, (inner) => {
    found ||= is(inner);
  });
  return found;
}

const list = (words: readonly string[]): string => words.map((w) => `\`${w}\``).join(", ") || "nothing";
const plain = (doc: string): string => doc.replaceAll(/\{@link (\w+)\}/g, "`$1`").replaceAll("|", "\\|");

function text(head: readonly string[], rows: readonly (readonly (string | undefined)[])[]): string {
  const line = (cells: readonly (string | undefined)[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")).replaceAll(" ", ""), ...rows.map(line)].join("\n");
}
