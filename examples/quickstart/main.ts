/**
 * `npm start`: an order that survives `kill -9`.
 *
 * Starts a server and a worker as processes of their own, starts an order, kills the worker in the middle of a step, and
 * starts another one.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Deferred, Effect, Fiber, FileSystem, Schedule, Stream } from "effect"
import { KagziClient, Run } from "kagzi"
import * as Ledger from "./Ledger.ts"
import { ProcessOrder } from "./order.ts"
import { say } from "./output.ts"
import { startServer, startWorker } from "./processes.ts"
import { checks, stepTable } from "./report.ts"

const input = { orderId: "1001", item: "teapot", amount: 49.9 }

const expected = {
  orderId: "1001",
  status: "shipped",
  paymentId: "payment-1001",
  parcelId: "parcel-1001",
  invoiceId: "invoice-1001"
}

/** A folder of its own for each run of the example. It is left behind, for a look into it. */
const makeFolder = Effect.gen(function* () {
  const files = yield* FileSystem.FileSystem
  yield* files.makeDirectory(".kagzi", { recursive: true })
  return yield* files.makeTempDirectory({ directory: ".kagzi", prefix: "quickstart-" })
})

const order = Effect.fn(function* (server: string, ledger: string) {
  const packing = yield* Deferred.make<void>()
  const first = yield* startWorker("worker 1", {
    server,
    ledger,
    onLine: (line) => (line.startsWith("pack-parcel") ? Deferred.succeed(packing, undefined) : Effect.void)
  })

  const run = yield* ProcessOrder.start(input, { id: "order-1001" })
  yield* say("client", `order-1001 is run ${run.runId}`)
  const watching = yield* Stream.fromEffectSchedule(run.status, Schedule.spaced("100 millis")).pipe(
    Stream.changes,
    Stream.takeUntil(Run.isTerminal),
    Stream.runForEach((status) => say("client", `the run is ${status}`)),
    Effect.forkScoped
  )

  yield* Effect.raceFirst(Deferred.await(packing), first.ended)
  yield* Effect.sleep("300 millis")
  yield* say("driver", `kill -9 ${first.pid}: worker 1 dies in the middle of pack-parcel`)
  yield* first.kill({ killSignal: "SIGKILL" })
  const second = yield* startWorker("worker 2", { server, ledger })
  yield* say("driver", "the run is free again when the lease of worker 1 ends")

  const result = yield* Effect.raceFirst(run.result, second.ended)
  yield* Fiber.join(watching)
  return {
    result,
    steps: yield* run.steps,
    ledger: yield* Ledger.read(ledger),
    workers: new Map<number, string>([
      [first.pid, "worker 1"],
      [second.pid, "worker 2"]
    ])
  }
}, Effect.scoped)

const program = Effect.gen(function* () {
  yield* Console.log("An order that survives kill -9\n")
  const folder = yield* makeFolder
  const server = yield* startServer(folder)
  const outcome = yield* Effect.provide(order(server, `${folder}/ledger.jsonl`), KagziClient.layer({ address: server }))

  yield* Console.log(`\n${stepTable(outcome)}\n`)
  const all = [
    ...checks(outcome),
    ["the result is right", JSON.stringify(outcome.result) === JSON.stringify(expected)] as const
  ]
  yield* Effect.forEach(all, ([what, holds]) => Console.log(`${holds ? "ok    " : "FAILED"}  ${what}`))
  yield* Console.log(`\nResult: ${JSON.stringify(outcome.result)}\nDatabase and ledger: ${folder}`)
  if (!all.every(([, holds]) => holds)) return yield* Effect.fail(new Error("Not every promise was kept"))
})

program.pipe(
  Effect.scoped,
  Effect.timeoutOrElse({
    duration: "60 seconds",
    orElse: () => Effect.fail(new Error("The order was not done within a minute"))
  }),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain
)
