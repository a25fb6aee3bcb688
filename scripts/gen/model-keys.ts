// The keys of models as patterns, from the functions that make them.
import ts from "typescript";
import { type Code, type Declared, visit } from "./code.ts";

/** The key space of a function that makes keys, or of a constant that is one. */
export function prefixOf(code: Code, declared: Declared): Declared | undefined {
  const isSpace = (name: string): boolean => /_(PREFIX|KEY)$/.test(name);
  if (isSpace(declared.name)) return declared;
  if (!declared.name.endsWith("Key")) return undefined;
  let prefix: Declared | undefined;
  visit(declared.node, (inner) => {
    if (ts.isIdentifier(inner) && isSpace(inner.text)) prefix ??= code.resolve(declared.file, inner.text);
  });
  return prefix;
}

/** `vpp/address/<interface>/<address>`: the constant itself where no function makes a key of it. */
export function keyText(code: Code, prefix: Declared): string {
  for (const declared of code.declarations(prefix.file)) {
    if (!declared.name.endsWith("Key") || prefixOf(code, declared) !== prefix) continue;
    const patterns: string[] = [];
    visit(declared.node, (inner) => {
      const begin = ts.isTemplateExpression(inner) ? inner.templateSpans[0]?.expression : undefined;
      if (begin?.getText() === prefix.name) patterns.push(expand(code, prefix.file, inner as ts.TemplateExpression));
    });
    if (patterns.length > 0) return patterns.join(" or ");
  }
  return constant(prefix.node);
}

function expand(code: Code, file: string, template: ts.TemplateExpression): string {
  const spans = template.templateSpans.map(
    ({ expression, literal }) => `${part(code, file, expression)}${literal.text}`,
  );
  return `${template.head.text}${spans.join("")}`;
}

function part(code: Code, file: string, expression: ts.Expression): string {
  if (ts.isStringLiteral(expression)) return expression.text;
  if (ts.isTemplateExpression(expression)) return expand(code, file, expression);
  if (ts.isParenthesizedExpression(expression)) return part(code, file, expression.expression);
  if (ts.isConditionalExpression(expression)) {
    return `(${part(code, file, expression.whenTrue)} or ${part(code, file, expression.whenFalse)})`;
  }
  if (ts.isIdentifier(expression)) {
    const declared = code.resolve(file, expression.text);
    return declared ? constant(declared.node) : `<${expression.text}>`;
  }
  if (ts.isPropertyAccessExpression(expression)) return `<${expression.name.text}>`;
  // A text made of it: the first thing that is named.
  let name: string | undefined;
  visit(expression, (inner) => {
    const isCalled = ts.isCallExpression(inner.parent) && inner.parent.expression === inner;
    if (isCalled || !ts.isPropertyAccessExpression(inner)) return;
    if (ts.isIdentifier(inner.expression)) name ??= inner.name.text;
  });
  return `<${name ?? expression.getText()}>`;
}

const constant = (node: ts.Node): string => /"(.+?)"/.exec(node.getText())?.[1] ?? "";
