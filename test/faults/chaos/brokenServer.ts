/**
 * A server process that is wrong on purpose, as `test/testing/simulator/sabotage.ts` has it:
 * `node brokenServer.ts <name of the sabotage> server --port <port> --db-url <url>`.
 */
import { writeSync } from "node:fs"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Effect, Exit, Layer } from "effect"
import { Engine } from "../../../src/engine/Engine.ts"
import { KagziServer } from "../../../src/server/index.ts"
import { environment } from "../../../src/server/environment.ts"
import { Store } from "../../../src/store/Store.ts"
import { broken } from "../../testing/simulator/sabotage.ts"

const [name, , , port, , url] = process.argv.slice(2)

const found = broken.find((build) => build.name === name)
if (found === undefined) throw new Error(`There is no sabotage ${name}`)

/** Commands come as from peers that know no leases. */
const withoutLeases = Layer.effect(
  Engine,
  Effect.map(Engine, (engine) => {
    const unleased = <C extends object>(command: C): C => {
      if (!("lease" in command)) return command
      const { lease: _, ...rest } = command
      return rest as C
    }
    return Engine.of({
      ...engine,
      execute: (command) => engine.execute(unleased(command)),
      submit: (command, answer) => engine.submit(unleased(command), answer)
    })
  })
)

const ready = Layer.effectDiscard(
  Effect.flatMap(KagziServer.KagziServer, ({ address }) =>
    Effect.sync(() => writeSync(1, `kagzi server listening on ${address}\n`))
  )
)

const main = Effect.gen(function* () {
  const options = yield* environment
  const { sabotage } = found
  const honest = yield* KagziServer.fromUrl(url ?? "")
  const store =
    "store" in sabotage && sabotage.store !== undefined
      ? Layer.effect(
          Store,
          Effect.map(Store, (own) => sabotage.store!(own, ""))
        ).pipe(Layer.provide(honest))
      : honest
  const engine = KagziServer.layerEngine({ ...options, store })
  const served = KagziServer.layerListening({ ...options, port: Number(port) }).pipe(
    Layer.provide(name === "fencing off" ? Layer.provide(withoutLeases, engine) : engine)
  )
  return yield* Layer.launch(Layer.provide(ready, served))
})

NodeRuntime.runMain(main, {
  teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? 0 : 1)
})
