import { parseAst } from "vitest/node"

/** What one source file imports, and what it does that an architecture may forbid. */
export interface SourceFacts {
  /** Specifiers of every import and re-export, of types as well, static or not. */
  readonly imports: ReadonlyArray<string>
  /** Things of the host and of the language that Effect has its own way for, such as `Date.now` or `await`. */
  readonly uses: ReadonlyArray<string>
}

interface Node {
  readonly type: string
  readonly [key: string]: unknown
}

const isNode = (value: unknown): value is Node =>
  typeof value === "object" && value !== null && typeof (value as { type?: unknown }).type === "string"

const nameOf = (value: unknown): string | undefined =>
  isNode(value) && value.type === "Identifier" ? String(value.name) : undefined

const literalOf = (value: unknown): string | undefined =>
  isNode(value) && value.type === "Literal" && typeof value.value === "string" ? value.value : undefined

const importers = new Set([
  "ImportDeclaration",
  "ExportNamedDeclaration",
  "ExportAllDeclaration",
  "ImportExpression",
  "TSImportType"
])

const globals = new Set(["setTimeout", "setInterval", "console"])

const members: Record<string, ReadonlySet<string>> = {
  Date: new Set(["now"]),
  Math: new Set(["random"]),
  performance: new Set(["now"]),
  globalThis: globals
}

const useOf = (node: Node): string | undefined => {
  switch (node.type) {
    case "AwaitExpression":
      return "await"
    case "ForOfStatement":
      return node.await === true ? "await" : undefined
    case "ThrowStatement":
      return "throw"
    case "FunctionDeclaration":
    case "FunctionExpression":
    case "ArrowFunctionExpression":
      return node.async === true ? "async" : undefined
    case "NewExpression":
      return nameOf(node.callee) === "Date" && (node.arguments as ReadonlyArray<unknown>).length === 0
        ? "new Date()"
        : undefined
    case "MemberExpression": {
      const [object, property] = [nameOf(node.object), nameOf(node.property)]
      if (object === undefined || property === undefined || node.computed === true) return undefined
      if (members[object]?.has(property) !== true) return undefined
      return object === "globalThis" ? property : `${object}.${property}`
    }
    default:
      return undefined
  }
}

/** Properties that hold names and no references: `x.console`, `{ console: 1 }`. */
const namesOnly = (node: Node, key: string): boolean =>
  node.computed !== true &&
  ((node.type === "MemberExpression" && key === "property") ||
    ((node.type === "Property" || node.type.endsWith("Definition") || node.type.startsWith("TS")) && key === "key"))

export const readSource = (text: string): SourceFacts => {
  const imports: Array<string> = []
  const uses: Array<string> = []
  const visit = (node: Node): void => {
    if (importers.has(node.type)) {
      const specifier = literalOf(node.source) ?? literalOf(node.argument)
      if (specifier !== undefined) imports.push(specifier)
    }
    const use = useOf(node)
    if (use !== undefined) uses.push(use)
    const name = nameOf(node)
    if (name !== undefined && globals.has(name)) uses.push(name)
    for (const [key, value] of Object.entries(node)) {
      if (namesOnly(node, key)) continue
      for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) visit(child)
    }
  }
  visit(parseAst(text, { lang: "ts" }) as unknown as Node)
  return { imports, uses: [...new Set(uses)] }
}
