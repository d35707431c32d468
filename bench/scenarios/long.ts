/** A run of many steps, and its replay by a worker that has never seen it. */
import { Effect } from "effect"
import { server, worker } from "../processes.ts"
import { Long } from "../programs/workflows.ts"
import type { Report } from "../report.ts"
import { workerSize } from "../sizes.ts"
import { round } from "../statistics.ts"
import { type Options, repeated } from "./speed.ts"

/** The worker is killed meanwhile. */
const sleepMillis = 1_000

const measure = Effect.fnUntraced(function* ({ edge, steps }: Options["sizes"]["long"]) {
  const system = yield* server()
  return yield* Effect.gen(function* () {
    const first = yield* worker(system, workerSize)
    const run = yield* Long.start({ steps, edge, sleepMillis })
    while ((yield* run.status) !== "SLEEPING") yield* Effect.sleep("20 millis")
    yield* first.kill
    yield* Effect.sleep(sleepMillis)
    yield* worker(system, workerSize)
    // The run has been due for some time: the new worker takes it as soon as it is there.
    const readyAt = Date.now()
    const { firstMillis, lastMillis, totalMillis, wentOnAt } = yield* run.result
    const perStep = { first: firstMillis / edge, last: lastMillis / edge }
    return [
      {
        steps,
        total_s: round(totalMillis / 1_000, 2),
        [`first_${edge}_ms_per_step`]: round(perStep.first, 3),
        [`last_${edge}_ms_per_step`]: round(perStep.last, 3),
        last_to_first: round(perStep.last / perStep.first, 2),
        replay_ms: wentOnAt - readyAt
      }
    ]
  }).pipe(Effect.provide(system.client))
}, Effect.scoped)

export const long = Effect.fnUntraced(function* (options: Options) {
  const report: Report = {
    name: "kagzi long",
    about: "one run of many steps; the replay is from a new worker's registration to its first step past the history",
    rows: yield* repeated(options, measure(options.sizes.long))
  }
  return report
})
