/** Limits on runs that execute at once. */
import type { Types } from "effect"
import { declared, declaresTheSame, wholeQueue } from "../../rows/limits.ts"
import type { Occupancy, WorkerRecord } from "../../Store.ts"
import type { Loaded } from "../Loaded.ts"
import type { Question } from "../pipeline.ts"
import { array, arraysOf, column, given, namesOf, type Row, type Statement, texts } from "../values.ts"

/** A limit that may apply: of a type on a queue, or of the whole queue, counted at a time. */
export interface Place {
  readonly namespace: string
  readonly taskQueue: string
  readonly workflowType: string
  readonly at: number
}

/** The limits that may apply to runs of those types. */
export const placesOf = (
  { namespace, taskQueue }: Pick<Place, "namespace" | "taskQueue">,
  workflowTypes: ReadonlyArray<string>,
  at: number
): ReadonlyArray<Place> =>
  Array.from(new Set([wholeQueue, ...workflowTypes]), (workflowType) => ({ namespace, taskQueue, workflowType, at }))

// LIMIT ends the count one above the limit. Where it leaves leases out, one of those counted still ends before there is
// room again, so that the time is never too late. Each half has its own way into the index.
const executing = (type: string) => `(SELECT r.due_at FROM runs AS r
  WHERE r.namespace = w.namespace AND r.task_queue = w.task_queue AND r.status = 2 AND r.due_at > w.at AND ${type}
  LIMIT l.max_concurrent::bigint + 1)`

const occupancySql = `SELECT w.namespace, w.task_queue, w.workflow_type, l.max_concurrent, c.active, c.free_at
  FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) WITH ORDINALITY
    AS w (namespace, task_queue, workflow_type, at, place)
  CROSS JOIN LATERAL (SELECT max_concurrent FROM worker_limits AS l
    WHERE l.namespace = w.namespace AND l.task_queue = w.task_queue AND l.workflow_type = w.workflow_type
    ORDER BY max_concurrent LIMIT 1) AS l
  CROSS JOIN LATERAL (SELECT count(*) AS active, min(due_at) AS free_at FROM (
    ${executing(`w.workflow_type = '${wholeQueue}'`)}
    UNION ALL
    ${executing(`w.workflow_type <> '${wholeQueue}' AND r.workflow_type = w.workflow_type`)}) AS e) AS c
  ORDER BY w.place`

/** Places as the arrays for `unnest($1::text[], $2::text[], $3::text[], $4::bigint[])`. */
export const arraysOfPlaces = (places: ReadonlyArray<Place>): Statement["params"] => [
  texts(places.map(({ namespace }) => namespace)),
  texts(places.map(({ taskQueue }) => taskQueue)),
  texts(places.map(({ workflowType }) => workflowType)),
  array(
    "int8",
    places.map(({ at }) => at)
  )
]

/** How much is used of the limits that apply. */
export const occupancy = (places: ReadonlyArray<Place>): Statement => ({
  sql: occupancySql,
  params: arraysOfPlaces(places)
})

type OccupancyRow = readonly [
  namespace: string,
  taskQueue: string,
  workflowType: string,
  limit: number,
  active: number,
  freeAt: number | null
]

export const toOccupancy = (row: Row): Occupancy => {
  const [namespace, taskQueue, workflowType, limit, active, freeAt] = row as unknown as OccupancyRow
  const entry: Types.Mutable<Occupancy> = { namespace, taskQueue, limit, active }
  if (workflowType !== wholeQueue) entry.workflowType = workflowType
  if (freeAt !== null) entry.freeAt = freeAt
  return entry
}

const lockQueues = `SELECT pg_advisory_xact_lock(key) FROM (
    SELECT DISTINCT hashtextextended('kagzi queue ' || current_schema() || ' ' || q.namespace || ' ' || q.task_queue, 0) AS key
    FROM (
      SELECT w.namespace, w.task_queue FROM unnest($1::text[], $2::text[]) AS w (namespace, task_queue)
      UNION SELECT namespace, task_queue FROM workers WHERE worker_id = ANY($3::text[])
    ) AS q
    WHERE EXISTS (SELECT 1 FROM worker_limits AS l WHERE l.namespace = q.namespace AND l.task_queue = q.task_queue)
    ORDER BY key
  ) AS keys`

/**
 * Waits until no other transaction hands out runs of those queues, or of the queues of those workers, where limits are
 * declared: what is counted then stays true until this transaction ends.
 */
export const lock = (
  queues: ReadonlyArray<{ readonly namespace: string; readonly taskQueue: string }>,
  workers: Iterable<string>,
  loaded: Loaded
): Question => ({
  sql: lockQueues,
  params: [
    texts(queues.map(({ namespace }) => namespace)),
    texts(queues.map(({ taskQueue }) => taskQueue)),
    texts(workers)
  ],
  answered: (locks) => {
    loaded.isLimited = locks.length > 0
  }
})

interface Limit {
  readonly worker: WorkerRecord
  readonly workflowType: string
  readonly limit: number
}

const limitColumns = [
  column<Limit>("namespace", "text", ({ worker }) => worker.namespace),
  column<Limit>("task_queue", "text", ({ worker }) => worker.taskQueue),
  column<Limit>("workflow_type", "text", ({ workflowType }) => workflowType),
  column<Limit>("max_concurrent", "int4", ({ limit }) => limit),
  column<Limit>("worker_id", "text", ({ worker }) => worker.workerId)
]

const names = namesOf(limitColumns).join(", ")

/** Notes what workers declare. The rows as they were before are given where there are any. */
export const declare = (
  workers: ReadonlyArray<WorkerRecord>,
  before: ReadonlyMap<string, WorkerRecord>
): ReadonlyArray<Statement> => {
  const changed = workers.filter((worker) => !declaresTheSame(worker, before.get(worker.workerId)))
  const known = changed.filter(({ workerId }) => before.has(workerId))
  const limits = changed.flatMap((worker) =>
    declared(worker).map(([workflowType, limit]): Limit => ({ worker, workflowType, limit }))
  )
  return [
    ...(known.length === 0
      ? []
      : [
          {
            sql: "DELETE FROM worker_limits WHERE worker_id = ANY($1::text[])",
            params: [texts(known.map(({ workerId }) => workerId))]
          }
        ]),
    ...(limits.length === 0
      ? []
      : [
          {
            sql: `INSERT INTO worker_limits (${names}) SELECT ${names} FROM ${given(limitColumns)}`,
            params: arraysOf(limitColumns, limits)
          }
        ])
  ]
}
