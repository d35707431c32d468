/** Handing runs to workers. */
import { Effect } from "effect"
import { WorkerService } from "../../../gen/kagzi/v1/worker_pb.ts"
import { Engine, type Task } from "../../engine/Engine.ts"
import { int64, payload, timestamp } from "../../protocol/codec.ts"
import { stepRecord, workflow } from "../../protocol/codecRun.ts"
import { nonEmpty, uuid } from "../checks.ts"
import { entry } from "../Handler.ts"
import { linkedTo } from "../trace.ts"
import * as Pages from "../pages.ts"
import { shuttingDown } from "./draining.ts"

const response = ({ claimedAt, history, historyMore, lease, run }: Task) => {
  const { input, output: _, ...rest } = run
  return {
    runId: run.runId,
    workflowType: run.workflowType,
    input: payload(input),
    leaseEpoch: int64(lease),
    workflow: workflow(rest),
    history: history.map((step) => stepRecord(step, claimedAt)),
    historyPageToken: historyMore ? Pages.positionToken(history.at(-1)?.position ?? 0) : "",
    claimedAt: timestamp(claimedAt)
  }
}

export const pollTask = entry(
  WorkerService.method.pollTask,
  Effect.fnUntraced(function* (request, call) {
    const engine = yield* Engine
    const asked = {
      namespace: yield* nonEmpty(request.namespace, "namespace"),
      workerId: yield* uuid(request.workerId, "worker_id"),
      taskQueue: yield* nonEmpty(request.taskQueue, "task_queue"),
      workflowTypes: request.workflowTypes
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
    return task === undefined ? {} : response(task)
  })
)
