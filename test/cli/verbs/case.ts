/** What a table of the verbs needs: a case for each, how its output is read, and the verbs that the help tells of. */
import { assert } from "@effect/vitest"
import { Context, Effect, Layer, type Scope } from "effect"
import type { KagziClient, KagziError } from "../../../src/index.ts"
import { type Json, Server } from "../cli.ts"

type Fixture = KagziClient | Server | Scope.Scope

/** One verb: what it finds, what it prints, and what it refuses. */
export interface Verb {
  readonly name: string
  /** Runs it as people do, and checks what they see. */
  readonly table: Effect.Effect<void, KagziError, Fixture>
  /** Runs it as scripts do, and checks what they parse. */
  readonly json: Effect.Effect<void, KagziError, Fixture | Help>
  /** Runs it in a way that makes no sense. */
  readonly wrong: Effect.Effect<void, KagziError, Fixture>
}

export interface Case<A> {
  /** Makes what the command finds, under a name that nothing else has; once for people and once for scripts. */
  readonly given: (name: string) => Effect.Effect<A, KagziError, Fixture>
  readonly args?: (given: A) => ReadonlyArray<string>
  readonly table: (stdout: string, given: A) => void
  /** What it says on stderr beside a table; nothing unless given. */
  readonly said?: RegExp
  readonly parse?: (stdout: string) => Json
  /** Checks the values, and gives the object that the help describes, if it describes one. */
  readonly json: (value: Json, given: A) => object | undefined
  /** Names in the help that have no value here. */
  readonly absent?: ReadonlyArray<string>
  readonly wrong: readonly [args: ReadonlyArray<string>, says: string]
}

export const verb = <A>(name: string, options: Case<A>): Verb => {
  const words = name.split(" ")
  const kagzi = Effect.fn(function* (args: ReadonlyArray<string>) {
    return yield* (yield* Server).kagzi([...words, ...args])
  })
  const given = (purpose: string) => options.given(`${words.join("-")}-${purpose}`)
  const args = options.args ?? (() => [])
  return {
    name,
    table: Effect.gen(function* () {
      const found = yield* given("table")
      const { code, stderr, stdout } = yield* kagzi(args(found))
      assert.match(stderr, options.said ?? /^$/)
      assert.strictEqual(code, 0)
      options.table(stdout, found)
    }),
    json: Effect.gen(function* () {
      const found = yield* given("json")
      const { code, stderr, stdout } = yield* kagzi([...args(found), "--output", "json"])
      assert.strictEqual(stderr, "")
      assert.strictEqual(code, 0)
      const described = options.json((options.parse ?? JSON.parse)(stdout), found)
      if (described === undefined) return
      const names = [...Object.keys(described), ...(options.absent ?? [])]
      assert.deepStrictEqual(names.sort(), [...documented(yield* Help, name)].sort())
    }),
    wrong: Effect.gen(function* () {
      const [wrong, says] = options.wrong
      const { code, stderr, stdout } = yield* kagzi(wrong)
      assert.match(stderr, /^kagzi: .+$/)
      assert.notInclude(stderr, "\n")
      assert.include(stderr, says)
      assert.strictEqual(stdout, "")
      assert.strictEqual(code, 2)
    })
  }
}

/** The rows of a table, by the header of their columns. */
export const rows = (stdout: string): ReadonlyArray<Readonly<Record<string, string>>> => {
  const [header = "", ...lines] = stdout.split("\n")
  const columns = [...header.matchAll(/\S+(?: \S+)*/g)]
  return lines.map((line) =>
    Object.fromEntries(
      columns.map((column, at) => [column[0], line.slice(column.index, columns[at + 1]?.index).trimEnd()])
    )
  )
}

/** What is shown of one thing, by the name of the line. */
export const fields = (stdout: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    stdout.split("\n").map((line) => {
      const [name = "", value = ""] = line.split(/ {2,}(.*)/)
      return [name, value]
    })
  )

/** The help of every command of the tree, by the words that name it; the help of the root is under no words. */
export class Help extends Context.Service<Help, ReadonlyMap<string, string>>()("test/cli/Help") {
  static readonly layer = Layer.effect(
    Help,
    Effect.suspend(() => Effect.map(walk([]), (found) => new Map(found)))
  )
}

/** The subcommands that a help lists. */
const subcommands = (help: string): ReadonlyArray<string> =>
  [...(help.split(/^SUBCOMMANDS$/m)[1] ?? "").matchAll(/^ {2}([\w-]+)/gm)].map((match) => match[1]!)

type Found = ReadonlyArray<readonly [name: string, help: string]>

const walk = (words: ReadonlyArray<string>): Effect.Effect<Found, never, Server> =>
  Effect.gen(function* () {
    const { kagzi } = yield* Server
    const { code, stderr, stdout } = yield* kagzi([...words, "--help"])
    assert.deepStrictEqual([code, stderr], [0, ""], words.join(" "))
    const below = yield* Effect.forEach(subcommands(stdout), (word) => walk([...words, word]), { concurrency: 2 })
    return [[words.join(" "), stdout] as const, ...below.flat()]
  })

/** The commands that do something, in the order of the help. */
export const leaves = (help: ReadonlyMap<string, string>): ReadonlyArray<string> =>
  [...help].flatMap(([name, text]) => (subcommands(text).length === 0 ? [name] : []))

/** The names that the help of a command says its JSON has. */
const documented = (help: ReadonlyMap<string, string>, name: string): ReadonlyArray<string> => {
  const text = help.get(name) ?? ""
  const names = /JSON: (?:an array of )?\{ ([\w, ]+) \}/.exec(text)?.[1]
  if (names !== undefined) return names.split(", ")
  const other = /JSON: an array of what `(?:kagzi )?([\w ]+)` prints/.exec(text)?.[1]
  assert.isDefined(other, `the help of ${name} does not tell of its JSON`)
  return documented(help, other!.includes(" ") ? other! : name.replace(/\w+$/, other!))
}
