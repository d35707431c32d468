/** The proxy that the tests of cut connections trust. */
import * as net from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as CuttingProxy from "../support/cuttingProxy.ts"
import { until } from "./Place.ts"

/** A server that does with its connections what it is told. */
const serve = (handle: (socket: net.Socket) => void) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly address: string; readonly close: () => void }>((resume) => {
      const sockets = new Set<net.Socket>()
      const server = net.createServer((socket) => {
        sockets.add(socket.on("error", () => {}).on("close", () => sockets.delete(socket)))
        handle(socket)
      })
      const close = () => {
        server.close()
        for (const socket of sockets) socket.destroy()
      }
      server.listen(0, "127.0.0.1", () => {
        resume(Effect.succeed({ address: `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`, close }))
      })
    }),
    ({ close }) => Effect.sync(close)
  )

const echo = serve((socket) => void socket.pipe(socket))

interface Peer {
  readonly socket: net.Socket
  readonly received: () => Buffer
  /** How the connection ended, once it has. */
  readonly end: () => "reset" | "end" | undefined
}

const connect = (address: string) =>
  Effect.acquireRelease(
    Effect.sync((): Peer => {
      const { hostname, port } = new URL(address)
      const socket = net.connect(Number(port), hostname)
      const chunks: Array<Buffer> = []
      let end: "reset" | "end" | undefined
      socket.on("data", (chunk: Buffer) => chunks.push(chunk))
      socket.on("error", () => {
        end = "reset"
      })
      socket.on("close", () => {
        end ??= "end"
      })
      return { socket, received: () => Buffer.concat(chunks), end: () => end }
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

const becomes = <A>(look: () => A, fits: (found: A) => boolean) => until(Effect.sync(look), fits)

const bytes = (length: number) => Buffer.from(Array.from({ length }, (_, index) => index % 251))

describe("a proxy that cuts connections", () => {
  it.live("passes every byte on while it does not cut, and an end too", () =>
    Effect.gen(function* () {
      const proxy = yield* CuttingProxy.make({ target: (yield* echo).address, seed: "whole" })
      const peer = yield* connect(proxy.address)
      const sent = bytes(3_000_000)
      peer.socket.end(sent)
      yield* becomes(peer.end, (end) => end !== undefined)
      assert.strictEqual(peer.end(), "end")
      assert.isTrue(peer.received().equals(sent))
      assert.deepInclude(proxy.counts(), { connections: 1, cuts: 0, calls: 0 })
    })
  )

  it.live("cuts in every manner, and what came before the cut is what was sent", () =>
    Effect.gen(function* () {
      const proxy = yield* CuttingProxy.make({
        target: (yield* echo).address,
        seed: "all",
        meanMillis: 10,
        cutting: true
      })
      const sent = bytes(100_000)
      const ends: Array<string | undefined> = []
      const partial: Array<number> = []
      const session = Effect.gen(function* () {
        const peer = yield* connect(proxy.address)
        const talk = setInterval(() => peer.socket.write(sent), 1)
        yield* becomes(peer.end, (end) => end !== undefined)
        clearInterval(talk)
        const received = peer.received()
        for (let at = 0; at < received.length; at += sent.length) {
          const part = received.subarray(at, at + sent.length)
          assert.isTrue(part.equals(sent.subarray(0, part.length)))
        }
        ends.push(peer.end())
        partial.push(received.length % sent.length)
      })
      yield* Effect.forEach(Array(60), () => Effect.scoped(session), { concurrency: 10, discard: true })
      const { connections, cuts, resets, splits, stalls } = proxy.counts()
      assert.deepStrictEqual([connections, cuts], [60, 60])
      for (const count of [resets, splits, stalls]) assert.isTrue(count > 0 && count < 60, String(count))
      assert.includeMembers(ends, ["reset"])
      assert.isTrue(partial.some((rest) => rest > 0))

      proxy.stopCutting()
      const peer = yield* connect(proxy.address)
      peer.socket.write("still here")
      yield* becomes(peer.received, (received) => received.toString() === "still here")
      proxy.cutAll()
      yield* becomes(peer.end, (end) => end !== undefined)
      assert.strictEqual(proxy.counts().cuts, 61)
    })
  )

  it.live("passes nothing on while it pauses", () =>
    Effect.gen(function* () {
      const proxy = yield* CuttingProxy.make({ target: (yield* echo).address, seed: "pause" })
      const before = yield* connect(proxy.address)
      before.socket.write("before")
      yield* becomes(before.received, (received) => received.toString() === "before")
      proxy.pause()
      before.socket.write(", after")
      const during = yield* connect(proxy.address)
      during.socket.write("during")
      yield* becomes(
        () => proxy.counts().connections,
        (count) => count === 2
      )
      // Longer than anything that is passed on takes.
      yield* Effect.sleep("50 millis")
      assert.deepStrictEqual([before.received().toString(), during.received().toString()], ["before", ""])
      proxy.resume()
      yield* becomes(before.received, (received) => received.toString() === "before, after")
      yield* becomes(during.received, (received) => received.toString() === "during")
      assert.strictEqual(proxy.counts().cuts, 0)
    })
  )

  it.live("keeps few bytes for a peer that reads none", () =>
    Effect.gen(function* () {
      let taken = 0
      const flood = yield* serve((socket) => {
        const chunk = bytes(65_536)
        const more = () => {
          do taken += chunk.length
          while (!socket.destroyed && socket.write(chunk))
        }
        socket.on("drain", more)
        more()
      })
      const proxy = yield* CuttingProxy.make({ target: flood.address, seed: "slow" })
      const peer = yield* connect(proxy.address)
      yield* becomes(
        () => taken,
        (count) => count > 1_000_000
      )
      peer.socket.pause()
      // Until nothing moves any more.
      let last = -1
      yield* becomes(
        () => {
          const still = taken === last
          last = taken
          return still
        },
        (still) => still
      ).pipe(Effect.repeat({ times: 20 }))
      assert.isBelow(proxy.mostWaiting(), 1_000_000)
      const held = peer.received().length
      peer.socket.resume()
      yield* becomes(peer.received, (received) => received.length > held + 1_000_000)
    })
  )

  it.live("ends a connection at once when there is nobody behind it", () =>
    Effect.gen(function* () {
      const gone = yield* echo
      gone.close()
      const proxy = yield* CuttingProxy.make({ target: gone.address, seed: "gone" })
      const peer = yield* connect(proxy.address)
      yield* becomes(peer.end, (end) => end !== undefined)
      assert.deepInclude(proxy.counts(), { connections: 1, cuts: 0 })
    })
  )
})
