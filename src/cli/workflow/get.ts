/** `kagzi workflow get`. */
import { Effect } from "effect"
import { Command } from "effect/cli"
import type { Run } from "../../Run.ts"
import { run } from "../flags.ts"
import { print } from "../output.ts"
import { find } from "../runs.ts"
import { fields } from "../table.ts"
import * as views from "../views.ts"

const text = (found: Run) =>
  fields([
    ["Run", found.runId],
    ["Id", found.externalId],
    ["Namespace", found.namespace],
    ["Type", found.workflowType],
    ["Version", found.version],
    ["Queue", found.taskQueue],
    ["Status", found.status],
    ["Attempts", `${found.attempts}`],
    ["Created", views.time(found.createdAt)],
    ["Started", views.time(found.startedAt)],
    ["Finished", views.time(found.finishedAt)],
    ["Wakes up", views.time(found.wakeUpAt)],
    ["Worker", found.workerId],
    ["Parent", found.parentRunId],
    ["Schedule", found.scheduleId],
    ["Input", JSON.stringify(views.value(found.input))],
    ["Output", JSON.stringify(views.value(found.output))],
    ["Error", found.error === undefined ? undefined : `${found.error.code}: ${found.error.message}`]
  ])

export const get = Command.make(
  "get",
  { run },
  Effect.fnUntraced(function* (options) {
    const found = yield* find(options.run)
    yield* print({ json: () => views.run(found), text: () => text(found) })
  })
).pipe(
  Command.withDescription(
    "Show a run. JSON: { runId, id, namespace, taskQueue, workflowType, version, status, input, output, error, attempts, createdAt, startedAt, finishedAt, wakeUpAt, workerId, parentRunId, scheduleId }, without what has no value"
  ),
  Command.withShortDescription("Show a run")
)
