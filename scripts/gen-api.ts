// Makes docs/guide/kvscheduler-api.md from the declarations and doc comments of what package.json exports.
import { readFileSync } from "node:fs";
import { join, relative } from "node:path";
import ts from "typescript";

const root = join(import.meta.dirname, "..");

const ENTRIES = [
  { specifier: "heddle/kvscheduler", source: "src/kvscheduler/index.ts" },
  { specifier: "heddle/kvscheduler/history-file", source: "src/kvscheduler/history-file/index.ts" },
  { specifier: "heddle/kvscheduler/introspect", source: "src/kvscheduler/introspect/index.ts" },
  { specifier: "heddle/lifecycle", source: "src/infra/lifecycle/index.ts" },
] as const;

interface Item {
  readonly name: string;
  /** The module of the source, relative to the repository. */
  readonly file: string;
  readonly doc: string;
  /** The declaration, with the comments of its members. */
  readonly code: string;
}

export function apiText(): string {
  const { program, declarations } = compile();
  const checker = program.getTypeChecker();
  const told = new Map<string, string>();
  const sections: string[] = [];
  for (const { specifier, source } of ENTRIES) {
    const entry = program.getSourceFile(join(root, source))!;
    const module = checker.getSymbolAtLocation(entry)!;
    const again: string[] = [];
    const items: Item[] = [];
    for (const exported of checker.getExportsOfModule(module)) {
      const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
      const where = symbol.declarations?.[0]?.getSourceFile().fileName;
      if (where === undefined) throw new Error(`${exported.name} has no declaration`);
      const id = `${where}#${symbol.name}`;
      if (told.has(id)) {
        again.push(exported.name);
        continue;
      }
      told.set(id, specifier);
      items.push(itemOf(exported.name, symbol.name, where, declarations));
    }
    sections.push(sectionOf(specifier, entry, items, again));
  }
  return `<!-- Generated from the doc comments by \`npm run gen\`. Do not edit. -->

# API of the library

What can be imported, module by module. Start with the [README](../../src/kvscheduler/README.md).

${sections.join("\n")}`;
}

/** The program, and the text of its declaration files by source file. */
function compile(): { program: ts.Program; declarations: ReadonlyMap<string, ts.SourceFile> } {
  const config = ts.readConfigFile(join(root, "tsconfig.library.json"), (path) => readFileSync(path, "utf8"));
  const { options, fileNames } = ts.parseJsonConfigFileContent(config.config, ts.sys, root);
  const program = ts.createProgram(fileNames, { ...options, emitDeclarationOnly: true });
  const declarations = new Map<string, ts.SourceFile>();
  program.emit(undefined, (path, text, _mark, _onError, sources) => {
    declarations.set(sources![0]!.fileName, ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true));
  });
  return { program, declarations };
}

function itemOf(name: string, declared: string, file: string, declarations: ReadonlyMap<string, ts.SourceFile>): Item {
  const parsed = declarations.get(file)!;
  const statement = parsed.statements.find((s) => namesOf(s).includes(declared));
  if (statement === undefined) throw new Error(`${file} does not declare ${declared}`);
  const comments = ts.getJSDocCommentsAndTags(statement).filter(ts.isJSDoc);
  const doc = comments.map((c) => proseOf(c.getText(parsed))).join("\n");
  const code = statement
    .getText(parsed)
    .replace(/^export (declare )?/, "")
    .replace(/^ {4}(#private|private [^\n]*);\n/gm, "")
    .replace(/^( {4})+/gm, (spaces) => "  ".repeat(spaces.length / 4));
  return { name, file: relative(root, file), doc, code };
}

function namesOf(statement: ts.Statement): string[] {
  if (ts.isVariableStatement(statement)) return statement.declarationList.declarations.map((d) => d.name.getText());
  const name = (statement as ts.Statement & { name?: ts.Node }).name;
  return name === undefined ? [] : [name.getText()];
}

/** The text of a doc comment as Markdown. */
function proseOf(comment: string): string {
  return comment
    .replace(/^\/\*\*\s?|\s*\*\/$/g, "")
    .replace(/^[ \t]*\* ?/gm, "")
    .replace(/\{@link ([^}|]+)\}/g, "`$1`")
    .replace(/(^|\s)@throws /g, "$1**Throws** ")
    .replace(/^@template (\w+) /gm, "\n- `$1`: ")
    .replace(/^@module\s*$/gm, "")
    .trim();
}

function sectionOf(specifier: string, entry: ts.SourceFile, items: readonly Item[], again: readonly string[]): string {
  const intro = proseOf(/\/\*\*[^]*?\*\//.exec(entry.text)?.[0] ?? "");
  const lines = [`## \`${specifier}\``, "", intro, ""];
  lines.push("| | |", "|---|---|");
  for (const item of items) lines.push(`| [${item.name}](#${anchorOf(item.name)}) | ${firstSentence(item.doc)} |`);
  if (again.length > 0) lines.push("", `Also, as above: ${again.map((n) => `\`${n}\``).join(", ")}.`);
  lines.push("");
  for (const { name, doc, code, file } of items) {
    lines.push(`### ${name}`, "");
    if (doc !== "") lines.push(doc, "");
    lines.push("```ts", `// ${file}`, code, "```", "");
  }
  return lines.join("\n");
}

const anchorOf = (name: string): string => name.toLowerCase();

function firstSentence(doc: string): string {
  const text = doc.split(/\n\s*\n|\n- |\n```/)[0]!.replaceAll("\n", " ");
  return (/^.*?\.(?= |$)/.exec(text)?.[0] ?? text).replaceAll("|", "\\|");
}
