/** Handing runs to workers. */
import { Effect } from "effect"
import { WorkerService } from "../../../gen/kagzi/v1/worker_pb.ts"
import { Engine, type Task } from "../../engine/Engine.ts"
import { nonEmpty, storable, uuid } from "../checks.ts"
import { entry } from "../Handler.ts"
import { taskMessage } from "../replies.ts"
import { linkedTo } from "../trace.ts"
import { shuttingDown } from "./draining.ts"

export const pollTask = entry(
  WorkerService.method.pollTask,
  Effect.fnUntraced(function* (request, call) {
    const engine = yield* Engine
    const asked = {
      namespace: yield* nonEmpty(request.namespace, "namespace"),
      workerId: yield* uuid(request.workerId, "worker_id"),
      taskQueue: yield* nonEmpty(request.taskQueue, "task_queue"),
      workflowTypes: yield* Effect.forEach(request.workflowTypes, (type) => storable(type, "workflow_types"))
    }
    const putBack = ({ lease, run: { namespace, runId } }: Task) =>
      Effect.ignore(engine.execute({ _tag: "ReleaseRun", namespace, runId, lease }))
    // nothing may come between a claim and the note of how to take it back
    const claim = Effect.uninterruptibleMask((restore) =>
      Effect.tap(restore(engine.claim(asked)), (task) =>
        Effect.sync(() => {
          if (task !== undefined) call.ifUndelivered(putBack(task))
        })
      )
    )
    const task = yield* Effect.raceFirst(claim, shuttingDown(call))
    if (task !== undefined) yield* linkedTo(task.run)
    return task === undefined ? {} : taskMessage(task)
  })
)
