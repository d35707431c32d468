/** Statements on runs in transactions. */
import { runStatus } from "../../rows/codes.ts"
import type { RunCountChange } from "../../rows/runCounts.ts"
import { fromMetadata } from "../../rows/values.ts"
import type { Changes, RunRecord, Wants } from "../../Store.ts"
import type { Loaded } from "../Loaded.ts"
import type { Question } from "../pipeline.ts"
import { allWriting, givingAfter, writing } from "../combined.ts"
import { type RunPayload, type RunRow, runColumns, runInsert, runUpdate, toRunRecord } from "../runRow.ts"
import {
  array,
  type Column,
  column,
  failureBytes,
  inParts,
  namesOf,
  onRows,
  type Parameter,
  payloadBytes,
  prefixed,
  type Statement,
  texts
} from "../values.ts"
import { isQuiet } from "./workers.ts"

const lockedColumns = [...runColumns, "revision"]
const columns = lockedColumns.join(", ")

/** The ids of the runs that those wants name, in whatever way: one subquery for each way that is used. */
const sourcesOf = (wants: Wants): { readonly sources: ReadonlyArray<string>; readonly params: Array<Parameter> } => {
  const params: Array<Parameter> = []
  const sources: Array<string> = []
  const param = (value: Parameter) => `$${params.push(value)}`
  if (wants.runs.size > 0) sources.push(`SELECT unnest(${param(texts(wants.runs))}::text[])`)
  if (wants.externalIds.length > 0) {
    const namespaces = param(texts(wants.externalIds.map(({ namespace }) => namespace)))
    const ids = param(texts(wants.externalIds.map(({ externalId }) => externalId)))
    sources.push(`SELECT coalesce(active.run_id, ended.run_id)
      FROM unnest(${namespaces}::text[], ${ids}::text[]) AS w (namespace, external_id)
      LEFT JOIN LATERAL (SELECT run_id FROM runs AS r
        WHERE r.namespace = w.namespace AND r.external_id = w.external_id AND status NOT IN (4, 5, 6)) AS active ON true
      LEFT JOIN LATERAL (SELECT run_id FROM runs AS r
        WHERE active.run_id IS NULL
          AND r.namespace = w.namespace AND r.external_id = w.external_id AND status IN (4, 5, 6)
        ORDER BY seq DESC LIMIT 1) AS ended ON true`)
  }
  if (wants.workerRuns.size > 0) {
    sources.push(
      `SELECT run_id FROM runs WHERE status = 2 AND worker_id = ANY(${param(texts(wants.workerRuns))}::text[])`
    )
  }
  if (wants.quiet !== undefined) {
    sources.push(`SELECT r.run_id FROM workers AS k
      CROSS JOIN LATERAL (SELECT run_id FROM runs WHERE worker_id = k.worker_id AND status = 2 OFFSET 0) AS r
      WHERE ${isQuiet(wants.quiet, param)}`)
  }
  if (wants.scheduleRuns.size > 0) {
    sources.push(`SELECT r.run_id FROM unnest(${param(texts(wants.scheduleRuns))}::text[]) AS w (schedule_id)
      CROSS JOIN LATERAL (SELECT run_id FROM runs
        WHERE schedule_id = w.schedule_id AND schedule_id IS NOT NULL AND status NOT IN (4, 5, 6) OFFSET 0) AS r`)
  }
  return { sources, params }
}

/** Locks the runs that are wanted, in the order of their ids. */
export const lockRuns = (wants: Wants, loaded: Loaded): ReadonlyArray<Question> => {
  const { params, sources } = sourcesOf(wants)
  return sources.length === 0
    ? []
    : [
        {
          sql: `SELECT ${columns} FROM runs WHERE run_id = ANY(ARRAY(${sources.join(" UNION ALL ")}))
            ORDER BY run_id FOR UPDATE`,
          params,
          answered: (rows) => {
            for (const row of rows) {
              loaded.locked(toRunRecord(row as unknown as RunRow), row[runColumns.length] as number)
            }
          }
        }
      ]
}

// One type at a time: the index gives the order of claims within a type, so that LIMIT ends the scan. Whoever waits for
// a run that is locked here is not waited for: no lock is waited for after these.
const lockDue = `SELECT w.place - 1, ${prefixed("r", lockedColumns)}
  FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[])
    AS w (place, namespace, task_queue, workflow_type, due_by, wanted)
  CROSS JOIN LATERAL (SELECT ${columns} FROM runs
    WHERE namespace = w.namespace AND task_queue = w.task_queue AND workflow_type = w.workflow_type
      AND due_at <= w.due_by
    ORDER BY due_at, priority DESC, created_at, run_id LIMIT w.wanted FOR UPDATE SKIP LOCKED) AS r`

/** Locks runs that are due and that nobody else holds. */
export const lockClaims = (wants: Wants, loaded: Loaded): ReadonlyArray<Question> => {
  const asked = wants.claims.flatMap((claim, index) =>
    Array.from(new Set(claim.workflowTypes), (workflowType) => ({ claim, workflowType, place: index + 1 }))
  )
  return asked.length === 0
    ? []
    : [
        {
          sql: lockDue,
          params: [
            array(
              "int8",
              asked.map(({ place }) => place)
            ),
            texts(asked.map(({ claim }) => claim.namespace)),
            texts(asked.map(({ claim }) => claim.taskQueue)),
            texts(asked.map(({ workflowType }) => workflowType)),
            array(
              "int8",
              asked.map(({ claim }) => claim.dueBy)
            ),
            array(
              "int8",
              asked.map(({ claim }) => claim.limit)
            )
          ],
          answered: (rows) => {
            for (const [place, ...row] of rows) {
              loaded.due(place as number, toRunRecord(row as unknown as RunRow), row[runColumns.length] as number)
            }
          }
        }
      ]
}

/** A run that is written with a payload. */
interface Written {
  readonly run: RunRecord
  readonly payload: RunPayload["payload"] | undefined
}

const written = (
  columns: ReadonlyArray<Column<RunRecord>>,
  payload: "input" | "output"
): ReadonlyArray<Column<Written>> => [
  ...columns.map(({ name, of, type }) => column<Written>(name, type, ({ run }) => of(run))),
  column<Written>(payload, "bytea", (row) => row.payload?.data ?? null),
  column<Written>(`${payload}_metadata`, "text", (row) =>
    row.payload === undefined ? null : fromMetadata(row.payload.metadata)
  )
]

const inserted = written(runInsert, "input")
const ended = written(runUpdate, "output")

// In one order, so that of two transactions that start the same runs one waits for the other, and not both.
const insert = onRows(
  inserted,
  (w) => `INSERT INTO runs (${namesOf(inserted).join(", ")}) SELECT ${namesOf(inserted).join(", ")}
  FROM ${w} ORDER BY namespace, external_id RETURNING 1`
)

const assigned = (columns: ReadonlyArray<{ readonly name: string }>) =>
  namesOf(columns)
    .filter((name) => name !== "run_id")
    .map((name) => `${name} = w.${name}`)
    .join(", ")

const updateSql = (columns: ReadonlyArray<{ readonly name: string }>) => (w: string) =>
  `UPDATE runs AS r SET revision = r.revision + 1, ${assigned(columns)} FROM ${w} WHERE r.run_id = w.run_id`

const update = onRows(runUpdate, updateSql(runUpdate))
const end = onRows(ended, updateSql(ended))

const nameOf = (run: Pick<RunRecord, "namespace" | "externalId">) => `${run.namespace}\u0000${run.externalId}`

/**
 * A run with one of these external ids that others started, and that ended, since this transaction looked is one that
 * it should have seen. Others can't start one now, because the ids are taken; what they did before is to be seen here.
 */
const expectNoneUnseen = (wants: Wants, changes: Changes, loaded: Loaded): ReadonlyArray<Statement> => {
  const names = new Set(changes.insertRuns.map(nameOf))
  const looked = wants.externalIds.filter((name) => names.has(nameOf(name)))
  if (looked.length === 0) return []
  const known = new Map<string, RunRecord>()
  const seen = changes.insertRuns.map(({ runId }) => runId)
  for (const run of loaded.runs.values()) {
    if (!names.has(nameOf(run))) continue
    known.set(nameOf(run), run)
    seen.push(run.runId)
  }
  return [
    givingAfter("started", (count) => `expect_newest(${count}, $1, $2, $3, $4)`, [
      texts(looked.map(({ namespace }) => namespace)),
      texts(looked.map(({ externalId }) => externalId)),
      texts(looked.map((name) => known.get(nameOf(name))?.runId ?? "")),
      texts(seen)
    ])
  ]
}

const payloadSql = (payload: "input" | "output") =>
  `UPDATE runs AS r SET ${payload} = w.data, ${payload}_metadata = w.metadata
  FROM unnest($1::text[], $2::bytea[], $3::text[]) AS w (run_id, data, metadata) WHERE r.run_id = w.run_id`

const putPayloads = (payload: "input" | "output", puts: ReadonlyArray<RunPayload>): ReadonlyArray<Statement> =>
  inParts(puts, (put) => payloadBytes(put.payload)).map((part) => ({
    sql: payloadSql(payload),
    params: [
      texts(part.map(({ runId }) => runId)),
      array(
        "bytea",
        part.map((put) => put.payload.data)
      ),
      array(
        "text",
        part.map((put) => fromMetadata(put.payload.metadata))
      )
    ]
  }))

const copySql = (from: string) => `UPDATE runs AS r SET input = s.input, input_metadata = s.input_metadata
  FROM unnest($1::text[], $2::text[]) AS w (run_id, source) JOIN ${from} = w.source WHERE r.run_id = w.run_id`

const copyRunInputs = copySql("runs AS s ON s.run_id")
const copyScheduleInputs = copySql("schedules AS s ON s.schedule_id")

const copies = (sql: string, pairs: ReadonlyArray<readonly [runId: string, from: string]>): ReadonlyArray<Statement> =>
  pairs.length === 0
    ? []
    : [{ sql, params: [texts(pairs.map(([runId]) => runId)), texts(pairs.map(([, from]) => from))] }]

const withPayload = (write: typeof insert, rows: ReadonlyArray<Written>, isSingle: boolean) =>
  inParts(rows, ({ payload, run }) => payloadBytes(payload) + failureBytes(run.error)).map((part) =>
    write(part, isSingle)
  )

const countSql = `INSERT INTO run_counts (namespace, task_queue, workflow_type, status, runs)
  SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::smallint[], $5::bigint[])`

/** Notes how many more or fewer runs there are of each kind. */
export const count = (changes: ReadonlyArray<RunCountChange>): ReadonlyArray<Statement> =>
  changes.length === 0
    ? []
    : [
        writing("counted", {
          sql: countSql,
          params: [
            texts(changes.map(({ run }) => run.namespace)),
            texts(changes.map(({ run }) => run.taskQueue)),
            texts(changes.map(({ run }) => run.workflowType)),
            array(
              "int2",
              changes.map(({ run }) => runStatus[run.status])
            ),
            array(
              "int8",
              changes.map(({ difference }) => difference)
            )
          ]
        })
      ]

const touchSql = "UPDATE runs SET revision = revision + 1 WHERE run_id = ANY($1::text[])"

/** Notes on runs that their steps were written, where nothing else is written of them. */
export const touch = (changes: Changes): ReadonlyArray<Statement> => {
  const touched = new Set<string>()
  for (const steps of [changes.updateSteps, changes.insertSteps]) for (const { runId } of steps) touched.add(runId)
  for (const runs of [changes.updateRuns, changes.insertRuns]) for (const { runId } of runs) touched.delete(runId)
  return touched.size === 0 ? [] : [writing("touched", { sql: touchSql, params: [texts(touched)] })]
}

/** Writes runs and their payloads. */
export const save = (wants: Wants, changes: Changes, loaded: Loaded, isSingle: boolean): ReadonlyArray<Statement> => {
  const outputs = new Map(changes.outputs.map((put) => [put.runId, put]))
  const inputs = new Map(changes.inputs.map((put) => [put.runId, put]))
  const take = (from: Map<string, RunPayload>, run: RunRecord): Written => {
    const put = from.get(run.runId)
    from.delete(run.runId)
    return { run, payload: put?.payload }
  }
  const plain: Array<RunRecord> = []
  const withOutput: Array<Written> = []
  for (const run of changes.updateRuns) {
    if (outputs.has(run.runId)) withOutput.push(take(outputs, run))
    else plain.push(run)
  }
  const names = new Set(changes.insertRuns.map(nameOf))
  const started = changes.insertRuns.map((run) => take(inputs, run))
  // an id may be free because a run with it has ended here
  const sees = changes.updateRuns.some((run) => names.has(nameOf(run)))
  const updates = inParts(plain, ({ error }) => failureBytes(error)).map((part) => update(part, isSingle))
  return [
    ...allWriting("updated", updates),
    ...allWriting("ended", withPayload(end, withOutput, isSingle)),
    ...allWriting("started", withPayload(insert, started, isSingle), { sees }),
    ...expectNoneUnseen(wants, changes, loaded),
    ...putPayloads("input", Array.from(inputs.values())),
    ...copies(
      copyScheduleInputs,
      changes.copyScheduleInputs.map(({ runId, scheduleId }) => [runId, scheduleId])
    ),
    ...copies(
      copyRunInputs,
      changes.copyInputs.map(({ from, runId }) => [runId, from])
    ),
    ...putPayloads("output", Array.from(outputs.values()))
  ]
}
