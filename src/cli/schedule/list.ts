/** `kagzi schedule list`. */
import { Effect, Stream } from "effect"
import { Command, Flag } from "effect/cli"
import { KagziClient } from "../../KagziClient.ts"
import type { Schedule } from "../../Schedule.ts"
import * as Handle from "../../WorkflowHandle.ts"
import { print } from "../output.ts"
import { table } from "../table.ts"
import * as views from "../views.ts"
import { given, limit } from "./settings.ts"
import * as view from "./view.ts"

const text = (schedules: ReadonlyArray<Schedule>) =>
  schedules.length === 0
    ? "No schedules"
    : table(
        ["SCHEDULE", "TYPE", "QUEUE", "CRON", "TIME ZONE", "NEXT", "RUNS", "FAILED"],
        schedules.map((schedule) => [
          schedule.scheduleId,
          schedule.workflowType,
          schedule.taskQueue,
          schedule.cronExpr,
          schedule.timezone,
          schedule.enabled ? (views.time(schedule.nextFireAt) ?? "never") : "paused",
          `${schedule.totalRuns}`,
          `${schedule.failedRuns}`
        ])
      )

export const list = Command.make(
  "list",
  {
    queue: Flag.String("queue").pipe(Flag.withDescription("Only schedules of that task queue"), Flag.optional),
    limit: limit("At most that many", 20)
  },
  Effect.fnUntraced(function* ({ limit, queue }) {
    const { namespace, protocol } = yield* KagziClient
    const filter = { namespace, ...given("taskQueue", queue) }
    const found = yield* Handle.pages((page) =>
      protocol.listSchedules(filter, { ...page, size: Math.min(limit, 100) })
    ).pipe(Stream.take(limit), Stream.runCollect)
    yield* print({ json: () => found.map(view.json), text: () => text(found) })
  })
).pipe(
  Command.withDescription("List schedules, the newest first. JSON: an array of what `get` prints"),
  Command.withShortDescription("List schedules, the newest first")
)
