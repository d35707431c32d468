import { createClient } from "@connectrpc/connect"
import { createGrpcTransport } from "@connectrpc/connect-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { ErrorCode } from "../../gen/kagzi/v1/common_pb.ts"
import { type SessionEvent, SessionService } from "../../gen/kagzi/v1/session_pb.ts"
import { StepKind, StepStatus } from "../../gen/kagzi/v1/worker_pb.ts"
import { WorkflowStatus } from "../../gen/kagzi/v1/workflow_pb.ts"
import { command, openSession } from "./sessionClient.ts"
import { json, lease, nextTask, place, serve, started, stepId, tasks, unary } from "./sessionRequests.ts"
import { frame, rawCall, start } from "./support.ts"

describe("a session", () => {
  it.live("carries a run from its start to its result", () =>
    Effect.gen(function* () {
      const client = yield* openSession(yield* start())
      yield* serve(client, 1)
      const [runId = ""] = yield* started(client, [3])
      client.send(command(4, "awaitResult", { namespace: "default", runId }))
      const task = yield* nextTask(client)
      assert.strictEqual(task.runId, runId)
      assert.strictEqual(new TextDecoder().decode(task.input?.data), '"in"')
      const of = { namespace: "default", runId }
      client.send(
        command(5, "beginStep", { ...of, stepName: "s", kind: StepKind.FUNCTION, stepId: stepId(1) }, lease),
        command(6, "completeStep", { ...of, stepId: stepId(1), output: json(1) }, lease)
      )
      yield* client.next("done", 5)
      const ended = yield* client.next("step", 6)
      assert.strictEqual(ended.record?.status, StepStatus.COMPLETED)
      assert.strictEqual(ended.record?.sequence, 1n)
      client.send(command(7, "completeWorkflow", { ...of, output: json("out") }, lease))
      const { workflow } = yield* client.next("result", 4)
      assert.strictEqual(workflow?.status, WorkflowStatus.COMPLETED)
      assert.strictEqual(new TextDecoder().decode(workflow?.output?.data), '"out"')
      assert.isUndefined(workflow?.input)
    })
  )

  it.live("carries commands out in the order in which they were sent, and answers those of a message in one", () =>
    Effect.gen(function* () {
      const client = yield* openSession(yield* start())
      yield* serve(client, 1)
      yield* started(client, [3])
      const { runId } = yield* nextTask(client)
      const of = { namespace: "default", runId }
      const names = Array.from({ length: 20 }, (_, index) => index + 1)
      client.send(
        ...names.flatMap((n) => [
          command(100 + n, "beginStep", { ...of, stepName: `${n}`, kind: StepKind.FUNCTION, stepId: stepId(n) }, lease),
          command(200 + n, "completeStep", { ...of, stepId: stepId(n), output: json(n) }, lease)
        ])
      )
      const events = yield* client.message
      assert.deepStrictEqual(
        events.map(({ id }) => id),
        names.flatMap((n) => [100 + n, 200 + n])
      )
      assert.deepStrictEqual(
        events.flatMap(({ event }) => (event.case === "step" ? [event.value.record?.sequence] : [])),
        names.map(BigInt)
      )
    })
  )

  it.live("refuses one command and carries out those around it", () =>
    Effect.gen(function* () {
      const client = yield* openSession(yield* start())
      yield* serve(client, 1)
      yield* started(client, [3])
      const { runId } = yield* nextTask(client)
      const of = { namespace: "default", runId }
      const begin = { ...of, kind: StepKind.FUNCTION }
      client.send(
        command(10, "beginStep", { ...begin, stepName: "a", stepId: stepId(1) }, lease),
        command(11, "beginStep", { ...begin, stepName: "b", stepId: "nonsense" }, lease),
        command(12, "beginStep", { ...begin, stepName: "c" }, lease + 1),
        command(13, "beginStep", { ...begin, stepName: "d" }),
        command(14, "beginStep", { ...begin, stepName: "", stepId: stepId(2) }, lease),
        command(15, "completeStep", { ...of, stepId: stepId(1), output: json(1) }, lease)
      )
      yield* client.next("done", 10)
      const errors = yield* Effect.forEach([11, 13, 14, 12], (id) => client.next("error", id))
      assert.deepStrictEqual(
        errors.map(({ code, message, nonRetryable }) => [code, message, nonRetryable]),
        [
          [ErrorCode.INVALID_ARGUMENT, "step_id must be a UUID: nonsense", true],
          [ErrorCode.INVALID_ARGUMENT, "lease_epoch is missing", true],
          [ErrorCode.INVALID_ARGUMENT, "step_name must not be empty", true],
          [ErrorCode.PRECONDITION_FAILED, `The lease on workflow ${runId} is lost`, true]
        ]
      )
      assert.strictEqual((yield* client.next("step", 15)).record?.status, StepStatus.COMPLETED)
    })
  )

  it.live("ends when a command makes no sense", () =>
    Effect.gen(function* () {
      const server = yield* start()
      for (const senseless of [{ id: 7 }, command(0, "heartbeat", { workerId: stepId(1) })]) {
        const client = yield* openSession(server)
        client.send(command(1, "startWorkflow", { ...place, workflowType: "t", externalId: "e" }), senseless)
        yield* client.next("started", 1)
        assert.strictEqual((yield* client.end)._tag, "InvalidArgument")
      }
    })
  )

  it.live("ends when its client has said all that it has to say, and all is answered", () =>
    Effect.gen(function* () {
      const client = createClient(SessionService, createGrpcTransport({ baseUrl: yield* start() }))
      const start1 = command(1, "startWorkflow", { ...place, workflowType: "t", externalId: "e" })
      const said = async function* () {
        yield { commands: [start1] }
      }
      const answers = yield* Effect.promise(async () => {
        const events: Array<SessionEvent> = []
        for await (const message of client.openSession(said())) events.push(...message.events)
        return events
      })
      assert.deepStrictEqual(
        answers.map(({ event, id }) => [id, event.case]),
        [[1, "started"]]
      )
    })
  )

  it.live("is for gRPC alone", () =>
    Effect.gen(function* () {
      const server = yield* start()
      const path = `${SessionService.typeName}/${SessionService.method.openSession.name}`
      const web = { "content-type": "application/grpc-web+proto" }
      const overHttp2 = yield* rawCall(server, `/${path}`, frame(new Uint8Array(0)), web)
      assert.include(overHttp2.body.toString(), "grpc-status: 12")
      const overHttp1 = yield* Effect.promise(async () => {
        const answer = await fetch(`${server}/${path}`, { method: "POST", headers: web })
        return answer.text()
      })
      assert.include(overHttp1, "grpc-status: 12")
      const json = yield* rawCall(server, `/${path}`, new Uint8Array(0), { "content-type": "application/grpc+json" })
      assert.strictEqual(json.headers["grpc-status"], "12")
    })
  )
})

describe("waiting over a session", () => {
  it.live("answers at once for a run that has ended, and for one that does not exist", () =>
    Effect.gen(function* () {
      const server = yield* start()
      const client = yield* openSession(server)
      const [runId = ""] = yield* started(client, [3])
      yield* Effect.promise(() => unary(server).workflows.cancelWorkflow({ namespace: "default", runId }))
      client.send(
        command(4, "awaitResult", { namespace: "default", runId }),
        command(5, "awaitResult", { namespace: "default", runId: stepId(1) }),
        command(6, "awaitResult", { namespace: "other", runId })
      )
      const answers = new Map((yield* client.events(3)).map(({ event, id }) => [id, event]))
      assert.strictEqual(answers.get(4)?.case, "result")
      for (const id of [5, 6]) {
        const event = answers.get(id)
        assert.isTrue(event?.case === "error" && event.value.code === ErrorCode.NOT_FOUND)
      }
    })
  )

  it.live("is not answered when it was taken back", () =>
    Effect.gen(function* () {
      const server = yield* start()
      const client = yield* openSession(server)
      const [runId = ""] = yield* started(client, [3])
      const wait = { namespace: "default", runId }
      client.send(command(4, "awaitResult", wait), command(5, "awaitResult", wait), command(6, "abandon", { id: 4 }))
      yield* started(client, [7])
      yield* Effect.promise(() => unary(server).workflows.cancelWorkflow(wait))
      assert.deepStrictEqual(
        (yield* client.events(1)).map(({ id }) => id),
        [5]
      )
    })
  )
})

describe("a session whose client is slow", () => {
  it.live("is not read beyond what its answers have room for, and all is answered in the end", () =>
    Effect.gen(function* () {
      const server = yield* start()
      const busy = yield* openSession(server)
      yield* serve(busy, 1)
      yield* started(busy, [3])
      const { runId } = yield* nextTask(busy)
      const of = { namespace: "default", runId }
      const begin = { ...of, stepName: "large", kind: StepKind.FUNCTION }
      busy.send(
        command(4, "beginStep", { ...begin, stepId: stepId(1) }, lease),
        command(5, "completeStep", { ...of, stepId: stepId(1), output: json("x".repeat(1_000_000)) }, lease)
      )
      yield* busy.next("step", 5)
      const slow = yield* openSession(server, { paused: true })
      // each is answered with the output of the step
      const ids = Array.from({ length: 60 }, (_, index) => index + 1)
      for (const id of ids) {
        slow.send(command(id, "beginStep", { ...begin, input: json("y".repeat(500_000)) }, lease))
      }
      // others are served meanwhile, for longer than all of that would take
      for (let round = 0; round < 200; round++) yield* started(busy, [1000 + round])
      assert.isAbove(slow.waiting(), 0)
      yield* slow.read
      const events = yield* slow.events(ids.length)
      assert.deepStrictEqual(
        events.map(({ id }) => id),
        ids
      )
    })
  )

  it.live("gets results that were there when it had no room for them", () =>
    Effect.gen(function* () {
      const server = yield* start()
      const busy = yield* openSession(server)
      const ids = Array.from({ length: 30 }, (_, index) => index + 10)
      const runIds = yield* started(busy, ids)
      yield* serve(busy, ids.length)
      yield* tasks(busy, ids.length)
      const slow = yield* openSession(server, { paused: true })
      slow.send(...runIds.map((runId, index) => command(index + 1, "awaitResult", { namespace: "default", runId })))
      for (const [index, runId] of runIds.entries()) {
        const output = json("x".repeat(1_000_000))
        busy.send(command(100 + index, "completeWorkflow", { namespace: "default", runId, output }, lease))
      }
      for (const index of runIds.keys()) yield* busy.next("done", 100 + index)
      yield* slow.read
      const events = yield* slow.events(runIds.length)
      assert.sameMembers(
        events.map(({ event }) => (event.case === "result" ? event.value.workflow?.runId : undefined)),
        runIds
      )
    })
  )
})

describe("a session with a server that stops", () => {
  it.live("answers what was sent and ends, so that the client goes elsewhere", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const server = yield* Scope.provide(start({ grace: "10 minutes" }), scope)
      const client = yield* openSession(server)
      yield* serve(client, 1)
      const [runId = ""] = yield* started(client, [3])
      client.send(command(4, "awaitResult", { namespace: "default", runId }))
      yield* nextTask(client)
      yield* Scope.close(scope, Exit.void)
      const { _tag, message } = yield* client.end
      assert.deepStrictEqual([_tag, message], ["Unavailable", "The server is shutting down"])
    })
  )

  it.live("ends although the client has said more than there is room for", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      // only streams that don't close would keep it from stopping
      const server = yield* Scope.provide(start({ grace: "10 minutes" }), scope)
      const client = yield* openSession(server)
      const ids = Array.from({ length: 1_500 }, (_, index) => index + 1)
      for (let round = 0; round < 6; round++) {
        client.send(
          ...ids.map((id) =>
            command(id + round * 1_500, "startWorkflow", {
              ...place,
              workflowType: "t",
              externalId: `run-${id}-${round}`,
              input: json(1)
            })
          )
        )
      }
      yield* client.next("started", 1)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* client.end)._tag, "Unavailable")
    })
  )
})
