import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { TestClock } from "effect/testing"
import type { Retention } from "./Bench.ts"
import { type Bench, makeBench, register, running, start } from "./Bench.ts"
import { payload } from "./lifecycle/World.ts"

const hour = 3_600_000

const patient = { staleMillis: 1_000 * hour, leaseMillis: 1_000 * hour, retentionMillis: hour }

/** A run that ends now. */
const finished = Effect.fnUntraced(function* (bench: Bench, workerId: string) {
  const run = yield* running(bench, workerId)
  yield* bench.engine.execute({ _tag: "CompleteRun", ...run, output: payload("done") })
  return run.runId
})
