/** The workflow, and what its steps do: they take their time, and say so. */
import { Console, Effect, Schema } from "effect"
import { Step, Workflow } from "kagzi"

export const Pack = Workflow.make("pack", {
  taskQueue: "orders",
  input: Schema.String,
  output: Schema.Array(Schema.String)
})

const work = Effect.fn(function* (what: string) {
  yield* Console.log(`${what}: begins`)
  yield* Effect.sleep("400 millis")
  yield* Console.log(`${what}: is done`)
  return `${what}, by process ${process.pid}`
})

export const PackLive = Pack.implement(
  Effect.fn(function* (item) {
    const wrapped = yield* Step.run("wrap", work(`wrapping the ${item}`))
    yield* Workflow.sleep("let-dry", "300 millis")
    const sealed = yield* Step.run("seal", work(`sealing the ${item}`))
    return [wrapped, sealed]
  })
)
