/** What `kagzi server` and `kagzi dev` do: serve until a signal ends the process. */
import { ConfigProvider, Console, Effect, Layer, Ref } from "effect"
import { InterruptCode } from "./failure.ts"
import * as Memory from "./memory.ts"

/** Settings that win over the environment, under the names of its variables; those that are undefined don't. */
export type Settings = Readonly<Record<string, string | undefined>>

/** Serves with what the settings and the environment say. The first line on stdout says where, when it is ready. */
export const serve = Effect.fnUntraced(function* (settings: Settings) {
  // Being told to stop is what a server expects.
  yield* Ref.set(yield* InterruptCode, 0)
  // Loaded here, so that client commands start without a database.
  const { KagziServer } = yield* Effect.promise(() => import("../server/index.ts"))
  const environment = yield* ConfigProvider.ConfigProvider
  const given = ConfigProvider.fromEnv({
    env: Object.fromEntries(
      Object.entries(settings).filter((entry): entry is [string, string] => entry[1] !== undefined)
    )
  })
  const ready = Layer.effectDiscard(
    Effect.gen(function* () {
      const { address } = yield* KagziServer.KagziServer
      yield* Memory.limit
      yield* Console.log(`kagzi server listening on ${address}`)
    })
  )
  return yield* Layer.launch(Layer.provide(ready, KagziServer.layerConfig)).pipe(
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.orElse(given, environment)),
    Effect.onInterrupt(() => Effect.logInfo("The server has stopped"))
  )
})
