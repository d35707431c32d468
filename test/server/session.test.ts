import { create, fromBinary } from "@bufbuild/protobuf"
import { createClient } from "@connectrpc/connect"
import { createGrpcTransport } from "@connectrpc/connect-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { AdminService } from "../../gen/kagzi/v1/admin_pb.ts"
import { ErrorCode } from "../../gen/kagzi/v1/common_pb.ts"
import { ExecutionService } from "../../gen/kagzi/v1/execution_pb.ts"
import {
  OpenSessionResponseSchema,
  SessionCommandSchema,
  type SessionEvent,
  SessionService
} from "../../gen/kagzi/v1/session_pb.ts"
import { type PollTaskResponse, StepKind, StepStatus, WorkerService } from "../../gen/kagzi/v1/worker_pb.ts"
import { WorkflowService, WorkflowStatus } from "../../gen/kagzi/v1/workflow_pb.ts"
import type { KagziError } from "../../src/KagziError.ts"
import { Session } from "../../src/server/session/Session.ts"
import { StoreError } from "../../src/store/Store.ts"
import * as Bench from "../engine/Bench.ts"
import { onPostgres } from "../support/stores.ts"
import { type Client, command, openSession } from "./sessionClient.ts"
import { frame, rawCall, start } from "./support.ts"

const place = { namespace: "default", taskQueue: "q" }
const json = (value: unknown) => ({ data: new TextEncoder().encode(JSON.stringify(value)) })
const stepId = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`

interface Held {
  readonly runId: string
  readonly leaseEpoch: bigint
}

const register = (client: Client, pid = 1) =>
  Effect.gen(function* () {
    client.send(command(1, "register", { ...place, workflowTypes: ["t"], hostname: "h", pid }))
    return (yield* client.next("registered", 1)).workerId
  })

const serving = (workerId: string, capacity: number, heldRuns?: ReadonlyArray<Held>) => ({
  workerId,
  ...place,
  workflowTypes: ["t"],
  capacity,
  resumes: heldRuns !== undefined,
  heldRuns: [...(heldRuns ?? [])]
})

/** A worker of its own that is served. */
const serve = (client: Client, capacity: number, pid = 1) =>
  Effect.gen(function* () {
    const workerId = yield* register(client, pid)
    client.send(command(2, "serve", serving(workerId, capacity, [])))
    yield* client.next("heard", 2)
    return workerId
  })

const started = (client: Client, ids: ReadonlyArray<number>, input: unknown = "in") =>
  Effect.gen(function* () {
    client.send(
      ...ids.map((id) =>
        command(id, "startWorkflow", { ...place, workflowType: "t", externalId: `run-${id}`, input: json(input) })
      )
    )
    return yield* Effect.forEach(ids, (id) => Effect.map(client.next("started", id), ({ runId }) => runId))
  })

const nextTask = (client: Client): Effect.Effect<PollTaskResponse, KagziError> =>
  Effect.map(client.next("task"), ({ task }) => task!)

const tasks = (client: Client, count: number) => Effect.all(Array.from({ length: count }, () => nextTask(client)))

const heldOf = ({ leaseEpoch, runId }: PollTaskResponse): Held => ({ runId, leaseEpoch })

const unary = (baseUrl: string) => {
  const transport = createGrpcTransport({ baseUrl })
  return {
    admin: createClient(AdminService, transport),
    execution: createClient(ExecutionService, transport),
    workers: createClient(WorkerService, transport),
    workflows: createClient(WorkflowService, transport)
  }
}

const lease = 1

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

describe("a worker over a session", () => {
  it.live("is sent as many runs as it has room for", () =>
    Effect.gen(function* () {
      const client = yield* openSession(yield* start())
      const workerId = yield* serve(client, 2)
      yield* started(client, [10, 11, 12, 13, 14])
      const [first, second] = yield* tasks(client, 2)
      const done = (id: number, { leaseEpoch, runId }: PollTaskResponse) =>
        command(id, "completeWorkflow", { namespace: "default", runId, output: json(1) }, Number(leaseEpoch))
      client.send(done(20, first!))
      // between the two nothing came
      assert.deepStrictEqual(
        (yield* client.message).map(({ event }) => event.case),
        ["done"]
      )
      const third = yield* nextTask(client)
      client.send(command(21, "serve", serving(workerId, 3)))
      yield* client.next("heard", 21)
      const fourth = yield* nextTask(client)
      client.send(command(22, "releaseRun", { namespace: "default", runId: fourth.runId }, lease))
      yield* client.next("done", 22)
      const again = yield* nextTask(client)
      const runs = [first, second, third, again].map((task) => task?.runId)
      assert.lengthOf(new Set(runs), 4)
    })
  )

  // where starts are committed while others are claimed, how many there are to share is left to chance
  it.live.skipIf(onPostgres)("shares runs with other workers that have room, in turn", () =>
    Effect.gen(function* () {
      const server = yield* start()
      const [one, two] = [yield* openSession(server), yield* openSession(server)]
      yield* serve(one, 10, 1)
      yield* serve(two, 10, 2)
      yield* started(yield* openSession(server), [10, 11, 12, 13, 14, 15, 16, 17])
      const found = [...(yield* tasks(one, 4)), ...(yield* tasks(two, 4))]
      assert.lengthOf(new Set(found.map(({ runId }) => runId)), 8)
    })
  )

  it.live("that comes back keeps what it names, and what did not reach it goes out again at once", () =>
    Effect.gen(function* () {
      const server = yield* start()
      const before = yield* openSession(server)
      const workerId = yield* serve(before, 3)
      yield* started(before, [10, 11, 12])
      const [kept, cancelled, missed] = yield* tasks(before, 3)
      yield* before.cut
      yield* Effect.promise(() =>
        unary(server).workflows.cancelWorkflow({ namespace: "default", runId: cancelled!.runId })
      )
      const after = yield* openSession(server)
      const stale = { runId: stepId(9), leaseEpoch: 1n }
      after.send(
        command(1, "serve", serving(workerId, 3, [heldOf(kept!), heldOf(cancelled!), stale])),
        command(2, "completeWorkflow", { namespace: "default", runId: kept!.runId, output: json(1) }, lease)
      )
      const heard = yield* after.next("heard", 1)
      assert.deepStrictEqual(
        [heard.lostRuns, heard.cancelledRuns].map((runs) => runs.map(({ runId }) => runId)),
        [[stale.runId], [cancelled!.runId]]
      )
      yield* after.next("done", 2)
      const again = yield* nextTask(after)
      assert.deepStrictEqual([again.runId, again.leaseEpoch], [missed!.runId, 2n])
    })
  )

  it.live("is told at once of runs that it loses", () =>
    Effect.gen(function* () {
      const server = yield* start()
      const client = yield* openSession(server)
      const workerId = yield* serve(client, 2)
      yield* started(client, [10, 11, 12])
      const [first, second] = yield* tasks(client, 2)
      const { execution, workflows } = unary(server)
      const [ended, released] = [first!.runId, second!.runId]
      yield* Effect.promise(() => workflows.cancelWorkflow({ namespace: "default", runId: ended }))
      const lost = yield* client.next("lost")
      assert.strictEqual(lost.workerId, workerId)
      assert.deepInclude(lost.run, { runId: ended, leaseEpoch: 1n })
      assert.isTrue(lost.ended)
      yield* nextTask(client)
      yield* Effect.promise(() =>
        execution.releaseRun({ namespace: "default", runId: released }, { headers: { "kagzi-lease": "1" } })
      )
      const gone = yield* client.next("lost")
      assert.strictEqual(gone.run?.runId, released)
      assert.isFalse(gone.ended)
      assert.strictEqual((yield* nextTask(client)).leaseEpoch, 2n)
    })
  )

  it.live("takes nothing new when an operator drains it, and ends what it has", () =>
    Effect.gen(function* () {
      const server = yield* start()
      const client = yield* openSession(server)
      const workerId = yield* serve(client, 5)
      yield* started(client, [10])
      const { runId } = yield* nextTask(client)
      yield* Effect.promise(() => unary(server).admin.drainWorker({ workerId }))
      assert.strictEqual((yield* client.next("drain")).workerId, workerId)
      const other = yield* openSession(server)
      yield* serve(other, 5, 2)
      yield* started(client, [11])
      yield* nextTask(other)
      client.send(
        command(20, "completeWorkflow", { namespace: "default", runId, output: json(1) }, lease),
        command(21, "serve", serving(workerId, 5, []))
      )
      yield* client.next("done", 20)
      assert.isTrue((yield* client.next("heard", 21)).shouldDrain)
    })
  )

  it.live("is told that it was forgotten, and that it has to register", () =>
    Effect.gen(function* () {
      const server = yield* start()
      const client = yield* openSession(server)
      const workerId = yield* serve(client, 5)
      yield* Effect.promise(() => unary(server).workers.deregister({ workerId }))
      assert.strictEqual((yield* client.next("forgotten")).workerId, workerId)
      client.send(command(20, "serve", serving(workerId, 5, [])))
      assert.strictEqual((yield* client.next("error", 20)).code, ErrorCode.NOT_FOUND)
    })
  )

  it.live("is served over the stream that spoke last, and the other one ends", () =>
    Effect.gen(function* () {
      const server = yield* start()
      const before = yield* openSession(server)
      const workerId = yield* serve(before, 5)
      const after = yield* openSession(server)
      after.send(command(1, "serve", serving(workerId, 5, [])))
      yield* after.next("heard", 1)
      assert.strictEqual((yield* before.end)._tag, "Unavailable")
      yield* started(after, [10])
      yield* nextTask(after)
    })
  )

  it.live("whose stream is cut at any moment loses no run", () =>
    Effect.gen(function* () {
      const server = yield* start()
      const { workflows } = unary(server)
      let workerId: string | undefined
      for (let round = 0; round < 20; round++) {
        const client = yield* openSession(server)
        workerId ??= yield* register(client)
        client.send(command(2, "serve", serving(workerId, 50, [])))
        yield* client.next("heard", 2)
        client.send(command(3, "startWorkflow", { ...place, workflowType: "t", externalId: `${round}` }))
        if (round % 2 === 0) yield* client.next("started", 3)
        yield* client.cut
      }
      const last = yield* openSession(server)
      last.send(command(2, "serve", serving(workerId!, 50, [])))
      yield* last.next("heard", 2)
      const { workflows: runs } = yield* Effect.promise(() => workflows.listWorkflows({ namespace: "default" }))
      assert.isAtLeast(runs.length, 10)
      const found = yield* tasks(last, runs.length)
      assert.sameMembers(
        found.map(({ runId }) => runId),
        runs.map(({ runId }) => runId)
      )
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

describe("a worker whose first word meets a store that is busy", () => {
  it.effect("is served on the stream that its client opens then", () =>
    Effect.gen(function* () {
      const bench = yield* Bench.makeBench()
      const workerId = yield* Bench.register(bench, ["t"], { taskQueue: place.taskQueue })
      const interrupted: Array<string> = []
      const said: Array<string | undefined> = []
      const open = () =>
        new Session(
          {
            engine: bench.engine,
            maxPayloadBytes: 1_000,
            fork: () => undefined,
            interrupt: (_, reason) => interrupted.push(reason)
          },
          {
            write: (bytes) => {
              const { events } = fromBinary(OpenSessionResponseSchema, bytes.subarray(5))
              said.push(...events.map(({ event }) => event.case))
              return true
            },
            end: () => undefined
          }
        )
      const first = create(SessionCommandSchema, command(1, "serve", serving(workerId, 1, [])))
      const refuse = new StoreError({ message: "busy", transient: true })
      bench.control.fuse = () => refuse
      open().receive(first)
      yield* Bench.settle
      assert.deepStrictEqual([said, interrupted], [["error"], ["A worker could not be served"]])

      bench.control.fuse = () => undefined
      open().receive(first)
      yield* Bench.settle
      yield* Bench.start(bench, { taskQueue: place.taskQueue, workflowType: "t" })
      yield* Bench.settle
      assert.deepStrictEqual(said, ["error", "heard", "task"])
    })
  )
})
