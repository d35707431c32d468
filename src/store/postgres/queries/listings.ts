/** Pages of namespaces, workers and schedules. */
import type { Schedule } from "../../../Schedule.ts"
import { workerStatus } from "../../rows/codes.ts"
import { type ScheduleRow, scheduleColumns, toScheduleRecord } from "../../rows/scheduleRow.ts"
import { toPayload } from "../../rows/values.ts"
import { type NamespaceRow, namespaceColumns, toNamespaceRecord, workerColumns } from "../../rows/workerRow.ts"
import type { Cursor, DescribedWorker, NamespaceRecord, Paging, ScheduleRecord, WorkerFilter } from "../../Store.ts"
import { int2, int8, type Row, text } from "../values.ts"
import { at, Conditions, type Listing, optional, paged, plainPage, type Sized, sizedPage, totalOf } from "./pages.ts"
import { type Read, toDescribedWorker } from "./reads.ts"

export const namespaces = ({ after, count, limit }: Paging): Listing<NamespaceRecord> => {
  const conditions = new Conditions().compare(["namespace"], ">", after === undefined ? undefined : [text(after.id)])
  const wanted = conditions.param(int8(limit + 1))
  return {
    page: {
      sql: `SELECT ${namespaceColumns.join(", ")} FROM namespaces ${conditions.sql} ORDER BY namespace LIMIT ${wanted}`,
      params: conditions.params,
      decode: plainPage(limit, (row) => toNamespaceRecord(row as unknown as NamespaceRow))
    },
    total: totalOf(count, { sql: "FROM namespaces", params: [] })
  }
}

const workerConditions = (filter: WorkerFilter) =>
  new Conditions()
    .equals("namespace || ''", text(filter.namespace))
    .equals(
      "status",
      optional(filter.status, (status) => int2(workerStatus[status]))
    )
    .equals("task_queue", optional(filter.taskQueue, text))

export const workers = (filter: WorkerFilter, { after, count, limit }: Paging): Listing<DescribedWorker> => {
  const all = workerConditions(filter)
  const conditions = workerConditions(filter).compare(
    ["worker_id"],
    "<",
    after === undefined ? undefined : [text(after.id)]
  )
  const wanted = conditions.param(int8(limit + 1))
  return {
    page: {
      sql: `SELECT ${workerColumns.join(", ")},
          (SELECT count(*) FROM runs AS r WHERE r.worker_id = k.worker_id AND r.status = 2)
        FROM workers AS k ${conditions.sql} ORDER BY worker_id DESC LIMIT ${wanted}`,
      params: conditions.params,
      decode: plainPage(limit, toDescribedWorker)
    },
    total: totalOf(count, { sql: `FROM workers ${all.sql}`, params: all.params })
  }
}

/** The columns of a schedule, with the runs that were not added up yet. */
const scheduleValues = scheduleColumns
  .map((name) => {
    const counter = /^(total|successful|failed)_runs$/.exec(name)?.[1]
    return counter === undefined ? `t.${name}` : `(t.${name} + coalesce(c.${counter}, 0))::bigint`
  })
  .join(", ")

const counted = `LEFT JOIN LATERAL (SELECT sum(total) AS total, sum(successful) AS successful, sum(failed) AS failed
  FROM schedule_counts AS c WHERE c.schedule_id = t.schedule_id) AS c ON true`

const toSchedule = (row: Row): Schedule => ({
  ...toScheduleRecord(row as unknown as ScheduleRow),
  input: toPayload(row[scheduleColumns.length] as Uint8Array | null, row[scheduleColumns.length + 1] as string | null)
})

export const schedule = (namespace: string, scheduleId: string): Read<Schedule | undefined> => ({
  sql: `SELECT ${scheduleValues}, t.input, t.input_metadata FROM schedules AS t ${counted}
    WHERE t.schedule_id = $1 AND t.namespace = $2`,
  params: [text(scheduleId), text(namespace)],
  decode: (rows) => (rows[0] === undefined ? undefined : toSchedule(rows[0]))
})

export interface ScheduleFilter {
  readonly namespace: string
  readonly taskQueue?: string
}

const scheduleConditions = (filter: ScheduleFilter) =>
  new Conditions()
    .equals("namespace || ''", text(filter.namespace))
    .equals("task_queue", optional(filter.taskQueue, text))

const schedulePages: Sized = {
  columns: `${scheduleValues}, t.input, t.input_metadata`,
  from: "schedules",
  id: "schedule_id",
  bytes: "coalesce(octet_length(input), 0)",
  order: ["created_at", "schedule_id"],
  descending: true,
  join: counted
}

export const schedules = (filter: ScheduleFilter, { after, count, limit }: Paging): Listing<Schedule> => {
  const all = scheduleConditions(filter)
  const conditions = scheduleConditions(filter).compare(["created_at", "schedule_id"], "<", at(after))
  const sql = sizedPage(schedulePages, conditions, limit)
  return {
    page: { sql, params: conditions.params, decode: paged(toSchedule) },
    total: totalOf(count, { sql: `FROM schedules ${all.sql}`, params: all.params })
  }
}

/** Comes before all others. */
const beginning: Cursor = { at: Number.MIN_SAFE_INTEGER, id: "" }

export const schedulesByDue = (
  limit: number,
  after = beginning
): Read<ReadonlyArray<ScheduleRecord & { readonly nextFireAt: number }>> => ({
  sql: `SELECT ${scheduleValues} FROM schedules AS t ${counted}
    WHERE enabled = 1 AND next_fire_at IS NOT NULL AND (t.next_fire_at, t.schedule_id) > ($1, $2)
    ORDER BY t.next_fire_at, t.schedule_id LIMIT $3`,
  params: [int8(after.at), text(after.id), int8(limit)],
  decode: (rows) =>
    rows.map((row) => ({
      ...toScheduleRecord(row as unknown as ScheduleRow),
      nextFireAt: (row as unknown as ScheduleRow)[12] ?? 0
    }))
})
