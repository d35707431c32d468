/** Pages of runs and steps. */
import type { Run, Step } from "../../../Run.ts"
import { runStatus } from "../../rows/codes.ts"
import type { Paging, RunFilter } from "../../Store.ts"
import { type FullRunRow, fullRunColumns, toRun } from "../runRow.ts"
import { stepBytes, type StepRow, stepColumns, toStep, toStepRecord } from "../stepRow.ts"
import { int2, int8, prefixed, text } from "../values.ts"
import { at, Conditions, type Listing, optional, paged, type Sized, sizedPage, totalOf } from "./pages.ts"

const runConditions = (filter: RunFilter) =>
  new Conditions()
    .equals("namespace || ''", text(filter.namespace))
    .equals(
      "status",
      optional(filter.status, (status) => int2(runStatus[status]))
    )
    .equals("workflow_type", optional(filter.workflowType, text))
    .equals("task_queue", optional(filter.taskQueue, text))
    .equals("schedule_id || ''", optional(filter.scheduleId, text))
    .compare(["created_at"], ">", filter.createdAfter === undefined ? undefined : [int8(filter.createdAfter)])
    .compare(["created_at"], "<", filter.createdBefore === undefined ? undefined : [int8(filter.createdBefore)])

const runPages: Sized = {
  columns: prefixed("t", fullRunColumns),
  from: "runs",
  id: "run_id",
  bytes: "coalesce(octet_length(input), 0) + coalesce(octet_length(output), 0)",
  order: ["created_at", "run_id"],
  descending: true
}

export const runs = (filter: RunFilter, { after, count, limit }: Paging, now: number): Listing<Run> => {
  const all = runConditions(filter)
  const total = totalOf(count, { sql: `FROM runs ${all.sql}`, params: all.params })
  const conditions = runConditions(filter).compare(["created_at", "run_id"], "<", at(after))
  const sql = sizedPage(runPages, conditions, limit)
  return {
    page: {
      sql,
      params: conditions.params,
      decode: paged((row) => toRun(row as unknown as FullRunRow, now))
    },
    total
  }
}

export interface StepFilter {
  readonly namespace: string
  readonly runId: string
  readonly name?: string
}

const stepConditions = (filter: StepFilter) =>
  new Conditions()
    .equals("run_id", text(filter.runId))
    .equals("namespace", text(filter.namespace))
    .equals("name", optional(filter.name, text))
    // some may be left of a run that is gone
    .that(text(filter.runId), (runId) => `EXISTS (SELECT 1 FROM runs AS r WHERE r.run_id = ${runId})`)

const stepPages: Sized = {
  columns: prefixed("t", stepColumns),
  from: "steps",
  id: "step_id",
  bytes: stepBytes("t"),
  order: ["created_at", "step_id"],
  descending: false
}

export const steps = (filter: StepFilter, { after, count, limit }: Paging): Listing<Step> => {
  const all = stepConditions(filter)
  const total = totalOf(count, { sql: `FROM steps ${all.sql}`, params: all.params })
  const conditions = stepConditions(filter).compare(["created_at", "step_id"], ">", at(after))
  const sql = sizedPage(stepPages, conditions, limit)
  return {
    page: {
      sql,
      params: conditions.params,
      decode: paged((row) => toStep(toStepRecord(row as unknown as StepRow)))
    },
    total
  }
}
