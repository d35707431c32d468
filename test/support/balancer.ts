/** A load balancer for TCP: each connection goes to the next of several servers that takes it. */
import * as net from "node:net"
import { Effect, type Scope } from "effect"

/** Its address, `http://HOST:PORT`. Targets look the same. */
export const make = (targets: ReadonlyArray<string>): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<{ readonly address: string; readonly close: () => void }>((resume) => {
      const sockets = new Set<net.Socket>()
      let turn = 0
      const connect = (client: net.Socket, left: number) => {
        if (left === 0) {
          client.destroy()
          return
        }
        const { hostname, port } = new URL(targets[turn++ % targets.length]!)
        const server = net.connect({ host: hostname, port: Number(port) })
        let connected = false
        sockets.add(server)
        server.once("connect", () => {
          connected = true
          client.pipe(server).pipe(client)
        })
        server.on("error", () => undefined)
        server.once("close", () => {
          sockets.delete(server)
          if (connected) client.destroy()
          else connect(client, left - 1)
        })
        client.once("close", () => {
          if (connected) server.destroy()
        })
      }
      const proxy = net.createServer((client) => {
        sockets.add(client)
        client.on("error", () => undefined)
        client.once("close", () => sockets.delete(client))
        connect(client, targets.length)
      })
      const close = () => {
        proxy.close()
        for (const socket of sockets) socket.destroy()
      }
      proxy.listen(0, "127.0.0.1", () => {
        const { port } = proxy.address() as net.AddressInfo
        resume(Effect.succeed({ address: `http://127.0.0.1:${port}`, close }))
      })
    }),
    ({ close }) => Effect.sync(close)
  ).pipe(Effect.map(({ address }) => address))
