import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"

/*
 * Programs that must not compile, and what the compiler must say. Each is one statement after a common beginning; all
 * are compiled in one run.
 */

const beginning = `
import { Context, Effect, Schema } from "effect"
import { KagziError, Step, Worker, Workflow } from "../../../src/index.ts"
class Database extends Context.Service<Database, { readonly read: Effect.Effect<string> }>()("test/Database") {}
class Declined extends Schema.TaggedError<Declined>()("Declined", { reason: Schema.String }) {}
class Other extends Schema.TaggedError<Other>()("Other", {}) {}
const Order = Workflow.make("order", {
  input: Schema.Struct({ id: Schema.String }),
  output: Schema.Struct({ status: Schema.Literals(["ok", "bad"]) }),
  error: Declined
})
`

const inBody = "A workflow body can't use a service outside a step: only what runs inside Step.run may"
const undeclaredByBody =
  "A workflow body may fail with a KagziError or what the workflow's `error` declares; declare this failure or handle it"
const undeclaredByStep =
  "A step may fail with a KagziError or what its `error` schema declares; declare this failure or handle it in the step"
const durableInStep =
  "A step can't start steps or wait durably: move Step.run, Workflow.sleep and the like out of the step, into the workflow body"
const notJson = "The result of a step must survive JSON as it is; give the step an `output` schema for other values"
const misfit = "The result of the step does not fit its `output` schema"
const inputNotJson = "The `input` of a step must survive JSON as it is: no dates, maps, functions, bigints or undefined"
const scoped = "A step closes what it opens: wrap its effect in Effect.scoped"

const implement = (body: string) => `export const live = Order.implement(Effect.fn(function* (input) { ${body} }))`
const ok = `return { status: "ok" }`

const programs: ReadonlyArray<readonly [what: string, program: string, message: string]> = [
  ["a service outside a step", implement(`yield* Database; ${ok}`), inBody],
  [
    "a service outside a step, in a body that is a plain function",
    `export const live = Order.implement((input) => Effect.gen(function* () { yield* Database; ${ok} }))`,
    inBody
  ],
  ["a failure that the workflow does not declare", implement(`yield* new Other(); ${ok}`), undeclaredByBody],
  [
    "a failure of a step that the workflow does not declare",
    implement(`yield* Step.run("a", Effect.fail(new Other()), { error: Other }); ${ok}`),
    undeclaredByBody
  ],
  ["a body's result that is not the workflow's", implement(`return { status: "nope" }`), `'"nope"' is not assignable`],
  ["a step in a step", `export const a = Step.run("a", Step.run("b", Effect.succeed(1)))`, durableInStep],
  ["a durable sleep in a step", `export const a = Step.run("a", Workflow.sleep("1 hour"))`, durableInStep],
  [
    "a step with a service in a step",
    `export const a = Step.run("a", Step.run("b", Database.use(({ read }) => read)))`,
    durableInStep
  ],
  [
    "an undeclared failure of a step",
    `export const a = Step.run("a", Effect.fail(new Declined({ reason: "" })))`,
    undeclaredByStep
  ],
  [
    "an undeclared failure of a step beside a declared one",
    `const both = Effect.andThen(Effect.fail(new Other()), Effect.fail(new Declined({ reason: "" })))
     const either = Effect.suspend((): Effect.Effect<never, Other | Declined> => both)
     export const a = Step.run("a", either, { error: Declined })`,
    undeclaredByStep
  ],
  [
    "an undeclared failure of a piped step",
    `export const a = Effect.fail(new Other()).pipe(Step.run("a"))`,
    undeclaredByStep
  ],
  [
    "an undeclared failure in Step.forEach",
    `export const a = Step.forEach("a", [1], Effect.fn(function* (item) { yield* new Other() }))`,
    undeclaredByStep
  ],
  ["a date as a step's result", `export const a = Step.run("a", Effect.succeed(new Date(0)))`, notJson],
  ["a map as a step's result", `export const a = Step.run("a", Effect.succeed({ m: new Map([["a", 1]]) }))`, notJson],
  ["a bigint as a step's result", `export const a = Step.run("a", Effect.succeed([1n]))`, notJson],
  ["a function as a step's result", `export const a = Step.run("a", Effect.succeed({ f: () => 1 }))`, notJson],
  [
    "a result that may be undefined",
    `export const a = Step.run("a", Effect.succeed({ b: undefined as string | undefined }))`,
    notJson
  ],
  ["a result of unknown type", `export const a = Step.run("a", Effect.succeed<unknown>(1))`, notJson],
  ["a result of any type", `export const a = Step.run("a", Effect.succeed(JSON.parse("1")))`, notJson],
  ["a result with methods", `export const a = Step.run("a", Effect.succeed(new URL("http://a")))`, notJson],
  ["a date as the result of a piped step", `export const a = Effect.succeed(new Date(0)).pipe(Step.run("a"))`, notJson],
  [
    "a map as a result in Step.forEach",
    `export const a = Step.forEach("a", [1], (item) => Effect.succeed(new Map([[item, 1]])))`,
    notJson
  ],
  [
    "a result that does not fit the step's schema",
    `export const a = Step.run("a", Effect.succeed(1), { output: Schema.String })`,
    misfit
  ],
  [
    "a date in a step's input",
    `export const a = Step.run("a", Effect.void, { input: { at: new Date(0) } })`,
    inputNotJson
  ],
  ["a scope that a step leaves open", `export const a = Step.run("a", Effect.asVoid(Effect.scope))`, scoped],
  [
    "an option that a step does not have",
    `export const a = Step.run("a", Effect.void, { uotput: Schema.Void })`,
    "'uotput' does not exist in type"
  ],
  [
    "an input that is not the workflow's",
    `export const a = Order.start({ id: 1 })`,
    "'number' is not assignable to type 'string'"
  ],
  ["a missing input", `export const a = Order.start()`, "Expected 1-2 arguments, but got 0"],
  [
    "a worker without workflows",
    `export const a = Worker.run({ taskQueue: "a", workflows: [] })`,
    "Source has 0 element(s) but target requires 1"
  ],
  [
    "a worker without the services of its steps",
    `const live = Order.implement(Effect.fn(function* () { yield* Step.run("a", Database.use(({ read }) => read)); ${ok} }))
     export const a: Effect.Effect<never, unknown, import("../../../src/index.ts").KagziClient> =
       Worker.run({ taskQueue: "a", workflows: [live] })`,
    "'Database' is not assignable to type 'KagziClient'"
  ],
  [
    "a result handled as if the workflow could not fail",
    `export const a: Effect.Effect<unknown, KagziError, never> = {} as Workflow.Handle<string, Declined>["result"]`,
    "'Declined' is not assignable to type 'KagziError'"
  ]
]

const root = join(import.meta.dirname, "../..")

/** What the compiler says of each program, in the order of the programs. */
const compile = (): ReadonlyArray<string> => {
  const folder = mkdtempSync(join(import.meta.dirname, "programs-"))
  try {
    programs.forEach(([, program], index) => {
      writeFileSync(join(folder, `${index}.ts`), `${beginning}${program}\n`)
    })
    writeFileSync(join(folder, "good.ts"), `${beginning}${implement(ok)}\n`)
    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({
        extends: join(root, "tsconfig.json"),
        compilerOptions: {
          noUnusedLocals: false,
          noUnusedParameters: false,
          typeRoots: [join(root, "node_modules/@types")]
        },
        include: ["."]
      })
    )
    const said = tsc(folder)
    const about = (name: string) =>
      said
        .split(/\n(?=\S)/)
        .filter((message) => message.includes(`/${name}.ts(`) || message.startsWith(`${name}.ts(`))
        .join("\n")
    assert.strictEqual(about("good"), "")
    return programs.map((_, index) => about(String(index)))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const tsc = (folder: string): string => {
  try {
    return execFileSync(
      process.execPath,
      [join(root, "node_modules/typescript/bin/tsc"), "-p", folder, "--pretty", "false"],
      {
        encoding: "utf8"
      }
    )
  } catch (error) {
    return String((error as { readonly stdout: unknown }).stdout)
  }
}

describe("the compiler", () => {
  let messages: ReadonlyArray<string> | undefined

  it.each(programs.map(([what, , message], index) => [what, message, index] as const))(
    "refuses %s and says why",
    (_, message, index) => {
      messages ??= compile()
      assert.include(messages[index], message)
    }
  )
})
