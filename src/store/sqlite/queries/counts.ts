/**
 * How many runs there are of each kind. Kept with every transaction, so that asking costs nothing, however many runs
 * there are: the only writer knows each row before and after.
 */
import type { RunCount } from "../../Store.ts"
import { runStatus, runStatuses } from "../../rows/codes.ts"
import { type Moved, runCountChanges } from "../../rows/runCounts.ts"
import type { Prepare } from "../database.ts"

export const sql = {
  add: `INSERT INTO run_counts (namespace, task_queue, workflow_type, status, runs) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (namespace, task_queue, workflow_type, status) DO UPDATE SET runs = runs + excluded.runs`,
  ofNamespace: `SELECT namespace, task_queue, workflow_type, status, runs FROM run_counts
    WHERE namespace = ? AND runs > 0 ORDER BY task_queue, workflow_type, status`,
  // a row for each combination there ever was: reading all of them is what is asked for
  all: `SELECT namespace, task_queue, workflow_type, status, runs FROM run_counts
    WHERE runs > 0 ORDER BY namespace, task_queue, workflow_type, status`
}

type CountRow = readonly [namespace: string, taskQueue: string, workflowType: string, status: number, runs: number]

export interface Counts {
  /** The counts of one namespace, or of all. */
  readonly read: (namespace: string | undefined) => ReadonlyArray<RunCount>
  /** Notes runs that were written or removed. */
  readonly moved: (runs: Iterable<Moved>) => void
}

export const make = (prepare: Prepare): Counts => {
  const add = prepare(sql.add)
  const ofNamespace = prepare<CountRow>(sql.ofNamespace)
  const all = prepare<CountRow>(sql.all)

  return {
    read: (namespace) =>
      (namespace === undefined ? all.all() : ofNamespace.all(namespace)).map((row) => ({
        namespace: row[0],
        taskQueue: row[1],
        workflowType: row[2],
        status: runStatuses[row[3]]!,
        count: row[4]
      })),
    moved: (runs) => {
      for (const { difference, run } of runCountChanges(runs)) {
        add.run(run.namespace, run.taskQueue, run.workflowType, runStatus[run.status], difference)
      }
    }
  }
}
