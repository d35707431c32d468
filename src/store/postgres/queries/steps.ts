/** Statements on steps in transactions. Nobody writes a step without the lock on its run. */
import type { Changes, StepRecord, Wants } from "../../Store.ts"
import { allWriting } from "../combined.ts"
import type { Loaded } from "../Loaded.ts"
import type { Question } from "../pipeline.ts"
import { type StepRow, stepColumns, stepInsert, stepUpdate, toStepRecord } from "../stepRow.ts"
import {
  array,
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

const columns = prefixed("s", stepColumns)

const waiting = (runs: string) => `SELECT ${columns} FROM steps AS s
  WHERE s.run_id = ANY(${runs}::text[]) AND waits IS NOT NULL AND s.attempt = (SELECT l.attempt FROM steps AS l
    WHERE l.run_id = s.run_id AND l.name = s.name ORDER BY l.attempt DESC LIMIT 1)`

const answeredTo =
  (loaded: Loaded): Question["answered"] =>
  (rows) => {
    for (const row of rows) {
      const step = toStepRecord(row as unknown as StepRow)
      loaded.steps.set(step.stepId, step)
    }
  }

/** The latest attempts of those runs that wait. */
export const waits = (runs: Iterable<string>, loaded: Loaded): Question => ({
  sql: waiting("$1"),
  params: [texts(runs)],
  answered: answeredTo(loaded)
})

/** Loads the steps that are wanted by name, by id, or because they wait. */
export const load = (wants: Wants, loaded: Loaded): ReadonlyArray<Question> => {
  const params: Array<Parameter> = []
  const param = (value: Parameter) => `$${params.push(value)}`
  const sources: Array<string> = []
  if (wants.stepIds.size > 0) {
    sources.push(`SELECT ${columns} FROM steps AS s WHERE s.step_id = ANY(${param(texts(wants.stepIds))}::text[])`)
  }
  if (wants.steps.length > 0) {
    const arrays = [
      param(texts(wants.steps.map(({ runId }) => runId))),
      param(texts(wants.steps.map(({ name }) => name))),
      param(
        array(
          "text",
          wants.steps.map(({ stepId }) => stepId ?? null)
        )
      )
    ]
    // most names are new, and then nothing else is looked up
    sources.push(`SELECT ${columns}
      FROM unnest(${arrays.map((values) => `${values}::text[]`).join(", ")}) AS w (run_id, name, step_id)
      CROSS JOIN LATERAL (SELECT l.step_id FROM steps AS l WHERE l.run_id = w.run_id AND l.name = w.name
        ORDER BY attempt DESC LIMIT 1) AS l
      JOIN steps AS s ON s.step_id = ANY(ARRAY[l.step_id, w.step_id])`)
  }
  if (wants.waits.size > 0) sources.push(waiting(param(texts(wants.waits))))
  return sources.length === 0 ? [] : [{ sql: sources.join(" UNION ALL "), params, answered: answeredTo(loaded) }]
}

const insert = onRows(stepInsert, (w) => `INSERT INTO steps (${namesOf(stepInsert).join(", ")}) SELECT * FROM ${w}`)

const update = onRows(
  stepUpdate,
  (w) =>
    `UPDATE steps AS s SET ${namesOf(stepUpdate)
      .slice(1)
      .map((name) => `${name} = w.${name}`)
      .join(", ")} FROM ${w} WHERE s.step_id = w.step_id`
)

const write = (
  name: string,
  statement: typeof insert,
  steps: ReadonlyArray<StepRecord>,
  isSingle: boolean
): ReadonlyArray<Statement> => {
  const parts = inParts(
    steps,
    ({ error, input, output }) => payloadBytes(input) + payloadBytes(output) + failureBytes(error)
  )
  return allWriting(
    name,
    parts.map((part) => statement(part, isSingle))
  )
}

export const save = (changes: Changes, isSingle: boolean): ReadonlyArray<Statement> => [
  ...write("updated_steps", update, changes.updateSteps, isSingle),
  ...write("inserted_steps", insert, changes.insertSteps, isSingle)
]
