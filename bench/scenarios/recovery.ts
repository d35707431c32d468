/** How soon another worker has finished the runs of one that was killed. */
import { Effect } from "effect"
import { leaseSettings, server, worker } from "../processes.ts"
import { Hold } from "../programs/workflows.ts"
import type { Report } from "../report.ts"
import { type Leases, workerSize } from "../sizes.ts"
import { median, round } from "../statistics.ts"
import { type Options, repeated } from "./speed.ts"

const millis = Effect.sync(() => performance.now())

const recover = Effect.fnUntraced(function* (leases: Leases, count: number) {
  const system = yield* server({ environment: leaseSettings(leases) })
  return yield* Effect.gen(function* () {
    const victim = yield* worker(system, workerSize, { hold: true })
    const runs = yield* Effect.replicateEffect(Hold.start(), count)
    while (victim.lines().filter((line) => line === "held").length < count) yield* Effect.sleep("10 millis")
    yield* worker(system, workerSize)
    const killedAt = yield* millis
    yield* victim.kill
    const after = yield* Effect.forEach(
      runs,
      (run) => Effect.map(Effect.andThen(run.result, millis), (now) => now - killedAt),
      { concurrency: "unbounded" }
    )
    return {
      heartbeat_s: leases.heartbeat,
      stale_s: leases.stale,
      lease_s: leases.lease,
      runs: count,
      first_ms: round(Math.min(...after), 0),
      median_ms: round(median(after), 0),
      last_ms: round(Math.max(...after), 0)
    }
  }).pipe(Effect.provide(system.client))
}, Effect.scoped)

export const recovery = Effect.fnUntraced(function* (options: Options) {
  const { leases, runs } = options.sizes.recovery
  const report: Report = {
    name: "kagzi recovery",
    about:
      "from SIGKILL of the worker process, in the middle of a step of each run, to the ends of its runs on another",
    rows: yield* repeated(
      options,
      Effect.forEach(leases, (settings) => recover(settings, runs))
    )
  }
  return report
})
