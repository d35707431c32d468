/** Queries and statements of schedules. */
import type { Payload } from "../../../Run.ts"
import type { Schedule } from "../../../Schedule.ts"
import type { Changes, Cursor, Page, RunRecord, ScheduleRecord, Wants } from "../../Store.ts"
import type { Prepare } from "../database.ts"
import { fromMetadata, toPayload } from "../../rows/values.ts"
import { assignments, limitParameter, placeholders, prefixed } from "../rows.ts"
import { type RunRow, runColumns, runTables, toRunRecord } from "../runRow.ts"
import {
  type ScheduleRow,
  scheduleColumns,
  scheduleMutable,
  scheduleMutableValues,
  scheduleValues,
  toScheduleRecord
} from "../../rows/scheduleRow.ts"
import { type Condition, equals, type Paging, take, where } from "./listings.ts"

const columns = scheduleColumns.join(", ")

const full = (index: string) => `SELECT ${prefixed("s", scheduleColumns)}, i.data, i.metadata
  FROM schedules AS s ${index} LEFT JOIN schedule_inputs AS i ON i.seq = s.seq`

export const sql = {
  byId: `SELECT ${columns} FROM schedules WHERE schedule_id = ?`,
  get: `${full("")} WHERE s.schedule_id = ? AND s.namespace = ?`,
  byDue: `SELECT ${columns} FROM schedules
    WHERE enabled = 1 AND next_fire_at IS NOT NULL AND (next_fire_at, schedule_id) > (?, ?)
    ORDER BY next_fire_at, schedule_id ${limitParameter}`,
  totals: "SELECT count(*), count(*) FILTER (WHERE enabled = 1) FROM schedules",
  totalsOfNamespace: `SELECT count(*), count(*) FILTER (WHERE enabled = 1)
    FROM schedules INDEXED BY schedules_by_age WHERE namespace = ?`,
  unfinished: `SELECT ${runColumns} FROM ${runTables()} WHERE r.schedule_id = ? AND r.status NOT IN (4, 5, 6)`,
  slots: "SELECT slot FROM runs WHERE schedule_id = ? AND slot >= ? AND slot <= ?",
  insert: `INSERT INTO schedules (${columns}) VALUES (${placeholders(scheduleColumns)})`,
  update: `UPDATE schedules SET ${assignments(scheduleMutable)} WHERE schedule_id = ?`,
  count: `UPDATE schedules SET total_runs = total_runs + ?, successful_runs = successful_runs + ?,
    failed_runs = failed_runs + ? WHERE schedule_id = ?`,
  putInput: `INSERT OR REPLACE INTO schedule_inputs (seq, data, metadata)
    SELECT seq, ?, ? FROM schedules WHERE schedule_id = ?`,
  copyInput: `INSERT OR REPLACE INTO run_inputs (seq, data, metadata)
    SELECT (SELECT seq FROM runs WHERE run_id = ?), i.data, i.metadata
    FROM schedules s JOIN schedule_inputs i ON i.seq = s.seq WHERE s.schedule_id = ?`,
  removeInput: "DELETE FROM schedule_inputs WHERE seq = (SELECT seq FROM schedules WHERE schedule_id = ?)",
  remove: "DELETE FROM schedules WHERE schedule_id = ?"
}

export interface ScheduleFilter {
  readonly namespace: string
  readonly taskQueue?: string
}

const conditions = (filter: ScheduleFilter): ReadonlyArray<Condition> => [
  ...equals("s.namespace", filter.namespace),
  ...equals("s.task_queue", filter.taskQueue)
]

/** The text and parameters of one page of schedules, with one row more than wanted. */
export const schedulePage = (filter: ScheduleFilter, { after, limit }: Paging): Condition => {
  const index = filter.taskQueue === undefined ? "schedules_by_age" : "schedules_by_queue"
  const rows = where([
    ...conditions(filter),
    ...(after === undefined ? [] : [{ sql: "(s.created_at, s.schedule_id) < (?, ?)", params: [after.at, after.id] }])
  ])
  return {
    sql: `${full(`INDEXED BY ${index}`)} ${rows.sql} ORDER BY s.created_at DESC, s.schedule_id DESC ${limitParameter}`,
    params: [...rows.params, limit + 1]
  }
}

type FullRow = readonly [...schedule: ScheduleRow, input: Uint8Array | null, inputMetadata: string | null]

const toSchedule = (row: FullRow): Schedule => ({ ...toScheduleRecord(row), input: toPayload(row[17], row[18]) })

/** Comes before all others. */
const first: Cursor = { at: Number.MIN_SAFE_INTEGER, id: "" }

export interface Schedules {
  readonly byId: (scheduleId: string) => ScheduleRecord | undefined
  readonly get: (namespace: string, scheduleId: string) => Schedule | undefined
  readonly list: (filter: ScheduleFilter, paging: Paging) => Page<Schedule>
  readonly byDue: (limit: number, after?: Cursor) => ReadonlyArray<ScheduleRecord & { readonly nextFireAt: number }>
  /** Of a namespace, or of all. */
  readonly total: (namespace: string | undefined) => { readonly total: number; readonly enabled: number }
  /** Runs that have not ended. */
  readonly unfinished: (scheduleId: string) => ReadonlyArray<RunRecord>
  /** Slots for which there is a run. */
  readonly slots: (interval: Wants["slots"][number]) => ReadonlyArray<number>
  readonly insert: (schedule: ScheduleRecord) => void
  /** These answer whether the schedule exists. */
  readonly update: (schedule: ScheduleRecord) => boolean
  readonly putInput: (scheduleId: string, payload: Payload) => boolean
  readonly copyInput: (runId: string, scheduleId: string) => boolean
  readonly count: (counts: Changes["countScheduleRuns"][number]) => void
  readonly remove: (scheduleId: string) => void
}

export const make = (prepare: Prepare): Schedules => {
  const byId = prepare<ScheduleRow>(sql.byId)
  const get = prepare<FullRow>(sql.get)
  const byDue = prepare<ScheduleRow>(sql.byDue)
  const totals = prepare<readonly [total: number, enabled: number]>(sql.totals)
  const totalsOfNamespace = prepare<readonly [total: number, enabled: number]>(sql.totalsOfNamespace)
  const unfinished = prepare<RunRow>(sql.unfinished)
  const slots = prepare<readonly [slot: number]>(sql.slots)
  const insert = prepare(sql.insert)
  const update = prepare(sql.update)
  const count = prepare(sql.count)
  const putInput = prepare(sql.putInput)
  const copyInput = prepare(sql.copyInput)
  const removeInput = prepare(sql.removeInput)
  const remove = prepare(sql.remove)

  return {
    byId: (scheduleId) => {
      const row = byId.get(scheduleId)
      return row === undefined ? undefined : toScheduleRecord(row)
    },
    get: (namespace, scheduleId) => {
      const row = get.get(scheduleId, namespace)
      return row === undefined ? undefined : toSchedule(row)
    },
    list: (filter, paging) => {
      const { params, sql } = schedulePage(filter, paging)
      const page = take(
        prepare<FullRow>(sql).iterate(...params),
        paging.limit,
        toSchedule,
        (_, schedule) => schedule.input.data.byteLength
      )
      if (!paging.count) return page
      const counted = where(conditions(filter))
      const total = prepare<readonly [number]>(`SELECT count(*) FROM schedules AS s ${counted.sql}`)
      return { ...page, total: total.get(...counted.params)![0] }
    },
    byDue: (limit, after = first) =>
      byDue.all(after.at, after.id, limit).map((row) => ({ ...toScheduleRecord(row), nextFireAt: Number(row[12]) })),
    total: (namespace) => {
      const [total, enabled] = (namespace === undefined ? totals.get() : totalsOfNamespace.get(namespace))!
      return { total, enabled }
    },
    unfinished: (scheduleId) => unfinished.all(scheduleId).map(toRunRecord),
    slots: ({ from, scheduleId, to }) => slots.all(scheduleId, from, to).map((row) => row[0]),
    insert: (schedule) => {
      insert.run(...scheduleValues(schedule))
    },
    update: (schedule) => update.run(...scheduleMutableValues(schedule), schedule.scheduleId).changes === 1,
    putInput: (scheduleId, { data, metadata }) => putInput.run(data, fromMetadata(metadata), scheduleId).changes === 1,
    copyInput: (runId, scheduleId) => copyInput.run(runId, scheduleId).changes === 1,
    count: ({ failed, scheduleId, successful, total }) => {
      count.run(total, successful, failed, scheduleId)
    },
    remove: (scheduleId) => {
      removeInput.run(scheduleId)
      remove.run(scheduleId)
    }
  }
}
