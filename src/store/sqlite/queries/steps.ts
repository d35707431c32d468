/** Queries and statements of steps. Those of one run are found by the key of its row. */
import { pageSteps, type StepRecord } from "../../Store.ts"
import type { Prepare } from "../database.ts"
import type { StoredRun } from "../RunCache.ts"
import { assignments, prefixed, rowsOf } from "../rows.ts"
import {
  isApart,
  isPlain,
  payloadBytes,
  type StepRow,
  stepColumns,
  stepInserts,
  stepMutable,
  stepMutableValues,
  toStepRecord
} from "../stepRow.ts"
import { inserter, manyRows } from "./inserter.ts"

const columns = stepColumns.join(", ")

// a failed statement need not be undone by itself, since the transaction is: FAIL saves noting what it was before
const insert = (columns: ReadonlyArray<string>, rows: number) =>
  `INSERT OR FAIL INTO steps (run, ${columns.join(", ")}) VALUES ${rowsOf(["run", ...columns], rows)}`

export const sql = {
  byId: `SELECT ${prefixed("s", stepColumns)}, r.namespace, r.run_id
    FROM steps AS s JOIN runs AS r ON r.seq = s.run WHERE s.step_id = ?`,
  latest: `SELECT ${columns} FROM steps WHERE run = ? AND name = ? ORDER BY attempt DESC LIMIT 1`,
  waiting: `SELECT ${columns} FROM steps AS s WHERE run = ?
    AND due_at IS NOT NULL AND status IN (1, 2) AND NOT EXISTS
    (SELECT 1 FROM steps AS later WHERE later.run = s.run AND later.name = s.name AND later.attempt > s.attempt)`,
  // a new seek every so often: it skips the older attempts of a step, however many there are
  history: `SELECT ${columns} FROM steps WHERE run = ? AND position > ? ORDER BY position, attempt DESC LIMIT 50`,
  insertWhole: insert(stepInserts.whole.columns, 1),
  insertPlain: insert(stepInserts.plain.columns, 1),
  insertManyPlain: insert(stepInserts.plain.columns, manyRows),
  update: `UPDATE steps SET ${assignments(stepMutable)} WHERE step_id = ?`,
  input: "SELECT data FROM step_inputs WHERE seq = (SELECT seq FROM steps WHERE step_id = ?)",
  output: "SELECT data FROM step_outputs WHERE seq = (SELECT seq FROM steps WHERE step_id = ?)",
  putInput: "INSERT INTO step_inputs (seq, data) SELECT seq, ? FROM steps WHERE step_id = ?",
  // a row that changes again after its output was stored does not store it again
  putOutput: `INSERT INTO step_outputs (seq, data) SELECT seq, ? FROM steps WHERE step_id = ?
    ON CONFLICT (seq) DO UPDATE SET data = excluded.data WHERE data IS NOT excluded.data`
}

type DataRow = readonly [data: Uint8Array]
type FoundRow = readonly [...step: StepRow, namespace: string, runId: string]

export interface Steps {
  readonly record: (of: StoredRun, row: StepRow) => StepRecord
  readonly byId: (stepId: string) => StepRecord | undefined
  /** The latest attempt. */
  readonly latest: (of: StoredRun, name: string) => StepRecord | undefined
  /** All latest attempts of a run that are PENDING or RUNNING and have a `dueAt`. */
  readonly waiting: (of: StoredRun) => ReadonlyArray<StepRecord>
  readonly history: (
    of: StoredRun,
    after: number,
    maxBytes: number
  ) => { readonly steps: ReadonlyArray<StepRecord>; readonly hasMore: boolean }
  readonly insert: (steps: ReadonlyArray<readonly [of: StoredRun, step: StepRecord]>) => void
  /** Answers whether the step exists. */
  readonly update: (step: StepRecord) => boolean
}

export const make = (prepare: Prepare): Steps => {
  const byId = prepare<FoundRow>(sql.byId)
  const latest = prepare<StepRow>(sql.latest)
  const waiting = prepare<StepRow>(sql.waiting)
  const history = prepare<StepRow>(sql.history)
  const insertWhole = prepare(sql.insertWhole)
  const insertPlain = prepare(sql.insertPlain)
  const insertManyPlain = prepare(sql.insertManyPlain)
  const update = prepare(sql.update)
  const input = prepare<DataRow>(sql.input)
  const output = prepare<DataRow>(sql.output)
  const putInput = prepare(sql.putInput)
  const putOutput = prepare(sql.putOutput)

  const fetchInput = (stepId: string) => input.get(stepId)?.[0] ?? null
  const fetchOutput = (stepId: string) => output.get(stepId)?.[0] ?? null
  const record = ({ run }: StoredRun, row: StepRow) => toStepRecord(run, row, fetchInput, fetchOutput)
  const writeOutput = (step: StepRecord) => {
    if (step.output !== undefined && isApart(step.output)) putOutput.run(step.output.data, step.stepId)
  }
  return {
    record,
    byId: (stepId) => {
      const row = byId.get(stepId)
      if (row === undefined) return undefined
      return toStepRecord({ namespace: row[21], runId: row[22] }, row, fetchInput, fetchOutput)
    },
    latest: (of, name) => {
      const row = latest.get(of.seq, name)
      return row === undefined ? undefined : record(of, row)
    },
    waiting: (of) => waiting.all(of.seq).map((row) => record(of, row)),
    history: (of, after, maxBytes) => {
      const steps: Array<StepRecord> = []
      let position = after
      let bytes = 0
      for (;;) {
        let read = 0
        for (const row of history.iterate(of.seq, position)) {
          read++
          if (row[4] === position) continue
          bytes += payloadBytes(row)
          if ((bytes > maxBytes && steps.length > 0) || steps.length === pageSteps) return { steps, hasMore: true }
          position = row[4]
          steps.push(record(of, row))
        }
        if (read === 0) return { steps, hasMore: false }
      }
    },
    insert: (steps) => {
      const plain = inserter(insertPlain, insertManyPlain)
      for (const [of, step] of steps) {
        if (isPlain(step)) plain.add([of.seq, ...stepInserts.plain.values(step)])
        else {
          // rows are in the order in which the steps were begun
          plain.flush()
          insertWhole.run(of.seq, ...stepInserts.whole.values(step))
        }
      }
      plain.flush()
      for (const [, step] of steps) {
        if (isApart(step.input)) putInput.run(step.input.data, step.stepId)
        writeOutput(step)
      }
    },
    update: (step) => {
      const exists = update.run(...stepMutableValues(step), step.stepId).changes === 1
      writeOutput(step)
      return exists
    }
  }
}
