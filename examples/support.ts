/**
 * What stands around each example: a server of its own, a client of it, and checks of what came out.
 *
 * Your programs have their server elsewhere (`npx kagzi server`) and take `KagziClient.layerConfig` instead.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, FileSystem, Layer, References, type Scope } from "effect"
import { KagziClient } from "kagzi"
import { KagziServer } from "kagzi/server"

/** A server on a free port. Its database goes with it. */
const Server = Layer.unwrap(
  Effect.gen(function* () {
    const files = yield* FileSystem.FileSystem
    const folder = yield* files.makeTempDirectoryScoped({ prefix: "kagzi-example-" })
    return KagziServer.layer({ port: 0, store: KagziServer.sqlite(`${folder}/kagzi.db`) })
  })
)

/** A client that reaches the server through its socket. */
const Client = Layer.unwrap(KagziServer.KagziServer.useSync(({ address }) => KagziClient.layer({ address })))

type Provided = KagziClient | KagziServer.KagziServer | NodeServices.NodeServices | Scope.Scope

/** Executes an example as the main program. It ends with exit code 1 when something is not as it should be. */
export const main = <A, E>(program: Effect.Effect<A, E, Provided>): void =>
  program.pipe(
    Effect.scoped,
    Effect.timeoutOrElse({
      duration: "30 seconds",
      orElse: () => Effect.fail(new Error("The example did not end"))
    }),
    Effect.provide(Client.pipe(Layer.provideMerge(Server), Layer.provideMerge(NodeServices.layer))),
    Effect.provideService(References.MinimumLogLevel, "Warn"),
    NodeRuntime.runMain
  )

/** Says what was checked, or ends the example. */
export const check = Effect.fn(function* (what: string, holds: boolean) {
  if (!holds) return yield* Effect.fail(new Error(`This does not hold: ${what}`))
  yield* Console.log(`ok    ${what}`)
})
