/** Queries of clients: runs with their payloads, and pages of runs and steps. */
import type { SQLInputValue } from "node:sqlite"
import type { Run, Step } from "../../../Run.ts"
import { type Cursor, type Page, pageBytes, type RunFilter } from "../../Store.ts"
import { runStatus } from "../../rows/codes.ts"
import type { Prepare } from "../database.ts"
import { toPayload } from "../../rows/values.ts"
import { limitParameter } from "../rows.ts"
import { type RunRow, runColumns, runTables, toRun, toRunRecord } from "../runRow.ts"
import { payloadBytes, type StepRow, stepColumns, toStep } from "../stepRow.ts"
import type { StoredRun } from "../RunCache.ts"
import type { Runs } from "./runs.ts"
import type { Steps } from "./steps.ts"

type FullRow = readonly [
  ...run: RunRow,
  input: Uint8Array | null,
  inputMetadata: string | null,
  hasOutput: number,
  output: Uint8Array | null,
  outputMetadata: string | null
]

const full = (index: string) => `SELECT ${runColumns}, i.data, i.metadata, o.seq IS NOT NULL, o.data, o.metadata
  FROM ${runTables(index)} LEFT JOIN run_inputs AS i ON i.seq = r.seq LEFT JOIN run_outputs AS o ON o.seq = r.seq`

/** Without statistics SQLite prefers a range of times to a status, whatever they hold. */
const indexFor = (filter: RunFilter): string => {
  if (filter.scheduleId !== undefined) return "runs_by_schedule"
  if (filter.status !== undefined) return "runs_by_status"
  if (filter.workflowType !== undefined) return "runs_by_type"
  return filter.taskQueue === undefined ? "runs_by_age" : "runs_by_queue"
}

export interface Paging {
  readonly limit: number
  readonly after?: Cursor
  readonly count: boolean
}

export interface Condition {
  readonly sql: string
  readonly params: ReadonlyArray<SQLInputValue>
}

export const where = (conditions: ReadonlyArray<Condition>): Condition => ({
  sql: `WHERE ${conditions.map((condition) => condition.sql).join(" AND ")}`,
  params: conditions.flatMap((condition) => condition.params)
})

export const equals = (column: string, value: SQLInputValue | undefined): ReadonlyArray<Condition> =>
  value === undefined ? [] : [{ sql: `${column} = ?`, params: [value] }]

const runConditions = (filter: RunFilter): ReadonlyArray<Condition> => [
  ...equals("r.namespace", filter.namespace),
  ...equals("r.status", filter.status === undefined ? undefined : runStatus[filter.status]),
  ...equals("r.workflow_type", filter.workflowType),
  ...equals("r.task_queue", filter.taskQueue),
  ...equals("r.schedule_id", filter.scheduleId),
  ...(filter.createdAfter === undefined ? [] : [{ sql: "r.created_at > ?", params: [filter.createdAfter] }]),
  ...(filter.createdBefore === undefined ? [] : [{ sql: "r.created_at < ?", params: [filter.createdBefore] }])
]

/** The text and parameters of one page of runs, with one row more than wanted. */
export const runPage = (filter: RunFilter, paging: Paging): Condition => {
  const { after, limit } = paging
  const rows = where([
    ...runConditions(filter),
    ...(after === undefined ? [] : [{ sql: "(r.created_at, r.run_id) < (?, ?)", params: [after.at, after.id] }])
  ])
  return {
    sql: `${full(indexFor(filter))} ${rows.sql} ORDER BY r.created_at DESC, r.run_id DESC ${limitParameter}`,
    params: [...rows.params, limit + 1]
  }
}

interface StepFilter {
  readonly namespace: string
  readonly runId: string
  readonly name?: string
}

const stepConditions = (run: StoredRun, name: string | undefined): ReadonlyArray<Condition> => [
  { sql: "run = ?", params: [run.seq] },
  ...equals("name", name)
]

/** The text and parameters of one page of steps, with one row more than wanted. */
export const stepPage = (run: StoredRun, name: string | undefined, { after, limit }: Paging): Condition => {
  const rest = "(created_at, seq) > (?, (SELECT seq FROM steps WHERE step_id = ?))"
  const rows = where([
    ...stepConditions(run, name),
    ...(after === undefined ? [] : [{ sql: rest, params: [after.at, after.id] }])
  ])
  return {
    sql: `SELECT ${stepColumns.join(", ")} FROM steps INDEXED BY steps_by_age ${rows.sql} ORDER BY created_at, seq ${limitParameter}`,
    params: [...rows.params, limit + 1]
  }
}

const runBytes = (run: Run) => run.input.data.byteLength + (run.output?.data.byteLength ?? 0)

/** Takes rows until there are enough of them, by number or by bytes. Does not read the rest. */
export const take = <Row, A>(
  rows: Iterable<Row>,
  limit: number,
  decode: (row: Row) => A,
  size: (row: Row, item: A) => number
) => {
  const items: Array<A> = []
  let bytes = 0
  for (const row of rows) {
    if (items.length === limit) return { items, hasMore: true }
    const item = decode(row)
    bytes += size(row, item)
    if (bytes > pageBytes && items.length > 0) return { items, hasMore: true }
    items.push(item)
  }
  return { items, hasMore: false }
}

export interface Listings {
  readonly run: (of: StoredRun, now: number) => Run
  readonly runs: (filter: RunFilter, paging: Paging, now: number) => Page<Run>
  readonly steps: (filter: StepFilter, paging: Paging) => Page<Step>
}

export const make = (prepare: Prepare, runs: Runs, steps: Steps): Listings => {
  const decodeRun = (row: FullRow, now: number): Run =>
    toRun(toRunRecord(row), toPayload(row[28], row[29]), row[30] === 1 ? toPayload(row[31], row[32]) : undefined, now)
  const counted = (
    table: string,
    count: boolean,
    conditions: ReadonlyArray<Condition>
  ): { readonly total?: number } => {
    if (!count) return {}
    const { params, sql } = where(conditions)
    return { total: prepare<readonly [total: number]>(`SELECT count(*) FROM ${table} ${sql}`).get(...params)![0] }
  }
  return {
    run: (of, now) => toRun(of.run, runs.input(of) ?? toPayload(null, null), runs.output(of), now),
    runs: (filter, paging, now) => {
      const { params, sql } = runPage(filter, paging)
      return {
        ...take(
          prepare<FullRow>(sql).iterate(...params),
          paging.limit,
          (row) => decodeRun(row, now),
          (_, item) => runBytes(item)
        ),
        ...counted("runs AS r", paging.count, runConditions(filter))
      }
    },
    steps: ({ name, namespace, runId }, paging) => {
      const run = runs.byId(runId)
      if (run === undefined || run.run.namespace !== namespace) {
        return { items: [], hasMore: false, ...(paging.count ? { total: 0 } : {}) }
      }
      const { params, sql } = stepPage(run, name, paging)
      return {
        ...take(
          prepare<StepRow>(sql).iterate(...params),
          paging.limit,
          (row) => toStep(steps.record(run, row)),
          (row) => payloadBytes(row)
        ),
        ...counted("steps", paging.count, stepConditions(run, name))
      }
    }
  }
}
