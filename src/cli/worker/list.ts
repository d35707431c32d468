/** `kagzi worker list`. */
import { Effect, Option, Stream } from "effect"
import { Command, Flag } from "effect/cli"
import type { Worker } from "../../Admin.ts"
import { KagziClient } from "../../KagziClient.ts"
import { limit, queue } from "../flags.ts"
import { print } from "../output.ts"
import { table } from "../table.ts"
import * as views from "../views.ts"

const statuses = ["ONLINE", "DRAINING", "OFFLINE"] as const

const status = Flag.String("status").pipe(
  Flag.withMetavar(statuses.join("|").toLowerCase()),
  Flag.filterMap(
    (text) => Option.fromUndefinedOr(statuses.find((status) => status === text.toUpperCase())),
    () => `one of ${statuses.join(", ").toLowerCase()}`
  ),
  Flag.withDescription("Only workers with that status"),
  Flag.optional
)

const text = (workers: ReadonlyArray<Worker>) =>
  workers.length === 0
    ? "No workers"
    : table(
        ["WORKER", "QUEUE", "STATUS", "RUNS", "HOST", "PID", "TYPES", "LAST SEEN"],
        workers.map((worker) => [
          worker.workerId,
          worker.taskQueue,
          worker.status,
          `${worker.activeRuns}`,
          worker.hostname,
          `${worker.pid}`,
          worker.workflowTypes.join(", "),
          worker.lastHeartbeatAt.toISOString()
        ])
      )

export const list = Command.make(
  "list",
  { status, queue: queue.pipe(Flag.withDescription("Only workers of that task queue"), Flag.optional), limit },
  Effect.fnUntraced(function* ({ limit, queue, status }) {
    const { admin } = yield* KagziClient
    const workers = yield* admin
      .workers({ status: Option.getOrUndefined(status), taskQueue: Option.getOrUndefined(queue) })
      .pipe(Stream.take(limit), Stream.runCollect)
    yield* print({ json: () => workers.map(views.worker), text: () => text(workers) })
  })
).pipe(
  Command.withDescription("List workers, the last registered first. JSON: an array of what `get` prints"),
  Command.withShortDescription("List workers, the last registered first")
)
