/** Questions outside of transactions about single rows, and their numbers. */
import type { Effect } from "effect"
import { runStatuses } from "../../rows/codes.ts"
import {
  type NamespaceRow,
  namespaceColumns,
  toNamespaceRecord,
  toWorkerRecord,
  type WorkerRow,
  workerColumns
} from "../../rows/workerRow.ts"
import { toPayload } from "../../rows/values.ts"
import type { Payload, Run, Step } from "../../../Run.ts"
import {
  type DescribedWorker,
  type NamespaceRecord,
  pageBytes,
  pageSteps,
  type RunCount,
  type RunRecord,
  type Shape,
  type StepRecord
} from "../../Store.ts"
import { type FullRunRow, fullRunColumns, type RunRow, runColumns, toRun, toRunRecord } from "../runRow.ts"
import { stepBytes, type StepRow, stepColumns, toStep, toStepRecord } from "../stepRow.ts"
import { array, int8, prefixed, type Row, type Statement, text, texts } from "../values.ts"

/** A statement that only reads, and what its rows say. */
export interface Read<A> extends Statement {
  readonly decode: (rows: ReadonlyArray<Row>) => A
}

const first =
  <A>(decode: (row: Row) => A) =>
  (rows: ReadonlyArray<Row>): A | undefined =>
    rows[0] === undefined ? undefined : decode(rows[0])

const fullRun = `SELECT ${fullRunColumns.join(", ")} FROM runs`

const sql = {
  run: `${fullRun} WHERE run_id = $1 AND namespace = $2`,
  // only the newest can be active
  runByExternalId: `(${fullRun} WHERE namespace = $1 AND external_id = $2 AND status NOT IN (4, 5, 6))
    UNION ALL (${fullRun} WHERE namespace = $1 AND external_id = $2 AND status IN (4, 5, 6)
      ORDER BY seq DESC LIMIT 1) LIMIT 1`,
  runRecord: `SELECT ${runColumns.join(", ")} FROM runs WHERE run_id = $1 AND namespace = $2`,
  input: "SELECT input, input_metadata FROM runs WHERE run_id = $1 AND input IS NOT NULL",
  output: "SELECT output, output_metadata FROM runs WHERE run_id = $1 AND output IS NOT NULL",
  // A page is cut where its bytes are over the limit. `status + 0` is in no index that could be gone by instead.
  endedRuns: `SELECT ${prefixed("r", runColumns)}, r.output, r.output_metadata, p.followed FROM (
      SELECT run_id, lead(run_id) OVER places IS NOT NULL AS followed, row_number() OVER places AS place,
        sum(coalesce(octet_length(output), 0) + coalesce(octet_length(error), 0)) OVER (places ROWS UNBOUNDED PRECEDING)
          AS total
      FROM runs WHERE run_id = ANY($1::text[]) AND status + 0 IN (4, 5, 6)
      WINDOW places AS (ORDER BY run_id)
    ) AS p JOIN runs AS r ON r.run_id = p.run_id
    WHERE p.place = 1 OR p.total <= $2 ORDER BY r.run_id`,
  missingRuns: `SELECT w.run_id FROM unnest($1::text[]) AS w (run_id)
    WHERE NOT EXISTS (SELECT 1 FROM runs AS r WHERE r.run_id = w.run_id)`,
  lostRuns: `SELECT ${prefixed("r", runColumns)} FROM unnest($1::text[], $2::bigint[]) AS w (run_id, lease)
    JOIN runs AS r ON r.run_id = w.run_id WHERE r.status <> 2 OR r.lease_epoch <> w.lease`,
  // steps of a run that is gone may be left for a while
  step: `SELECT ${stepColumns.join(", ")} FROM steps WHERE step_id = $1 AND namespace = $2
    AND EXISTS (SELECT 1 FROM runs AS r WHERE r.run_id = steps.run_id)`,
  // Older attempts are skipped in the index. A page is cut where its bytes are over the limit; the step after it, which
  // is looked at to know of it, is not sent.
  history: `SELECT ${prefixed("s", stepColumns)}, p.followed FROM (
      SELECT step_id, lead(step_id) OVER places IS NOT NULL AS followed, row_number() OVER places AS place,
        sum(bytes) OVER (places ROWS UNBOUNDED PRECEDING) AS total
      FROM (SELECT DISTINCT ON (position) step_id, position, ${stepBytes("l")} AS bytes FROM steps AS l
        WHERE run_id || '' = $1 AND position > $2 ORDER BY position, attempt DESC LIMIT ${pageSteps + 1}) AS latest
      WINDOW places AS (ORDER BY position)
    ) AS p JOIN steps AS s ON s.step_id = p.step_id
    WHERE p.place <= ${pageSteps} AND (p.place = 1 OR p.total <= $3) ORDER BY s.position`,
  namespace: `SELECT ${namespaceColumns.join(", ")} FROM namespaces WHERE namespace = $1`,
  worker: `SELECT ${workerColumns.join(", ")},
    (SELECT count(*) FROM runs AS r WHERE r.worker_id = k.worker_id AND r.status = 2)
    FROM workers AS k WHERE worker_id = $1`,
  workers: "SELECT count(*), count(*) FILTER (WHERE status = 1) FROM workers",
  schedules: "SELECT count(*), count(*) FILTER (WHERE enabled = 1) FROM schedules",
  runs: "SELECT namespace, task_queue, workflow_type, status, sum(runs)::bigint FROM run_counts",
  kinds: `GROUP BY namespace, task_queue, workflow_type, status HAVING sum(runs) > 0
    ORDER BY namespace, task_queue, workflow_type, status`,
  nextDue: `SELECT min(d.due_at) FROM unnest($3::text[]) AS w (workflow_type)
    CROSS JOIN LATERAL (SELECT due_at FROM runs
      WHERE namespace = $1 AND task_queue = $2 AND workflow_type = w.workflow_type AND due_at IS NOT NULL
      ORDER BY due_at LIMIT 1) AS d`,
  quietest: "SELECT min(last_heartbeat_at) FROM workers WHERE status <> 3",
  ping: "SELECT count(*) FROM (SELECT 1 FROM namespaces LIMIT 1) AS n"
}

export const run = (namespace: string, runId: string, now: number): Read<Run | undefined> => ({
  sql: sql.run,
  params: [text(runId), text(namespace)],
  decode: first((row) => toRun(row as unknown as FullRunRow, now))
})

export const runByExternalId = (namespace: string, externalId: string, now: number): Read<Run | undefined> => ({
  sql: sql.runByExternalId,
  params: [text(namespace), text(externalId)],
  decode: first((row) => toRun(row as unknown as FullRunRow, now))
})

export const runRecord = (namespace: string, runId: string): Read<RunRecord | undefined> => ({
  sql: sql.runRecord,
  params: [text(runId), text(namespace)],
  decode: first((row) => toRunRecord(row as unknown as RunRow))
})

const payload = first((row): Payload => toPayload(row[0] as Uint8Array, row[1] as string | null))

export const input = (runId: string): Read<Payload | undefined> => ({
  sql: sql.input,
  params: [text(runId)],
  decode: payload
})

export const output = (runId: string): Read<Payload | undefined> => ({
  sql: sql.output,
  params: [text(runId)],
  decode: payload
})

type EndedRow = readonly [...run: RunRow, output: Uint8Array | null, outputMetadata: string | null, followed: boolean]

export const endedRuns = (runIds: ReadonlyArray<string>): Read<Effect.Success<ReturnType<Shape["endedRuns"]>>> => ({
  sql: sql.endedRuns,
  params: [texts(runIds), int8(pageBytes)],
  decode: (rows) => ({
    runs: rows.map((row) => {
      const run = toRunRecord(row as unknown as EndedRow)
      const [output, metadata] = row.slice(runColumns.length) as [Uint8Array | null, string | null]
      return output === null ? { run } : { run, output: toPayload(output, metadata) }
    }),
    hasMore: rows.at(-1)?.at(-1) === true
  })
})

export const missingRuns = (runIds: ReadonlyArray<string>): Read<ReadonlyArray<string>> => ({
  sql: sql.missingRuns,
  params: [texts(runIds)],
  decode: (rows) => rows.map((row) => row[0] as string)
})

export const lostRuns = (
  held: ReadonlyArray<{ readonly runId: string; readonly lease: number }>
): Read<ReadonlyArray<RunRecord>> => ({
  sql: sql.lostRuns,
  params: [
    texts(held.map(({ runId }) => runId)),
    array(
      "int8",
      held.map(({ lease }) => lease)
    )
  ],
  decode: (rows) => rows.map((row) => toRunRecord(row as unknown as RunRow))
})

export const step = (namespace: string, stepId: string): Read<Step | undefined> => ({
  sql: sql.step,
  params: [text(stepId), text(namespace)],
  decode: first((row) => toStep(toStepRecord(row as unknown as StepRow)))
})

export const history = (
  runId: string,
  after: number,
  maxBytes: number
): Read<{ readonly steps: ReadonlyArray<StepRecord>; readonly hasMore: boolean }> => ({
  sql: sql.history,
  params: [text(runId), int8(after), int8(maxBytes)],
  decode: (rows) => ({
    steps: rows.map((row) => toStepRecord(row as unknown as StepRow)),
    hasMore: rows.at(-1)?.at(-1) === true
  })
})

export const namespace = (name: string): Read<NamespaceRecord | undefined> => ({
  sql: sql.namespace,
  params: [text(name)],
  decode: first((row) => toNamespaceRecord(row as unknown as NamespaceRow))
})

export const toDescribedWorker = (row: Row): DescribedWorker => ({
  ...toWorkerRecord(row as unknown as WorkerRow),
  activeRuns: row[workerColumns.length] as number
})

export const worker = (workerId: string): Read<DescribedWorker | undefined> => ({
  sql: sql.worker,
  params: [text(workerId)],
  decode: first(toDescribedWorker)
})

const ofNamespace = (namespace: string | undefined) => ({
  where: namespace === undefined ? "" : " WHERE namespace = $1",
  params: namespace === undefined ? [] : [text(namespace)]
})

const numbers = (row: Row | undefined): ReadonlyArray<number> => (row ?? []) as ReadonlyArray<number>

export const countWorkers = (
  namespace: string | undefined
): Read<{ readonly total: number; readonly online: number }> => {
  const { params, where } = ofNamespace(namespace)
  return {
    sql: `${sql.workers}${where}`,
    params,
    decode: (rows) => {
      const [total = 0, online = 0] = numbers(rows[0])
      return { total, online }
    }
  }
}

export const countSchedules = (
  namespace: string | undefined
): Read<{ readonly total: number; readonly enabled: number }> => {
  const { params, where } = ofNamespace(namespace)
  return {
    sql: `${sql.schedules}${where}`,
    params,
    decode: (rows) => {
      const [total = 0, enabled = 0] = numbers(rows[0])
      return { total, enabled }
    }
  }
}

type RunCountRow = readonly [namespace: string, taskQueue: string, workflowType: string, status: number, count: number]

export const countRuns = (namespace: string | undefined): Read<ReadonlyArray<RunCount>> => {
  const { params, where } = ofNamespace(namespace)
  return {
    sql: `${sql.runs}${where} ${sql.kinds}`,
    params,
    decode: (rows) =>
      rows.map((row) => {
        const [namespace, taskQueue, workflowType, status, count] = row as unknown as RunCountRow
        return { namespace, taskQueue, workflowType, status: runStatuses[status]!, count }
      })
  }
}

const time = (rows: ReadonlyArray<Row>): number | undefined => (rows[0]?.[0] as number | null | undefined) ?? undefined

export const nextDue = (
  namespace: string,
  taskQueue: string,
  workflowTypes: ReadonlyArray<string>
): Read<number | undefined> => ({
  sql: sql.nextDue,
  params: [text(namespace), text(taskQueue), texts(workflowTypes)],
  decode: time
})

export const quietest: Read<number | undefined> = { sql: sql.quietest, params: [], decode: time }

export const ping: Read<void> = { sql: sql.ping, params: [], decode: () => undefined }
