/**
 * A worker process: `node worker.ts <most runs at a time> <grace period in milliseconds> <limits and number of queues more as JSON>`. It says `registered <id>`
 * whenever a server gives it an id. SIGTERM drains it; then it exits with 0.
 */
import { writeSync } from "node:fs"
import { flushCompileCache } from "node:module"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Effect, Exit, Layer, Logger, Option, References } from "effect"
import { KagziClient, Worker } from "../../../src/index.ts"
import { implementations } from "./workflows.ts"

const [maxConcurrent, gracePeriod] = process.argv.slice(2, 4).map(Number)
const {
  queues = 0,
  ...limits
}: Pick<Worker.Options, "queueConcurrencyLimit" | "workflowTypeConcurrency"> & { readonly queues?: number } =
  JSON.parse(process.argv[4] ?? "{}")

const say = (line: string) => Effect.sync(() => writeSync(1, `${line}\n`))

const main = Effect.gen(function* () {
  const worker = yield* Worker.make({
    taskQueue: "faults",
    workflows: implementations(queues),
    maxConcurrent: maxConcurrent!,
    gracePeriod: gracePeriod!,
    ...limits
  })
  const announce = Effect.gen(function* () {
    // for others: killed, it would keep nothing of what it has compiled
    yield* Effect.sync(flushCompileCache)
    let known: string | undefined
    for (;;) {
      const id = Option.getOrUndefined(yield* worker.workerId)
      if (id !== undefined && id !== known) yield* say(`registered ${id}`)
      known = id ?? known
      yield* Effect.sleep("5 millis")
    }
  })
  yield* Effect.raceFirst(worker.run, announce)
}).pipe(
  Effect.scoped,
  Effect.provide(KagziClient.layerConfig),
  Effect.provide(
    Layer.mergeAll(
      Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)]),
      Layer.succeed(References.MinimumLogLevel, "Warn")
    )
  )
)

NodeRuntime.runMain(main, {
  teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? 0 : 1)
})
