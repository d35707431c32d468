import { create, fromBinary } from "@bufbuild/protobuf"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ErrorCode } from "../../gen/kagzi/v1/common_pb.ts"
import { OpenSessionResponseSchema, SessionCommandSchema } from "../../gen/kagzi/v1/session_pb.ts"
import type { PollTaskResponse } from "../../gen/kagzi/v1/worker_pb.ts"
import { Session } from "../../src/server/session/Session.ts"
import { StoreError } from "../../src/store/Store.ts"
import * as Bench from "../engine/Bench.ts"
import { onPostgres } from "../support/stores.ts"
import { command, openSession } from "./sessionClient.ts"
import {
  heldOf,
  json,
  lease,
  nextTask,
  place,
  register,
  serve,
  serving,
  started,
  stepId,
  tasks,
  unary
} from "./sessionRequests.ts"
import { start } from "./support.ts"

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
