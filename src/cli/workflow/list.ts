/** `kagzi workflow list`. */
import { Effect, Option, Stream } from "effect"
import { Command, Flag } from "effect/cli"
import type { Run } from "../../Run.ts"
import * as Handle from "../../WorkflowHandle.ts"
import { limit, queue, status } from "../flags.ts"
import { print } from "../output.ts"
import { table } from "../table.ts"
import { KagziClient } from "../../KagziClient.ts"
import * as views from "../views.ts"

const text = (runs: ReadonlyArray<Run>) =>
  runs.length === 0
    ? "No runs"
    : table(
        ["RUN", "ID", "TYPE", "QUEUE", "STATUS", "CREATED"],
        runs.map((run) => [
          run.runId,
          run.externalId,
          run.workflowType,
          run.taskQueue,
          run.status,
          views.time(run.createdAt) ?? ""
        ])
      )

export const list = Command.make(
  "list",
  {
    status: status.pipe(Flag.withDescription("Only runs with that status"), Flag.optional),
    type: Flag.String("type").pipe(Flag.withDescription("Only runs of that workflow type"), Flag.optional),
    queue: queue.pipe(Flag.withDescription("Only runs on that task queue"), Flag.optional),
    limit
  },
  Effect.fnUntraced(function* ({ limit, queue, status, type }) {
    const { namespace, protocol } = yield* KagziClient
    const filter = {
      namespace,
      ...(Option.isSome(status) ? { status: status.value } : {}),
      ...(Option.isSome(type) ? { workflowType: type.value } : {}),
      ...(Option.isSome(queue) ? { taskQueue: queue.value } : {})
    }
    const runs = yield* Handle.pages((page) => protocol.listRuns(filter, { ...page, size: Math.min(limit, 100) })).pipe(
      Stream.take(limit),
      Stream.runCollect
    )
    yield* print({ json: () => runs.map(views.run), text: () => text(runs) })
  })
).pipe(
  Command.withDescription("List runs, the newest first. JSON: an array of what `get` prints"),
  Command.withShortDescription("List runs, the newest first")
)
