/** What writing runs changes about how many there are of each kind. */
import type { RunRecord } from "../Store.ts"

/** So many more, or fewer, of the kind that the run is of. */
export interface RunCountChange {
  readonly run: RunRecord
  readonly difference: number
}

/** The differences, for runs that were written, each with the row as it was, if there was one. */
export const runCountChanges = (
  moved: Iterable<readonly [before: RunRecord | undefined, after: RunRecord]>
): ReadonlyArray<RunCountChange> => {
  const changes = new Map<string, { readonly run: RunRecord; difference: number }>()
  const note = (run: RunRecord, difference: number) => {
    const key = `${run.status}\u0000${run.namespace}\u0000${run.taskQueue}\u0000${run.workflowType}`
    const change = changes.get(key)
    if (change === undefined) changes.set(key, { run, difference })
    else change.difference += difference
  }
  for (const [before, after] of moved) {
    if (before?.status === after.status) continue
    if (before !== undefined) note(before, -1)
    note(after, 1)
  }
  return Array.from(changes.values()).filter(({ difference }) => difference !== 0)
}
