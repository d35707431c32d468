/** What writing runs changes about how many there are of each kind. */
import type { RunRecord } from "../Store.ts"

/** What runs are counted by. */
export type RunKind = Pick<RunRecord, "namespace" | "taskQueue" | "workflowType" | "status">

/** So many more, or fewer, of the kind that the run is of. */
export interface RunCountChange {
  readonly run: RunKind
  readonly difference: number
}

/** A run that was written, as it was, if there was one, and as it is, if it is still there. */
export type Moved = readonly [before: RunKind | undefined, after: RunKind | undefined]

/** The differences. */
export const runCountChanges = (moved: Iterable<Moved>): ReadonlyArray<RunCountChange> => {
  const changes = new Map<string, { readonly run: RunKind; difference: number }>()
  const note = (run: RunKind, difference: number) => {
    const key = `${run.status}\u0000${run.namespace}\u0000${run.taskQueue}\u0000${run.workflowType}`
    const change = changes.get(key)
    if (change === undefined) changes.set(key, { run, difference })
    else change.difference += difference
  }
  for (const [before, after] of moved) {
    if (before?.status === after?.status) continue
    if (before !== undefined) note(before, -1)
    if (after !== undefined) note(after, 1)
  }
  return Array.from(changes.values()).filter(({ difference }) => difference !== 0)
}
