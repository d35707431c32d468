import { Code, ConnectError, createClient } from "@connectrpc/connect"
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { AdminService } from "../../gen/kagzi/v1/admin_pb.ts"
import { ExecutionService } from "../../gen/kagzi/v1/execution_pb.ts"
import { WorkerService } from "../../gen/kagzi/v1/worker_pb.ts"
import { WorkflowService } from "../../gen/kagzi/v1/workflow_pb.ts"
import { type Entry, entry } from "../../src/server/Handler.ts"
import { entries } from "../../src/server/handlers/index.ts"
import { pollTask } from "../../src/server/handlers/pollTask.ts"
import { rawGrpc, start, startWith } from "./support.ts"

const task = { namespace: "default", taskQueue: "q", workflowTypes: ["t"] }

const clients = (baseUrl: string) => {
  const transport = createGrpcTransport({ baseUrl })
  const workers = createClient(WorkerService, transport)
  const workflows = createClient(WorkflowService, transport)
  const register = (pid: number) => Effect.promise(() => workers.register({ ...task, hostname: "h", pid }))
  return {
    register,
    start: Effect.promise(() =>
      workflows.startWorkflow({ namespace: "default", externalId: "e", taskQueue: "q", workflowType: "t" })
    ),
    poll: (workerId: string) => Effect.promise((signal) => workers.pollTask({ ...task, workerId }, { signal }))
  }
}

describe("a long poll", () => {
  it.live("of a client that is gone keeps nothing from the next", () =>
    Effect.gen(function* () {
      const server = yield* start()
      const { poll, register, start: startRun } = clients(server)
      const gone = yield* register(1)
      const there = yield* register(2)
      const polls = yield* Effect.forEach(Array.from({ length: 5 }), () =>
        Effect.forkChild(rawGrpc(server, WorkerService.method.pollTask, { ...task, workerId: gone.workerId }))
      )
      const [{ runId }] = yield* Effect.zip(startRun, Fiber.interruptAll(polls), { concurrent: true })
      const found = yield* poll(there.workerId)
      assert.strictEqual(found.runId, runId)
      assert.strictEqual(found.workflow?.workerId, there.workerId)
    })
  )

  it.live("whose answer can't be written puts the run back at once", () =>
    Effect.gen(function* () {
      const claimed = yield* Deferred.make<void>()
      let first = true
      const handler = pollTask.handler
      const late = entry(WorkerService.method.pollTask, (request, call) =>
        handler(request, call).pipe(
          Effect.tap(() => {
            if (!first) return Effect.void
            first = false
            // the work is done, and the client goes away before the answer is sent
            return Effect.andThen(Deferred.succeed(claimed, undefined), Effect.exit(Effect.interruptible(Effect.never)))
          }),
          Effect.uninterruptible
        )
      )
      const others = entries.filter(({ method }) => method !== WorkerService.method.pollTask)
      const server = yield* startWith([...others, late as Entry])
      const { poll, register, start: startRun } = clients(server)
      const { workerId } = yield* register(1)
      const { runId } = yield* startRun
      const lost = yield* Effect.forkChild(rawGrpc(server, WorkerService.method.pollTask, { ...task, workerId }))
      yield* Deferred.await(claimed)
      yield* Fiber.interrupt(lost)
      const found = yield* poll(workerId)
      assert.strictEqual(found.runId, runId)
      assert.strictEqual(found.leaseEpoch, 2n)
    })
  )

  it.live("comes back empty when there is no work for as long as the server lets it wait", () =>
    Effect.gen(function* () {
      const { poll, register } = clients(yield* start({ pollTimeout: "1 second" }))
      const { workerId } = yield* register(1)
      assert.strictEqual((yield* poll(workerId)).runId, "")
    })
  )

  it.live("ends when the server stops, which does not wait for it", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const server = yield* Scope.provide(start({ grace: "10 minutes" }), scope)
      // one connection, on which calls arrive in the order they were made
      const transport = createConnectTransport({ baseUrl: server, httpVersion: "2" })
      const admin = createClient(AdminService, transport)
      const workers = createClient(WorkerService, transport)
      const execution = createClient(ExecutionService, transport)
      const { register, start: startRun } = clients(server)
      const { workerId } = yield* register(1)
      const { runId } = yield* startRun
      assert.strictEqual((yield* Effect.promise(() => workers.pollTask({ ...task, workerId }))).runId, runId)
      const refused = (call: Promise<unknown>) =>
        call.then(
          () => assert.fail("the call succeeded"),
          (reason: unknown) => ConnectError.from(reason)
        )
      const waits = [
        refused(workers.pollTask({ ...task, workerId })),
        refused(execution.awaitResult({ namespace: "default", runId, timeoutMs: 60_000n }))
      ]
      yield* Effect.promise(() => admin.getServerInfo({}))
      yield* Scope.close(scope, Exit.void)
      for (const wait of waits) {
        const error = yield* Effect.promise(() => wait)
        assert.strictEqual(error.code, Code.Unavailable)
        assert.strictEqual(error.rawMessage, "The server is shutting down")
      }
    })
  )
})
