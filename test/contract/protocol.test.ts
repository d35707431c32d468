import { Effect, Layer } from "effect"
import type { Protocol } from "../../src/protocol/Protocol.ts"
import * as Node from "../../src/protocol/node.ts"
import type { Rpc } from "../../src/protocol/Rpc.ts"
import * as Unary from "../../src/protocol/unary.ts"
import { KagziServer } from "../../src/server/index.ts"
import * as InProcess from "../../src/server/inProcess.ts"
import { type Capabilities, suite as runs } from "./protocol.ts"
import { scheduleSuite } from "./protocolSchedules.ts"

const options = { store: KagziServer.memory, heartbeatInterval: "1 second" } as const

const inProcess: Layer.Layer<Rpc, unknown> = InProcess.layer.pipe(Layer.provide(KagziServer.layerEngine(options)))

const overNetwork = (protocol: NonNullable<Node.Options["protocol"]>): Layer.Layer<Rpc, unknown> =>
  Layer.unwrap(Effect.map(KagziServer.KagziServer, ({ address }) => Node.layer({ address, protocol }))).pipe(
    Layer.provide(KagziServer.layer({ ...options, port: 0 }))
  )

const unary = (rpc: Layer.Layer<Rpc, unknown>): Layer.Layer<Protocol | Rpc, unknown> =>
  Layer.provideMerge(Unary.layer, rpc)

const byCalls = (rpc: Layer.Layer<Rpc, unknown>): Layer.Layer<Protocol | Rpc, unknown> =>
  Layer.provideMerge(Unary.layerWith({ session: false }), rpc)

const plain = (rpc: Layer.Layer<Rpc, unknown>): Layer.Layer<Protocol | Rpc, unknown> =>
  Layer.provideMerge(Unary.layerWith({ plain: true }), rpc)

const suite = (name: string, implementation: Layer.Layer<Protocol | Rpc, unknown>, capabilities: Capabilities) => {
  runs(name, implementation, capabilities)
  scheduleSuite(name, implementation, capabilities)
}

suite("in process", unary(inProcess), { extended: true })
suite("over a session", unary(overNetwork("grpc")), { extended: true, session: true })
suite("over gRPC", byCalls(overNetwork("grpc")), { extended: true })
suite("over gRPC-Web", unary(overNetwork("grpc-web")), { extended: true })
suite("over Connect", unary(overNetwork("connect")), { extended: true })
suite("in process, by the plain contract", plain(inProcess), { extended: false })
suite("over gRPC, by the plain contract", plain(overNetwork("grpc")), { extended: false })
