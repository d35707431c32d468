/** What became of runs, many at a time. */
import type { Effect } from "effect"
import { isTerminal } from "../../../Run.ts"
import { pageBytes, type RunRecord, type Shape } from "../../Store.ts"
import type { Runs } from "./runs.ts"

type Ended = Effect.Success<ReturnType<Shape["endedRuns"]>>

/** Those of the runs that have ended, as many as fit into a page. */
export const endedRuns = (runs: Runs, runIds: ReadonlyArray<string>): Ended => {
  const found: Array<Ended["runs"][number]> = []
  let bytes = 0
  for (const runId of [...new Set(runIds)].sort()) {
    const stored = runs.byId(runId)
    if (stored === undefined || !isTerminal(stored.run.status)) continue
    const output = runs.output(stored)
    const { error } = stored.run
    bytes += (output?.data.byteLength ?? 0) + (error === undefined ? 0 : JSON.stringify(error).length)
    if (found.length > 0 && bytes > pageBytes) return { runs: found, hasMore: true }
    found.push(output === undefined ? { run: stored.run } : { run: stored.run, output })
  }
  return { runs: found, hasMore: false }
}

/** Those of the runs that are not held as it is said. */
export const lostRuns = (
  runs: Runs,
  held: ReadonlyArray<{ readonly runId: string; readonly lease: number }>
): ReadonlyArray<RunRecord> => {
  const found: Array<RunRecord> = []
  for (const { lease, runId } of held) {
    const run = runs.byId(runId)?.run
    if (run !== undefined && !(run.status === "RUNNING" && run.leaseEpoch === lease)) found.push(run)
  }
  return found
}
