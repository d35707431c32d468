/** What a transaction writes. */
import { runCountChanges } from "../rows/runCounts.ts"
import type { Changes, RunRecord, Wants } from "../Store.ts"
import type { Loaded } from "./Loaded.ts"
import * as runs from "./queries/runs.ts"
import * as schedules from "./queries/schedules.ts"
import * as steps from "./queries/steps.ts"
import * as workers from "./queries/workers.ts"
import type { Statement } from "./values.ts"

/** Whether no more than one row of each kind is written, as of a transaction on one run. */
export const isSingle = ({ insertRuns, insertSteps, updateRuns, updateSteps }: Changes): boolean =>
  Math.max(insertRuns.length, insertSteps.length, updateRuns.length, updateSteps.length) <= 1

/**
 * The statements, in an order that keeps unique indexes satisfied, and in which keys are waited for: see `load.ts`. All
 * rows that are updated are loaded.
 */
export const statementsOf = (wants: Wants, changes: Changes, loaded: Loaded): ReadonlyArray<Statement> => {
  const moved: Array<readonly [before: RunRecord | undefined, after: RunRecord]> = []
  for (const run of changes.updateRuns) moved.push([loaded.runs.get(run.runId), run])
  for (const run of changes.insertRuns) moved.push([undefined, run])
  const single = isSingle(changes)
  return [
    ...workers.save(changes, loaded),
    ...schedules.save(changes),
    ...runs.touch(changes),
    ...runs.save(wants, changes, loaded, single),
    ...runs.count(runCountChanges(moved)),
    ...steps.save(changes, single),
    ...schedules.saveLast(changes)
  ]
}
