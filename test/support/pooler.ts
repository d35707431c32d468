/** A TCP proxy before PostgreSQL that meddles with how sessions are started, as poolers do, and with nothing else. */
import * as net from "node:net"
import { Effect } from "effect"

export interface Pooler {
  /** Takes the place of `HOST:PORT`. */
  readonly host: string
  /** Parameters of sessions from now on that PostgreSQL is not told of. */
  dropped: (name: string) => boolean
  /** Whether it answers from now on that there is no TLS. */
  refusesTls: boolean
}

const tlsRequest = 80_877_103
const headerLength = 8

/** The start of a session, without what is dropped: its length, a version, and names and values that end in zeros. */
const without = (start: Buffer, dropped: Pooler["dropped"]): Buffer => {
  const parts = start.toString("utf8", headerLength, start.length - 2).split("\0")
  const kept = parts.filter((_, index) => !dropped(parts[index - (index % 2)]!))
  const body = Buffer.from(`${kept.join("\0")}\0\0`)
  const header = Buffer.from(start.subarray(0, headerLength))
  header.writeInt32BE(headerLength + body.length)
  return Buffer.concat([header, body])
}

/** Listens until the scope closes, for the server at that port of this machine. */
export const make = Effect.fnUntraced(function* (port: number) {
  const sockets = new Set<net.Socket>()
  const pooler: Pooler & { host: string } = { host: "", dropped: () => false, refusesTls: false }

  const pass = (client: net.Socket) => {
    const server = net.connect({ host: "127.0.0.1", port })
    for (const socket of [client, server]) {
      sockets.add(socket)
      socket.setNoDelay(true)
      socket.on("error", () => {})
      socket.on("close", () => {
        sockets.delete(socket)
        for (const other of [client, server]) other.destroy()
      })
    }
    let received = Buffer.alloc(0)
    const begin = (bytes: Buffer) => {
      received = Buffer.concat([received, bytes])
      if (received.length < headerLength || received.length < received.readInt32BE(0)) return
      const start = received
      received = Buffer.alloc(0)
      if (start.readInt32BE(4) === tlsRequest && pooler.refusesTls) {
        client.write("N")
        return
      }
      if (start.readInt32BE(4) === tlsRequest) server.write(start)
      else server.write(without(start, pooler.dropped))
      client.off("data", begin)
      client.pipe(server)
    }
    client.on("data", begin)
    server.pipe(client)
  }

  const listener = net.createServer(pass)
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => {
      listener.listen(0, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.callback<void>((resume) => {
        listener.close(() => resume(Effect.void))
        for (const socket of sockets) socket.destroy()
      })
  )
  const address = listener.address()
  pooler.host = `127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`
  return pooler as Pooler
})
