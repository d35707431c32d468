/** Runs of which only so many may execute at a time, and whether that was kept, as far as it can be seen from outside. */
import { Effect, Schema } from "effect"
import * as Step from "../../../src/Step.ts"
import type { Final } from "../../../src/testing/simulator/checks.ts"
import type { Ledger } from "../../../src/testing/simulator/Ledger.ts"
import type { Violation } from "../../../src/testing/simulator/promises.ts"
import * as Workflow from "../../../src/Workflow.ts"
import { momentAt } from "./ledger.ts"
import { settings } from "./plan.ts"

const taskQueue = "limited"

/** What each worker of the queue declares. */
export const limit = 3

/** Much shorter than a lease. */
const stepMillis = 100

export const Limited = Workflow.make("limited", { taskQueue, output: Schema.String })

export const LimitedLive = Limited.implement(() =>
  Effect.gen(function* () {
    for (const name of ["first", "second"]) yield* Step.run(name, Effect.sleep(stepMillis))
    return "done"
  })
)

/** By how much the time of a server may differ from the database's, with room to spare. */
const clockErrorMillis = 100

interface Hold {
  readonly from: number
  readonly until: number
}

/**
 * When runs were held for sure: from when a worker was given one until the last write that was accepted of it was asked
 * for, as long as the lease lasts without any heartbeat. What a worker does beyond that may be under a lease that has
 * ended, which doesn't count. It is known when the first lease of a run was given, and of no other.
 */
const holds = (ledger: Ledger, final: Final): ReadonlyArray<Hold> => {
  const writes = Map.groupBy(ledger.writes, ({ lease, runId }) => `${runId} ${lease}`)
  return ledger.claims.flatMap(({ lease, order: from, runId }) => {
    const record = final.runs.get(runId)?.record
    if (lease !== 1 || record?.taskQueue !== taskQueue || record.startedAt === undefined) return []
    const leaseEnd = momentAt(record.startedAt + settings.lease * 1_000 - clockErrorMillis)
    const asked = (writes.get(`${runId} ${lease}`) ?? []).map(({ order }) => order)
    return [{ from, until: Math.min(leaseEnd, Math.max(from, ...asked)) }]
  })
}

export interface Held {
  /** The most runs that were held at a time for sure. */
  readonly most: number
  readonly violations: ReadonlyArray<Violation>
}

export const check = (ledger: Ledger, final: Final): Held => {
  const changes = holds(ledger, final)
    .filter(({ from, until }) => from < until)
    .flatMap(({ from, until }) => [
      { at: from, by: 1 },
      { at: until, by: -1 }
    ])
    .toSorted((a, b) => a.at - b.at || a.by - b.by)
  let held = 0
  let most = 0
  let times = 0
  for (const { by } of changes) {
    held += by
    most = Math.max(most, held)
    if (by > 0 && held > limit) times++
  }
  const message = `up to ${most} runs of a queue were held at a time, ${times} times more than the ${limit} that may be`
  return { most, violations: times === 0 ? [] : [{ promise: "limits", kind: "safety", message }] }
}
