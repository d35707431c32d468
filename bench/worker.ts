/** The worker process of the benchmark. It says `ready` when it is registered. */
import { writeSync } from "node:fs"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, References } from "effect"
import { KagziClient, Worker } from "../src/index.ts"
import { implementations, taskQueue } from "./workflows.ts"

const main = Effect.gen(function* () {
  const worker = yield* Worker.make({ taskQueue, workflows: implementations, maxConcurrent: 100 })
  const announce = Effect.gen(function* () {
    while (!(yield* worker.isRegistered)) yield* Effect.sleep("5 millis")
    writeSync(1, "ready\n")
  })
  yield* Effect.all([worker.run, announce], { concurrency: 2 })
}).pipe(
  Effect.scoped,
  Effect.provide(KagziClient.layerConfig),
  Effect.provideService(References.MinimumLogLevel, "Warn")
)

NodeRuntime.runMain(main)
