/** Several servers as one, from the client's side. */
import { assert, describe, it } from "@effect/vitest"
import { Code, ConnectError } from "@connectrpc/connect"
import { Effect, Result } from "effect"
import { WorkflowService } from "../../gen/kagzi/v1/workflow_pb.ts"
import * as Address from "../../src/protocol/address.ts"
import * as Node from "../../src/protocol/node.ts"
import * as Rpc from "../../src/protocol/Rpc.ts"
import * as Peer from "./peer.ts"

const input = { namespace: "default", runId: "r" }

/** Servers that answer with their number, as often as they are asked. */
const servers = (count: number) =>
  Effect.forEach(Array.from({ length: count }).keys(), (number) => {
    const asked = { count: 0 }
    return Effect.map(
      Peer.serve({
        startWorkflow: () => {
          asked.count++
          return { runId: String(number) }
        }
      }),
      (peer) => ({ ...peer, asked })
    )
  })

const client = (address: Node.Options["address"]) =>
  Effect.map(Node.make({ address }), (rpc) => Rpc.client(WorkflowService, rpc))

describe("the addresses of several servers", () => {
  it("are a list or a text with commas, each counted once", () => {
    const both = ["http://a:1", "https://b:2"]
    for (const given of ["a:1,https://b:2", " http://a:1/ , https://b:2,", both, ["a:1,a:1", "https://b:2"]]) {
      assert.deepStrictEqual(Address.parseAll(given), Result.succeed(both as [string, string]))
    }
  })

  it("are refused where one of them is none, or where there is none", () => {
    for (const given of ["http://a:1,ftp://b:2", ["http://a:1", "http://b:2/path"], "", " , ", []]) {
      assert.isTrue(Result.isFailure(Address.parseAll(given)), JSON.stringify(given))
    }
  })
})

describe("calls to several servers", () => {
  it.live("go to one of them, and at once to another when nothing listens there any more", () =>
    Effect.gen(function* () {
      const three = yield* servers(3)
      const workflows = yield* client(three.map(({ address }) => address))
      const ask = Effect.map(workflows.startWorkflow({ externalId: "x" }), ({ runId }) => Number(runId))
      const first = yield* ask
      assert.strictEqual(yield* ask, first)
      yield* three[first]!.stop
      // the connection that is there may be lost with a call on it, which is not repeated here
      const second = yield* Effect.retry(ask, { times: 1 })
      assert.notStrictEqual(second, first)
      assert.strictEqual(yield* ask, second)
      yield* three[second]!.stop
      const third = yield* Effect.retry(ask, { times: 1 })
      assert.deepStrictEqual([first, second, third].toSorted(), [0, 1, 2])
      yield* three[third]!.stop
      const error = yield* Effect.flip(Effect.retry(ask, { times: 1 }))
      assert.strictEqual(error._tag, "Unavailable")
    }).pipe(Effect.scoped)
  )

  it.live("reach the one that listens with the first call, whichever it is", () =>
    Effect.gen(function* () {
      for (let attempt = 0; attempt < 8; attempt++) {
        const two = yield* servers(2)
        yield* two[0]!.stop
        const workflows = yield* client(two.map(({ address }) => address).join(","))
        assert.strictEqual((yield* workflows.startWorkflow({ externalId: "x" })).runId, "1")
      }
    }).pipe(Effect.scoped)
  )

  it.live("are spread by clients that begin with any of them", () =>
    Effect.gen(function* () {
      const two = yield* servers(2)
      for (let attempt = 0; attempt < 40; attempt++) {
        const workflows = yield* client(two.map(({ address }) => address))
        yield* workflows.startWorkflow({ externalId: "x" })
      }
      for (const { asked } of two) assert.isAbove(asked.count, 0)
    }).pipe(Effect.scoped)
  )

  it.live("are not repeated elsewhere when the server may have carried them out, and the next one goes elsewhere", () =>
    Effect.gen(function* () {
      let calls = 0
      const refusing = {
        getWorkflow: () => {
          calls++
          return Promise.reject(new ConnectError("the database is away", Code.Unavailable))
        }
      }
      const two = yield* Effect.all([Peer.serve(refusing), Peer.serve(refusing)])
      const workflows = yield* client(two.map(({ address }) => address))
      const error = yield* Effect.flip(workflows.getWorkflow(input))
      assert.strictEqual(error._tag, "Unavailable")
      assert.strictEqual(calls, 1)
      yield* Effect.flip(workflows.getWorkflow(input))
      assert.deepStrictEqual(
        two.map(({ sessions }) => sessions.length),
        [1, 1]
      )
    }).pipe(Effect.scoped)
  )

  it.live("stay where they are when a call is refused for what it asks", () =>
    Effect.gen(function* () {
      const refusing = { getWorkflow: () => Promise.reject(new ConnectError("no such run", Code.NotFound)) }
      const two = yield* Effect.all([Peer.serve(refusing), Peer.serve(refusing)])
      const workflows = yield* client(two.map(({ address }) => address))
      for (let call = 0; call < 4; call++) yield* Effect.flip(workflows.getWorkflow(input))
      assert.deepStrictEqual(two.map(({ sessions }) => sessions.length).toSorted(), [0, 1])
    }).pipe(Effect.scoped)
  )
})
