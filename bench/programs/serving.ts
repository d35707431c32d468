/** A worker of the benchmark. */
import { Effect } from "effect"
import { Worker } from "../../src/index.ts"
import { implementations, taskQueue } from "./workflows.ts"

/** Works until the scope closes. Gives back when it is registered. `hold` is for the workflow that is held. */
export const serving = Effect.fnUntraced(function* (maxConcurrent: number, hold?: Effect.Effect<number>) {
  const worker = yield* Worker.make({ taskQueue, workflows: implementations(hold), maxConcurrent })
  yield* Effect.forkScoped(worker.run)
  while (!(yield* worker.isRegistered)) yield* Effect.sleep("5 millis")
})
