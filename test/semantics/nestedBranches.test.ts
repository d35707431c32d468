import { assert, it } from "@effect/vitest"
import { Effect, Exit, Schema } from "effect"
import { Step, Workflow } from "../../src/index.ts"
import { crashEverywhere } from "../support/harness.ts"

const Nested = Workflow.make("nested", {
  taskQueue: "nested",
  output: Schema.Record(Schema.String, Schema.Array(Schema.String))
})

it.live("branches within branches each keep their own steps, under one name", () =>
  crashEverywhere(
    Nested,
    (ledger) =>
      Nested.implement(
        Effect.fn(function* () {
          const region = (name: string) =>
            Workflow.forEach(
              [3, 1],
              (delay) =>
                Effect.gen(function* () {
                  const made = yield* Step.run("make", Effect.delay(ledger.note(`${name} ${delay}`), delay))
                  yield* Workflow.sleep("1 milli")
                  return yield* Step.run("make", Effect.succeed(`${made}!`))
                }),
              { concurrency: "unbounded" }
            )
          const both = yield* Workflow.all({ eu: region("eu"), us: region("us") }, { concurrency: "unbounded" })
          return { ...both, after: [yield* Step.run("make", ledger.note("after"))] }
        })
      ),
    undefined,
    ({ exit, steps }) => {
      assert.deepStrictEqual(exit, Exit.succeed({ eu: ["eu 3!", "eu 1!"], us: ["us 3!", "us 1!"], after: ["after"] }))
      assert.deepStrictEqual(
        steps
          .map(({ name }) => name)
          .filter((name) => name.startsWith("make"))
          .sort(),
        [
          "make",
          ...["eu", "us"].flatMap((key) =>
            [0, 1].flatMap((index) => [`make@1.${key}/1.${index}`, `make@1.${key}/1.${index}#2`])
          )
        ].sort()
      )
    }
  )
)
