/**
 * A worker process: `node worker.js <maxConcurrent> [hold]`. It says `ready` when it is registered. One that holds says
 * `held` for each run that came to the step which never ends there.
 */
import { writeSync } from "node:fs"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, References } from "effect"
import { KagziClient } from "../../src/index.ts"
import { serving } from "./serving.ts"

const [maxConcurrent, hold] = process.argv.slice(2)

const say = (text: string) => Effect.sync(() => writeSync(1, `${text}\n`))

const main = serving(
  Number(maxConcurrent),
  hold === undefined ? undefined : Effect.andThen(say("held"), Effect.never)
).pipe(
  Effect.andThen(say("ready")),
  Effect.andThen(Effect.never),
  Effect.scoped,
  Effect.provide(KagziClient.layerConfig),
  Effect.provideService(References.MinimumLogLevel, "Warn")
)

NodeRuntime.runMain(main)
