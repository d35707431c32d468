/** `kagzi worker get`. */
import { Effect } from "effect"
import { Command } from "effect/cli"
import type { Worker } from "../../Admin.ts"
import { KagziClient } from "../../KagziClient.ts"
import { worker } from "../flags.ts"
import { print } from "../output.ts"
import { fields } from "../table.ts"
import * as views from "../views.ts"

const pairs = (values: Readonly<Record<string, string | number>>) => {
  const text = Object.entries(values)
    .map(([name, value]) => `${name}=${value}`)
    .join(", ")
  return text === "" ? undefined : text
}

const text = (found: Worker) =>
  fields([
    ["Worker", found.workerId],
    ["Queue", found.taskQueue],
    ["Status", found.status],
    ["Version", found.version === "" ? undefined : found.version],
    ["Types", found.workflowTypes.join(", ")],
    ["Host", found.hostname],
    ["Process", `${found.pid}`],
    ["Labels", pairs(found.labels)],
    ["Runs", `${found.activeRuns}`],
    ["Queue limit", found.queueConcurrencyLimit === undefined ? undefined : `${found.queueConcurrencyLimit}`],
    ["Type limits", pairs(found.workflowTypeConcurrency)],
    ["Registered", found.registeredAt.toISOString()],
    ["Last seen", found.lastHeartbeatAt.toISOString()]
  ])

export const get = Command.make(
  "get",
  { worker },
  Effect.fnUntraced(function* (options) {
    const { admin } = yield* KagziClient
    const found = yield* admin.worker(options.worker)
    yield* print({ json: () => views.worker(found), text: () => text(found) })
  })
).pipe(
  Command.withDescription(
    "Show a worker. JSON: { workerId, taskQueue, status, version, workflowTypes, hostname, pid, labels, activeRuns, queueConcurrencyLimit, workflowTypeConcurrency, registeredAt, lastHeartbeatAt }, without what has no value"
  ),
  Command.withShortDescription("Show a worker")
)
