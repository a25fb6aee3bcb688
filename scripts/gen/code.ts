// What code names and calls, as far as its text says: sources are parsed, not type-checked.
import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import ts from "typescript";

const root = join(import.meta.dirname, "../..");

/** A declaration at a module's top. */
export interface Declared {
  readonly name: string;
  /** Relative to the repository. */
  readonly file: string;
  readonly node: ts.Node;
}

interface Module {
  readonly declared: ReadonlyMap<string, Declared>;
  /** Local name → where it comes from. */
  readonly imported: ReadonlyMap<string, { readonly file: string; readonly name: string }>;
}

/** The modules below some folders. */
export class Code {
  readonly #modules = new Map<string, Module>();

  constructor(...globs: readonly string[]) {
    for (const path of globSync([...globs], { cwd: root })) {
      const source = ts.createSourceFile(path, readFileSync(join(root, path), "utf8"), ts.ScriptTarget.Latest, true);
      this.#modules.set(path, moduleOf(source));
    }
  }

  /** Everything declared at the top of the modules whose path begins so, in the order of the paths. */
  *declarations(path: string): Iterable<Declared> {
    for (const [file, { declared }] of [...this.#modules].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
      if (file.startsWith(path)) yield* declared.values();
    }
  }

  /** What `name` means in a module; undefined for parameters, globals, and what is imported from elsewhere. */
  resolve(file: string, name: string): Declared | undefined {
    const module = this.#modules.get(file);
    const own = module?.declared.get(name);
    const imported = module?.imported.get(name);
    return own ?? (imported && this.resolve(imported.file, imported.name));
  }

  /**
   * The nodes themselves and the declarations that they name, and what these name, and so on, without types. `enter` says
   * into what to look further; what it refuses is among the result all the same.
   */
  reach(nodes: readonly ts.Node[], enter: (declared: Declared) => boolean): { nodes: ts.Node[]; named: Set<Declared> } {
    const named = new Set<Declared>();
    const seen = new Set<ts.Node>();
    const queue = [...nodes];
    for (const node of queue) {
      if (seen.has(node)) continue;
      seen.add(node);
      const { fileName } = node.getSourceFile();
      const locals = localsOf(node);
      for (const name of namesIn(node)) {
        const local = locals.get(name);
        if (local) queue.push(local);
        const declared = local ? undefined : this.resolve(fileName, name);
        if (!declared) continue;
        named.add(declared);
        if (enter(declared)) queue.push(declared.node);
      }
    }
    return { nodes: [...seen], named };
  }
}

function moduleOf(source: ts.SourceFile): Module {
  const declared = new Map<string, Declared>();
  const imported = new Map<string, { file: string; name: string }>();
  const add = (name: ts.Node | undefined, node: ts.Node): void => {
    if (name && ts.isIdentifier(name)) declared.set(name.text, { name: name.text, file: source.fileName, node });
  };
  for (const statement of source.statements) {
    if (ts.isVariableStatement(statement)) {
      for (const one of statement.declarationList.declarations) add(one.name, one);
    } else if (
      ts.isFunctionDeclaration(statement) ||
      ts.isClassDeclaration(statement) ||
      ts.isInterfaceDeclaration(statement) ||
      ts.isTypeAliasDeclaration(statement)
    ) {
      add(statement.name, statement);
    } else if (ts.isImportDeclaration(statement) && ts.isStringLiteral(statement.moduleSpecifier)) {
      const { text } = statement.moduleSpecifier;
      const bindings = statement.importClause?.namedBindings;
      if (!text.startsWith(".") || !bindings || !ts.isNamedImports(bindings)) continue;
      const file = relative(root, join(root, dirname(source.fileName), text));
      for (const one of bindings.elements) {
        imported.set(one.name.text, { file, name: (one.propertyName ?? one.name).text });
      }
    }
  }
  return { declared, imported };
}

/** The function at the module's top that a node is in. */
export function outermost(node: ts.Node): ts.Node {
  let at = node;
  while (at.parent && !ts.isSourceFile(at.parent) && !ts.isVariableDeclarationList(at.parent)) at = at.parent;
  return at;
}

/** What is declared anywhere in the function that a node is in: functions and constants. */
function localsOf(node: ts.Node): ReadonlyMap<string, ts.Node> {
  const locals = new Map<string, ts.Node>();
  const top = outermost(node);
  visit(top, (inner) => {
    if (inner === top || inner === node) return;
    if (
      (ts.isVariableDeclaration(inner) || ts.isFunctionDeclaration(inner)) &&
      inner.name &&
      ts.isIdentifier(inner.name)
    ) {
      locals.set(inner.name.text, inner);
    }
  });
  return locals;
}

/** Calls `look` with a node and all below it, but for types. */
export function visit(node: ts.Node, look: (node: ts.Node) => void): void {
  look(node);
  ts.forEachChild(node, (child) => {
    if (!ts.isTypeNode(child)) visit(child, look);
  });
}

/** Identifiers that stand for a value: not the names of properties, nor parameters. */
function namesIn(node: ts.Node): Set<string> {
  const names = new Set<string>();
  const parameters = new Set<string>();
  const declare = (name: ts.BindingName): void => {
    if (ts.isIdentifier(name)) parameters.add(name.text);
    else for (const one of name.elements) if (ts.isBindingElement(one)) declare(one.name);
  };
  visit(node, (inner) => {
    if (ts.isParameter(inner)) declare(inner.name);
    if (!ts.isIdentifier(inner)) return;
    const { parent } = inner;
    if (ts.isPropertyAccessExpression(parent) && parent.name === inner) return;
    if ((ts.isPropertyAssignment(parent) || ts.isMethodDeclaration(parent)) && parent.name === inner) return;
    if (ts.isBindingElement(parent) && parent.propertyName === inner) return;
    names.add(inner.text);
  });
  return names.difference(parameters);
}

/** The doc comment of a declaration, its lines joined. */
export function docOf(node: ts.Node): string {
  const owner = ts.isVariableDeclaration(node) ? node.parent.parent : node;
  const doc = ts.getJSDocCommentsAndTags(owner).find(ts.isJSDoc);
  return (ts.getTextOfJSDocComment(doc?.comment) ?? "").replaceAll(/\s+/g, " ").trim();
}
