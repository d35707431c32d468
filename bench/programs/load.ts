/**
 * The process that starts runs and waits for their results: `node load.js <load as JSON>`. It prints the figures as a
 * line of JSON. With `worker` it executes the runs as well, over the same connection.
 */
import { writeSync } from "node:fs"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, References } from "effect"
import { KagziClient } from "../../src/index.ts"
import { serving } from "./serving.ts"
import { type Sizes, workerSize } from "../sizes.ts"
import * as Loads from "./loads.ts"

export interface Load {
  readonly worker: boolean
  readonly warmUp: number
  readonly throughput?: Sizes["throughput"]
  readonly latency?: Sizes["latency"]
  readonly sequential?: Sizes["sequential"]
  readonly payloads?: Sizes["payloads"][number]
}

const run = Effect.fnUntraced(function* (load: Load) {
  if (load.worker) yield* serving(workerSize)
  yield* Loads.warmUp(load.warmUp)
  const figures = {
    ...(load.throughput === undefined ? {} : yield* Loads.throughput(load.throughput)),
    ...(load.latency === undefined ? {} : yield* Loads.latency(load.latency)),
    ...(load.sequential === undefined ? {} : yield* Loads.sequential(load.sequential)),
    ...(load.payloads === undefined ? {} : yield* Loads.payloads(load.payloads))
  }
  writeSync(1, `${JSON.stringify(figures)}\n`)
})

run(JSON.parse(process.argv[2] ?? "{}")).pipe(
  Effect.scoped,
  Effect.provide(KagziClient.layerConfig),
  Effect.provideService(References.MinimumLogLevel, "Warn"),
  NodeRuntime.runMain
)
