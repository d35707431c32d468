import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { AdminService } from "../../gen/kagzi/v1/admin_pb.ts"
import { ExecutionService } from "../../gen/kagzi/v1/execution_pb.ts"
import { WorkerService } from "../../gen/kagzi/v1/worker_pb.ts"
import { WorkflowService, WorkflowStatus } from "../../gen/kagzi/v1/workflow_pb.ts"
import * as Rpc from "../../src/protocol/Rpc.ts"
import * as InProcess from "../../src/server/inProcess.ts"
import { KagziServer } from "../../src/server/index.ts"
import * as Stores from "../support/stores.ts"

const layer = InProcess.layer.pipe(
  Layer.provide(KagziServer.layerEngine({ store: Stores.serverStore, pollTimeout: "20 seconds" })),
  Layer.fresh
)

const clients = Effect.map(Rpc.Rpc, (rpc) => ({
  workflows: Rpc.client(WorkflowService, rpc),
  workers: Rpc.client(WorkerService, rpc),
  execution: Rpc.client(ExecutionService, rpc)
}))

const run = { namespace: "default", externalId: "e", taskQueue: "q", workflowType: "t" }
const worker = { namespace: "default", taskQueue: "q", workflowTypes: ["t"], hostname: "h", pid: 1 }

describe("the server in process", () => {
  it.effect("answers calls, and waits in virtual time", () =>
    Effect.gen(function* () {
      const { execution, workers, workflows } = yield* clients
      const { runId } = yield* workflows.startWorkflow(run)
      const of = { namespace: "default", runId }
      const { workerId } = yield* workers.register(worker)
      const task = yield* workers.pollTask({ ...worker, workerId })
      assert.strictEqual(task.runId, runId)

      const idle = yield* Effect.forkChild(workers.pollTask({ ...worker, workerId }))
      const early = yield* Effect.forkChild(execution.awaitResult({ ...of, timeoutMs: 10_000n }))
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* Fiber.join(early)).workflow?.status, WorkflowStatus.RUNNING)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* Fiber.join(idle)).runId, "")
    }).pipe(Effect.provide(layer))
  )

  it.effect("puts back the run of a poll that is interrupted", () =>
    Effect.gen(function* () {
      const { workers, workflows } = yield* clients
      const { workerId } = yield* workers.register(worker)
      const poll = workers.pollTask({ ...worker, workerId })
      const waiting = yield* Effect.forkChild(poll)
      yield* TestClock.adjust("1 second")
      const [{ runId }] = yield* Effect.zip(workflows.startWorkflow(run), Fiber.interrupt(waiting), {
        concurrent: true
      })
      assert.strictEqual((yield* poll).runId, runId)
    }).pipe(Effect.provide(layer))
  )

  it.effect("fails with the errors that a client over the network gets", () =>
    Effect.gen(function* () {
      const { workflows } = yield* clients
      const missing = yield* Effect.flip(workflows.getWorkflow({ namespace: "default", runId: crypto.randomUUID() }))
      assert.strictEqual(missing._tag, "NotFound")
      assert.isTrue(missing.nonRetryable)
      assert.strictEqual((yield* Effect.flip(workflows.startWorkflow({})))._tag, "InvalidArgument")
      const rpc = yield* Rpc.Rpc
      const unknown = yield* Effect.flip(rpc.call({ ...AdminService.method.getStats, name: "GetNothing" }, {}))
      assert.strictEqual(unknown._tag, "Internal")
      assert.include(unknown.message, "not implemented")
    }).pipe(Effect.provide(layer))
  )

  it.effect("reads the lease from the headers of a call", () =>
    Effect.gen(function* () {
      const { workers, workflows } = yield* clients
      const { runId } = yield* workflows.startWorkflow(run)
      const { workerId } = yield* workers.register(worker)
      const task = yield* workers.pollTask({ ...worker, workerId })
      const complete = (lease: bigint) =>
        workers.completeWorkflow({ namespace: "default", runId }, { headers: { "kagzi-lease": String(lease) } })
      assert.strictEqual((yield* Effect.flip(complete(task.leaseEpoch + 1n)))._tag, "PreconditionFailed")
      assert.strictEqual((yield* complete(task.leaseEpoch)).status, WorkflowStatus.COMPLETED)
    }).pipe(Effect.provide(layer))
  )
})
