/** `kagzi queue list`. */
import { Effect, Stream } from "effect"
import { Command } from "effect/cli"
import { KagziClient } from "../../KagziClient.ts"
import { print } from "../output.ts"
import { table } from "../table.ts"

interface Queue {
  readonly taskQueue: string
  readonly pending: number
  readonly running: number
  readonly sleeping: number
  readonly workers: number
}

const text = (queues: ReadonlyArray<Queue>) =>
  queues.length === 0
    ? "No task queues"
    : table(
        ["QUEUE", "PENDING", "RUNNING", "SLEEPING", "WORKERS"],
        queues.map(({ pending, running, sleeping, taskQueue, workers }) => [
          taskQueue,
          ...[pending, running, sleeping, workers].map(String)
        ])
      )

export const list = Command.make(
  "list",
  {},
  Effect.fnUntraced(function* () {
    const { admin } = yield* KagziClient
    const { byQueue } = yield* admin.queueDepth()
    const online = yield* Stream.runCollect(admin.workers({ status: "ONLINE" }))
    const names = [...new Set([...Object.keys(byQueue), ...online.map(({ taskQueue }) => taskQueue)])].sort()
    const queues = yield* Effect.forEach(names, (taskQueue) =>
      Effect.map(
        admin.queueDepth({ taskQueue }),
        ({ pending, running, sleeping }): Queue => ({
          taskQueue,
          pending,
          running,
          sleeping,
          workers: online.filter((worker) => worker.taskQueue === taskQueue).length
        })
      )
    )
    yield* print({ json: () => queues, text: () => text(queues) })
  })
).pipe(
  Command.withDescription(
    "List the task queues with unfinished runs or workers online, by name. JSON: an array of { taskQueue, pending, running, sleeping, workers }"
  ),
  Command.withShortDescription("List task queues")
)
