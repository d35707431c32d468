/** Queries and statements of the limits that workers declare. */
import type { Types } from "effect"
import type { Occupancy, WorkerRecord } from "../../Store.ts"
import { declared, declaresTheSame, wholeQueue } from "../../rows/limits.ts"
import type { Prepare } from "../database.ts"
import { limitParameter } from "../rows.ts"

export const sql = {
  any: "SELECT 1 FROM worker_limits LIMIT 1",
  smallest: `SELECT max_concurrent FROM worker_limits WHERE namespace = ? AND task_queue = ? AND workflow_type = ?
    ORDER BY max_concurrent LIMIT 1`,
  // LIMIT ends the count one above the limit. Where it leaves leases out, one of those counted still ends before there
  // is room again, so that the time is never too late.
  ofQueue: `SELECT count(*), min(due_at) FROM
    (SELECT due_at FROM runs WHERE namespace = ? AND task_queue = ? AND status = 2 AND due_at > ? ${limitParameter})`,
  ofType: `SELECT count(*), min(due_at) FROM
    (SELECT due_at FROM runs WHERE namespace = ? AND task_queue = ? AND workflow_type = ? AND status = 2 AND due_at > ?
      ${limitParameter})`,
  insert: `INSERT INTO worker_limits (namespace, task_queue, workflow_type, max_concurrent, worker_id)
    VALUES (?, ?, ?, ?, ?)`,
  remove: "DELETE FROM worker_limits WHERE worker_id = ?"
}

type CountRow = readonly [active: number, freeAt: number | null]

export interface Limits {
  /** The limits that apply to runs of those types, and how much of each is used at that time. */
  readonly occupancy: (
    namespace: string,
    taskQueue: string,
    workflowTypes: ReadonlyArray<string>,
    now: number
  ) => ReadonlyArray<Occupancy>
  /** Notes what a worker declares, once it is written. `before` is the row as it was, where that is known. */
  readonly update: (worker: WorkerRecord, before: WorkerRecord | undefined) => void
  readonly rolledBack: () => void
}

export const make = (prepare: Prepare): Limits => {
  const any = prepare<readonly [1]>(sql.any)
  const smallest = prepare<readonly [limit: number]>(sql.smallest)
  const ofQueue = prepare<CountRow>(sql.ofQueue)
  const ofType = prepare<CountRow>(sql.ofType)
  const insert = prepare(sql.insert)
  const remove = prepare(sql.remove)

  // whether there are any at all, where that is known: most servers have none
  let areThere: boolean | undefined
  return {
    occupancy: (namespace, taskQueue, workflowTypes, now) => {
      const found: Array<Occupancy> = []
      areThere ??= any.get() !== undefined
      if (!areThere) return found
      for (const workflowType of new Set([wholeQueue, ...workflowTypes])) {
        const limit = smallest.get(namespace, taskQueue, workflowType)?.[0]
        if (limit === undefined) continue
        const [active, freeAt] =
          workflowType === wholeQueue
            ? ofQueue.get(namespace, taskQueue, now, limit + 1)!
            : ofType.get(namespace, taskQueue, workflowType, now, limit + 1)!
        const entry: Types.Mutable<Occupancy> = { namespace, taskQueue, limit, active }
        if (workflowType !== wholeQueue) entry.workflowType = workflowType
        if (freeAt !== null) entry.freeAt = freeAt
        found.push(entry)
      }
      return found
    },
    update: (worker, before) => {
      if (declaresTheSame(worker, before)) return
      areThere = undefined
      remove.run(worker.workerId)
      for (const [workflowType, limit] of declared(worker)) {
        insert.run(worker.namespace, worker.taskQueue, workflowType, limit, worker.workerId)
      }
    },
    rolledBack: () => {
      areThere = undefined
    }
  }
}
