/**
 * A TCP proxy before PostgreSQL that breaks connections where it matters: around the end of a transaction. What it looks
 * for is the tag of the answer to COMMIT; where a transaction ends in what is sent is left to chance.
 */
import * as net from "node:net"
import { Effect } from "effect"

/**
 * - `answer`: the transaction takes place, and its answer does not arrive
 * - `late`: the client is cut off, and what it sent arrives at the server some time after that
 * - `half`: the server gets a part of what was sent
 * - `request`: the server gets nothing of it
 */
export type Manner = "answer" | "late" | "half" | "request"

export interface CommitCutter {
  /** Takes the place of `HOST:PORT`. */
  readonly host: string
  /** How often each happened. */
  readonly counts: Readonly<Record<Manner, number>>
  /** The chance that one more thing breaks, for each answer to COMMIT and for each piece of what is sent. */
  chance: number
}

const committed = Buffer.from("COMMIT\0")

/** Listens until the scope closes, for the server at that port of this machine. `random` gives numbers from 0 to 1. */
export const make = Effect.fnUntraced(function* (port: number, random: () => number) {
  const counts = { answer: 0, late: 0, half: 0, request: 0 }
  const sockets = new Set<net.Socket>()
  const cutter: CommitCutter & { host: string } = { host: "", counts, chance: 0 }

  const pass = (client: net.Socket) => {
    const server = net.connect({ host: "127.0.0.1", port, noDelay: true })
    let isCut = false
    for (const socket of [client, server]) {
      sockets.add(socket)
      socket.setNoDelay(true)
      socket.on("error", () => {})
      socket.on("close", () => sockets.delete(socket))
    }
    client.on("close", () => {
      if (!isCut) server.destroy()
    })
    server.on("close", () => client.destroy())
    const cut = (manner: Manner) => {
      isCut = true
      counts[manner]++
      client.resetAndDestroy()
    }
    client.on("data", (bytes) => {
      if (isCut) return
      if (random() >= cutter.chance) {
        server.write(bytes)
        return
      }
      const manner = (["late", "half", "request"] as const)[Math.floor(random() * 3)]!
      cut(manner)
      if (manner === "request") server.destroy()
      else if (manner === "half") server.end(bytes.subarray(0, Math.floor(random() * bytes.length)))
      else setTimeout(() => server.end(bytes), random() * 150)
    })
    server.on("data", (bytes) => {
      if (isCut) return
      if (bytes.includes(committed) && random() < cutter.chance) {
        cut("answer")
        server.destroy()
      } else client.write(bytes)
    })
  }

  const proxy = net.createServer(pass)
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => void proxy.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () =>
      Effect.callback<void>((resume) => {
        proxy.close(() => resume(Effect.void))
        for (const socket of sockets) socket.destroy()
      })
  )
  cutter.host = `127.0.0.1:${(proxy.address() as net.AddressInfo).port}`
  return cutter as CommitCutter
})
