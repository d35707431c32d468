/** `kagzi schedule runs`. */
import { Effect, Stream } from "effect"
import { Command } from "effect/cli"
import { KagziClient } from "../../KagziClient.ts"
import type { Run } from "../../Run.ts"
import * as Handle from "../../WorkflowHandle.ts"
import { print } from "../output.ts"
import { table } from "../table.ts"
import * as views from "../views.ts"
import { id, limit } from "./settings.ts"

const text = (runs: ReadonlyArray<Run>) =>
  runs.length === 0
    ? "No runs"
    : table(
        ["RUN", "ID", "STATUS", "CREATED", "FINISHED"],
        runs.map((run) => [
          run.runId,
          run.externalId,
          run.status,
          views.time(run.createdAt) ?? "",
          views.time(run.finishedAt) ?? ""
        ])
      )

export const runs = Command.make(
  "runs",
  { id, limit: limit("At most that many", 20) },
  Effect.fnUntraced(function* ({ id, limit }) {
    const { namespace, protocol } = yield* KagziClient
    const found = yield* Handle.pages((page) =>
      protocol.listScheduleRuns(namespace, id, { ...page, size: Math.min(limit, 100) })
    ).pipe(Stream.take(limit), Stream.runCollect)
    yield* print({ json: () => found.map(views.run), text: () => text(found) })
  })
).pipe(
  Command.withDescription(
    "List the runs of a schedule, the newest first. JSON: an array of what `kagzi workflow get` prints"
  ),
  Command.withShortDescription("List the runs of a schedule")
)
