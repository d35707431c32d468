/**
 * What every way to a server does alike, over a session whose connection is cut at random.
 *
 * Single calls are not cut: repeating those is up to those who call.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Option, Schedule } from "effect"
import type { KagziError } from "../../src/KagziError.ts"
import * as Node from "../../src/protocol/node.ts"
import { type Held, Protocol, type Shape } from "../../src/protocol/Protocol.ts"
import { Rpc } from "../../src/protocol/Rpc.ts"
import * as Unary from "../../src/protocol/unary.ts"
import { KagziServer } from "../../src/server/index.ts"
import * as CuttingProxy from "../support/cuttingProxy.ts"
import { suite } from "./protocol.ts"

const seed = process.env.KAGZI_TEST_SEED ?? String(Math.floor(Math.random() * 1e9))

const proxies: Array<CuttingProxy.CuttingProxy> = []

/** Calls to a server of its own; streams go through a proxy that cuts them. */
const cut = (meanMillis: number, round: number): Layer.Layer<Rpc, unknown> =>
  Layer.effect(
    Rpc,
    Effect.gen(function* () {
      const { address } = yield* KagziServer.KagziServer
      const options = { target: address, seed: `${seed} ${meanMillis} ${round}`, meanMillis, cutting: true }
      const proxy = yield* CuttingProxy.make(options)
      proxies.push(proxy)
      const { call } = yield* Node.make({ address })
      const { open } = yield* Node.make({ address: proxy.address })
      return { call, open: open! }
    })
  ).pipe(Layer.provide(KagziServer.layer({ store: KagziServer.memory, heartbeatInterval: "1 second", port: 0 })))

const answered = <A, R>(asked: Effect.Effect<A, KagziError, R>) =>
  Effect.retry(asked, { while: ({ _tag }) => _tag === "Unavailable", schedule: Schedule.spaced("5 millis") })

/**
 * Reports the runs that it has taken, as workers do: otherwise they are taken from it before long. When it gives one
 * back and does not hear that it is done, that is sent again, and then finds the lease gone.
 */
const connectAndReport: (protocol: Shape) => Shape["connect"] = (protocol) => (options) =>
  Effect.gen(function* () {
    const taken = new Map<string, Held>()
    const held = () => [...taken.values(), ...options.held()]
    const link = yield* answered(protocol.connect({ ...options, held }))
    const take = ({ lease, runId }: Held) => taken.set(runId, { runId, lease })
    return {
      ...link,
      poll: Effect.tap(link.poll, (task) => Effect.sync(() => Option.map(task, take))),
      release: (run) => Effect.catchTag(link.release(run), "PreconditionFailed", () => Effect.void)
    }
  })

/**
 * Starts and registrations are repeated by those who ask for them. A run that a start finds is its own when nobody was
 * ever told of it.
 */
const persistent = (protocol: Shape): Shape => {
  const told = new Set<string>()
  return {
    ...protocol,
    start: (request) =>
      Effect.map(answered(protocol.start(request)), ({ alreadyExists, runId }) => {
        const isOwn = !told.has(runId)
        told.add(runId)
        return { runId, alreadyExists: alreadyExists && !isOwn }
      }),
    connect: connectAndReport(protocol)
  }
}

const overCutSession = (meanMillis: number, round: number) =>
  Layer.effect(Protocol, Effect.map(Protocol, persistent)).pipe(
    Layer.provide(Unary.layer),
    Layer.provideMerge(cut(meanMillis, round))
  )

for (const [meanMillis, rounds] of [
  [200, 4],
  [20, 1]
] as const) {
  for (let round = 1; round <= rounds; round++) {
    const name = `over a session that is cut every ${meanMillis} ms, round ${round} (KAGZI_TEST_SEED=${seed})`
    suite(name, overCutSession(meanMillis, round), { extended: true, session: true, cut: true })
  }
}

it("The connections of these sessions were cut", () => {
  const cuts = proxies.reduce((sum, proxy) => sum + proxy.counts().cuts, 0)
  assert.isAtLeast(cuts, proxies.length)
})
