import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { join, posix } from "node:path"
import { readSource } from "./support/SourceText.ts"

/*
 * Who may import whom. A room is a set of files with one purpose; it lists everything that its files may import, and
 * what is not listed is refused. A name that ends with a slash means everything below it.
 */

interface Room {
  readonly name: string
  readonly files: RegExp
  readonly mayImport: ReadonlyArray<string>
}

const kernel = [
  "src/KagziError.ts",
  "src/Registry.ts",
  "src/RetryPolicy.ts",
  "src/Run.ts",
  "src/Schedule.ts",
  "src/TraceContext.ts",
  "src/ids.ts",
  "src/marks.ts"
]
const effect = ["effect", "effect/"]
const wire = ["gen/", "@bufbuild/protobuf", "@bufbuild/protobuf/", "@connectrpc/connect", "@connectrpc/connect/"]
const nodeTransport = ["@connectrpc/connect-node"]

/** The first room that a file fits is its own. */
const rooms: ReadonlyArray<Room> = [
  {
    name: "kernel",
    files: /^src\/(KagziError|Registry|RetryPolicy|Run|Schedule|TraceContext|ids|marks)\.ts$/,
    mayImport: [...effect, ...kernel]
  },
  {
    name: "definitions",
    files: /^src\/(Workflow|Step|Signal|Schedules)\.ts$/,
    mayImport: [...effect, "src/*.ts", "src/worker/", "src/protocol/Protocol.ts"]
  },
  {
    name: "public modules",
    files: /^src\/[^/]+\.ts$/,
    mayImport: [...effect, "src/*.ts", "src/worker/", "src/protocol/"]
  },
  {
    // The one place of the SDK that asks the machine anything.
    name: "host",
    files: /^src\/worker\/Host\.ts$/,
    mayImport: ["node:os", "node:process", ...effect]
  },
  {
    name: "worker",
    files: /^src\/worker\//,
    mayImport: [...effect, ...kernel, "src/worker/", "src/protocol/Protocol.ts"]
  },
  {
    name: "protocol",
    files: /^src\/protocol\//,
    mayImport: [...effect, ...kernel, ...wire, ...nodeTransport, "src/protocol/"]
  },
  {
    name: "server",
    files: /^src\/server\//,
    mayImport: [
      ...effect,
      ...kernel,
      ...wire,
      ...nodeTransport,
      "node:",
      "src/protocol/",
      "src/engine/",
      "src/store/",
      "src/server/"
    ]
  },
  {
    name: "engine",
    files: /^src\/engine\//,
    mayImport: [...effect, ...kernel, "src/store/Store.ts", "src/engine/"]
  },
  {
    name: "SQLite store",
    files: /^src\/store\/sqlite\//,
    mayImport: [...effect, ...kernel, "node:", "src/store/*.ts", "src/store/rows/", "src/store/sqlite/"]
  },
  {
    name: "PostgreSQL store",
    files: /^src\/store\/postgres\//,
    mayImport: [
      ...effect,
      ...kernel,
      "node:",
      "@effect/sql-pg/",
      "src/store/*.ts",
      "src/store/rows/",
      "src/store/postgres/"
    ]
  },
  {
    name: "rows of stores",
    files: /^src\/store\/rows\//,
    mayImport: [...effect, ...kernel, "src/store/*.ts", "src/store/rows/"]
  },
  {
    name: "store port",
    files: /^src\/store\/[^/]+\.ts$/,
    mayImport: [...effect, ...kernel, "src/store/*.ts"]
  },
  {
    name: "command line",
    files: /^src\/cli\//,
    mayImport: [...effect, "@effect/platform-node/", "node:module", "node:v8", "src/*.ts", "src/server/", "src/cli/"]
  },
  {
    name: "test kit",
    files: /^src\/testing\//,
    mayImport: [
      ...effect,
      "src/*.ts",
      "src/worker/",
      "src/protocol/",
      "src/server/",
      "src/engine/",
      "src/store/",
      "src/testing/"
    ]
  }
]

/** Where a part of Effect that is not yet stable is at home, so that one folder has to follow when it changes. */
const homes: Record<string, string> = {
  "effect/sql": "src/store",
  "effect/cli": "src/cli",
  "effect/http": "src/server",
  "effect/observability": "src/server",
  "effect/testing": "src/testing"
}

/** What a file does in spite of the rule that time, chance, output and failure are Effect's, and why it has to. */
const exceptions: ReadonlyArray<{ readonly file: string; readonly use: string; readonly why: string }> = []

const matches = (pattern: string, target: string): boolean => {
  if (pattern.endsWith("/*.ts")) {
    const folder = pattern.slice(0, -"*.ts".length)
    return target.startsWith(folder) && !target.slice(folder.length).includes("/")
  }
  return pattern.endsWith("/") || pattern.endsWith(":") ? target.startsWith(pattern) : target === pattern
}

const targetOf = (file: string, specifier: string): string =>
  specifier.startsWith(".") ? posix.join(posix.dirname(file), specifier) : specifier

/** `effect/sql` of `effect/sql/SqlClient`; nothing for the stable modules, which are named like `effect/Effect`. */
const unstablePart = (target: string): string | undefined => /^effect\/[a-z][^/]*/.exec(target)?.[0]

const folderOf = (file: string) => file.split("/").slice(0, 2).join("/")

const violationsOf = (file: string, text: string): ReadonlyArray<string> => {
  const room = rooms.find((candidate) => candidate.files.test(file))
  if (room === undefined) return [`${file} is in no room`]
  const { imports, uses } = readSource(text)
  const targets = imports.map((specifier) => targetOf(file, specifier))
  return [
    ...targets
      .filter((target) => !room.mayImport.some((pattern) => matches(pattern, target)))
      .map((target) => `${file} (${room.name}) may not import ${target}`),
    ...targets.flatMap((target) => {
      const home = homes[unstablePart(target) ?? ""]
      return home === undefined || folderOf(file) === home ? [] : [`${file} may not import ${target}: ${home} may`]
    }),
    ...imports
      .filter((specifier) => specifier.startsWith(".") && !specifier.endsWith(".ts"))
      .map((specifier) => `${file} imports ${specifier} without its .ts extension`),
    ...uses
      .filter((use) => !exceptions.some((exception) => exception.file === file && exception.use === use))
      .map((use) => `${file} uses ${use}`)
  ]
}

const root = join(import.meta.dirname, "..")

const sources: ReadonlyArray<{ readonly file: string; readonly text: string }> = readdirSync(join(root, "src"), {
  recursive: true,
  encoding: "utf8"
})
  .filter((name) => name.endsWith(".ts"))
  .map((name) => `src/${name.replaceAll("\\", "/")}`)
  .sort()
  .map((file) => ({ file, text: readFileSync(join(root, file), "utf8") }))

describe("the sources", () => {
  it("import only what their room may, and leave time, chance, output and failure to Effect", () => {
    assert.isAbove(sources.length, 0)
    assert.deepStrictEqual(
      sources.flatMap(({ file, text }) => violationsOf(file, text)),
      []
    )
  })

  it("use each unstable part of Effect from one folder", () => {
    const users = new Map<string, Set<string>>()
    for (const { file, text } of sources) {
      for (const specifier of readSource(text).imports) {
        const part = unstablePart(specifier)
        if (part !== undefined) users.set(part, (users.get(part) ?? new Set()).add(folderOf(file)))
      }
    }
    assert.deepStrictEqual(
      [...users].filter(([, folders]) => folders.size > 1).map(([part, folders]) => `${part}: ${[...folders]}`),
      []
    )
  })

  it("import no package that an installed kagzi would lack", () => {
    const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
    const installed = new Set(Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies }))
    const packageOf = (specifier: string) =>
      specifier.startsWith("@") ? specifier.split("/").slice(0, 2).join("/") : specifier.split("/")[0]!
    const missing = sources.flatMap(({ file, text }) =>
      readSource(text)
        .imports.filter((specifier) => !specifier.startsWith(".") && !specifier.startsWith("node:"))
        .filter((specifier) => !installed.has(packageOf(specifier)))
        .map((specifier) => `${file} imports ${specifier}`)
    )
    assert.deepStrictEqual(missing, [])
  })

  it("need every exception that is made for them", () => {
    const unused = exceptions.filter(({ file, use }) => {
      const source = sources.find((candidate) => candidate.file === file)
      return source === undefined || !readSource(source.text).uses.includes(use)
    })
    assert.deepStrictEqual(unused, [])
  })
})

describe("the rules", () => {
  const refused: ReadonlyArray<readonly [file: string, text: string, violation: string]> = [
    ["src/Run.ts", `import { x } from "./Workflow.ts"`, "src/Run.ts (kernel) may not import src/Workflow.ts"],
    ["src/Workflow.ts", `import "../gen/kagzi/v1/x_pb.ts"`, "(definitions) may not import gen/kagzi/v1/x_pb.ts"],
    ["src/Step.ts", `export * from "./protocol/Rpc.ts"`, "(definitions) may not import src/protocol/Rpc.ts"],
    ["src/Worker.ts", `import "./server/index.ts"`, "(public modules) may not import src/server/index.ts"],
    ["src/worker/Pass.ts", `import "../protocol/Codec.ts"`, "(worker) may not import src/protocol/Codec.ts"],
    ["src/worker/Pass.ts", `import "@connectrpc/connect"`, "(worker) may not import @connectrpc/connect"],
    ["src/protocol/Rpc.ts", `import "../engine/Engine.ts"`, "(protocol) may not import src/engine/Engine.ts"],
    ["src/engine/a/B.ts", `import "node:fs"`, "(engine) may not import node:fs"],
    ["src/engine/B.ts", `import "../store/sqlite/Sql.ts"`, "(engine) may not import src/store/sqlite/Sql.ts"],
    ["src/engine/B.ts", `type A = import("../../gen/a_pb.ts").A`, "(engine) may not import gen/a_pb.ts"],
    ["src/store/Store.ts", `import "node:sqlite"`, "(store port) may not import node:sqlite"],
    ["src/store/sqlite/Sql.ts", `import "../../engine/A.ts"`, "(SQLite store) may not import src/engine/A.ts"],
    ["src/cli/main.ts", `import "@effect/platform-node"`, "(command line) may not import @effect/platform-node"],
    ["src/cli/main.ts", `const x = import("../store/Store.ts")`, "(command line) may not import src/store/Store.ts"],
    ["src/testing/Kit.ts", `import "../cli/main.ts"`, "(test kit) may not import src/cli/main.ts"],
    ["src/server/A.ts", `import "effect/sql"`, "may not import effect/sql: src/store may"],
    ["src/server/A.ts", `import "effect/cli/Command"`, "may not import effect/cli/Command: src/cli may"],
    ["src/server/A.ts", `import "./B"`, "imports ./B without its .ts extension"],
    ["src/elsewhere/A.ts", "", "src/elsewhere/A.ts is in no room"],
    ["src/Run.ts", "const f = async () => 1", "uses async"],
    ["src/Run.ts", "const o = { async f() {} }", "uses async"],
    ["src/Run.ts", "await 1", "uses await"],
    ["src/Run.ts", "const t = Date.now()", "uses Date.now"],
    ["src/Run.ts", "const t = new Date()", "uses new Date()"],
    ["src/Run.ts", "const now = performance.now", "uses performance.now"],
    ["src/Run.ts", "const r = Math.random()", "uses Math.random"],
    ["src/Run.ts", "setTimeout(f, 1)", "uses setTimeout"],
    ["src/Run.ts", "globalThis.setInterval(f, 1)", "uses setInterval"],
    ["src/Run.ts", "const log = console.log", "uses console"],
    ["src/Run.ts", `const f = () => { throw new Error("x") }`, "uses throw"]
  ]

  it.each(refused)("refuse in %s: %s", (file, text, violation) => {
    const violations = violationsOf(file, text)
    assert.isTrue(
      violations.some((found) => found.endsWith(violation)),
      `${violation} is not among: ${violations.join("; ")}`
    )
  })

  const accepted: ReadonlyArray<readonly [file: string, text: string]> = [
    ["src/Run.ts", `import { Effect } from "effect"\nimport * as KagziError from "./KagziError.ts"`],
    ["src/Workflow.ts", `import type { Protocol } from "./protocol/Protocol.ts"`],
    ["src/KagziClient.ts", `import "./protocol/Rpc.ts"\nimport "./Workflow.ts"`],
    ["src/engine/A.ts", `import "../store/Store.ts"\nimport "./lifecycle/B.ts"`],
    ["src/store/sqlite/Sql.ts", `import "node:sqlite"\nimport "../Store.ts"\nimport "effect/sql/SqlClient"`],
    ["src/server/A.ts", `import "node:http2"\nimport "../../gen/kagzi/v1/x_pb.ts"\nimport "@connectrpc/connect"`],
    ["src/cli/main.ts", `import "effect/cli"\nimport "@effect/platform-node/NodeRuntime"`],
    ["src/Run.ts", "// await console.log(Date.now())\nconst s = 'throw setTimeout(f)'"],
    ["src/Run.ts", "const d = new Date(0)\nconst x = { console: 1, async: 2 }\nconst y = x.console"]
  ]

  it.each(accepted)("accept in %s: %s", (file, text) => {
    assert.deepStrictEqual(violationsOf(file, text), [])
  })
})
