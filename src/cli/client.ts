/** The client of the client commands: flags win over the environment. */
import { Config, Effect, Layer, Option, Redacted } from "effect"
import { KagziClient } from "../KagziClient.ts"
import { UsageError } from "./failure.ts"
import { Address, ApiKey, Namespace } from "./flags.ts"

/** The flag, else the variable; one that is empty is not set. */
const setting = Effect.fnUntraced(function* (flag: Option.Option<string>, variable: string) {
  const value = yield* Config.option(Config.String(variable))
  return Option.getOrUndefined(Option.orElse(flag, () => Option.filter(value, (text) => text !== "")))
})

/** Connects with the first call. A server or namespace that can't be asked is a usage error. */
export const layer = Layer.unwrap(
  Effect.gen(function* () {
    const address = yield* setting(yield* Address, "KAGZI_SERVER_ADDRESS")
    const namespace = yield* setting(yield* Namespace, "KAGZI_NAMESPACE")
    const apiKey = yield* setting(Option.map(yield* ApiKey, Redacted.value), "KAGZI_API_KEY")
    return KagziClient.layer({ address, namespace, apiKey }).pipe(
      Layer.catch(({ message }) => Layer.effectContext(Effect.fail(new UsageError({ message }))))
    )
  })
)
