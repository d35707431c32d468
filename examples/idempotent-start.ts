/**
 * Idempotent starts: a caller's own id makes sure that one order has one run, however often its start is sent.
 */
import { Console, Effect, Schema } from "effect"
import { KagziClient, Step, Worker, Workflow } from "kagzi"
import { check, main } from "./support.ts"

const Ship = Workflow.make("ship", { taskQueue: "orders", input: Schema.String, output: Schema.String })

const shipped: Array<string> = []

const ShipLive = Ship.implement((item) =>
  Step.run(
    "ship",
    Effect.sync(() => {
      shipped.push(item)
      return `${item} is on its way`
    })
  )
)

/** A web shop calls this for each click, and for each time that its queue delivers a message once more. */
const onOrder = (item: string) => Ship.start(item, { id: `order-of-${item}` })

const program = Effect.gen(function* () {
  // Five requests at the same moment, before there is any worker.
  const runs = yield* Effect.all(
    Array.from({ length: 5 }, () => onOrder("teapot")),
    { concurrency: "unbounded" }
  )
  const [run] = runs
  if (run === undefined) return
  yield* check("five starts made one run", new Set(runs.map(({ runId }) => runId)).size === 1)
  yield* check("and one of them knows that it made it", runs.filter(({ alreadyExists }) => !alreadyExists).length === 1)

  yield* Effect.forkScoped(Worker.run({ taskQueue: "orders", workflows: [ShipLive] }))
  yield* Console.log(yield* run.result)
  yield* check("one teapot was shipped", shipped.length === 1)

  // Any program finds the run by the caller's id.
  const found = yield* Ship.byId("order-of-teapot")
  yield* check("the run is found by its id", found.runId === run.runId)
  const described = yield* KagziClient.use(({ workflows }) => workflows.getById("order-of-teapot"))
  yield* check("and shows it", described.id === "order-of-teapot" && described.status === "COMPLETED")

  // Once a run has ended, the caller says what its id means.
  const input = ["teapot", { id: "order-of-teapot" }] as const
  const finished = yield* Ship.start(input[0], { ...input[1], ifExists: "return-finished" })
  yield* check("the finished run, if asked for", finished.runId === run.runId && finished.alreadyExists)
  const refused = yield* Effect.flip(Ship.start(input[0], { ...input[1], ifExists: "reject" }))
  yield* check("a Conflict, if asked for", refused._tag === "Conflict")
  const again = yield* onOrder("teapot")
  yield* check("else a new run", again.runId !== run.runId && !again.alreadyExists)
  yield* again.result
  yield* check("which ships a second teapot", shipped.length === 2)
})

main(program)
