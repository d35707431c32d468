/**
 * Several queues: work of one kind does not wait behind work of another.
 *
 * A workflow names its task queue. A worker serves the queue it is given and those that its workflows name, so a small
 * program serves all of them with one worker, and a large one has workers for each.
 */
import { Console, Effect, Schema, Stream } from "effect"
import { KagziClient, Step, Worker, Workflow } from "kagzi"
import { check, main } from "./support.ts"

const Express = Workflow.make("express-order", { taskQueue: "express", input: Schema.String, output: Schema.String })
const Bulk = Workflow.make("bulk-order", { taskQueue: "bulk", input: Schema.String, output: Schema.String })
const Cleanup = Workflow.make("cleanup", { taskQueue: "nightly" })

const pack = (item: string, millis: number) => Effect.delay(Effect.succeed(`${item} is packed`), millis)

const ExpressLive = Express.implement((item) => Step.run("pack", pack(item, 20)))
const BulkLive = Bulk.implement((item) => Step.run("pack", pack(item, 150)))
const CleanupLive = Cleanup.implement(() => Step.run("sweep", Effect.void))

const program = Effect.gen(function* () {
  const bulk = yield* Effect.forEach([1, 2, 3, 4, 5], (n) => Bulk.start(`pallet ${n}`))

  // One worker for the slow queue, with as much at a time as the machine can take …
  yield* Effect.forkScoped(Worker.run({ taskQueue: "bulk", workflows: [BulkLive], maxConcurrent: 1 }))
  // … and one that serves two queues: its own, and the one that a workflow of it names.
  const both = yield* Worker.make({ taskQueue: "express", workflows: [ExpressLive, CleanupLive] })
  yield* Effect.forkScoped(both.run)

  yield* Console.log(yield* Express.execute("a letter"))
  const left = yield* KagziClient.use(({ workflows }) =>
    workflows.list({ taskQueue: "bulk" }).pipe(
      Stream.filter(({ status }) => status !== "COMPLETED"),
      Stream.runCount
    )
  )
  yield* Console.log(`${left} of ${bulk.length} pallets are not packed yet`)
  yield* check("the letter did not wait for the pallets", left > 0)

  const cleanup = yield* Cleanup.start()
  yield* cleanup.result
  yield* check("the second queue of that worker is served", (yield* cleanup.describe).taskQueue === "nightly")

  const packed = yield* Effect.forEach(bulk, (run) => run.result)
  yield* check(
    "all pallets are packed in the end",
    packed.every((result) => result.endsWith("is packed"))
  )
})

main(program)
