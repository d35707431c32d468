/** The databases that a server can keep its runs in. */
import { Effect, Layer } from "effect"
import * as SqliteStore from "../store/sqlite/SqliteStore.ts"
import type { Store, StoreError } from "../store/Store.ts"
import { type Reason, StartError } from "./StartError.ts"

/** A database for a server. */
export type ServerStore = Layer.Layer<Store, StartError>

const reasons = {
  locked: "StoreLocked",
  damaged: "StoreCorrupt",
  newer: "StoreTooNew"
} as const satisfies { readonly [R in NonNullable<StoreError["reason"]>]: Reason }

const startError = (error: StoreError): StartError =>
  new StartError({
    reason: error.reason === undefined ? "StoreUnavailable" : reasons[error.reason],
    message: error.message,
    cause: error
  })

const opened = (layer: Layer.Layer<Store, StoreError>): ServerStore =>
  Layer.catchTag(layer, "StoreError", (error) => Layer.effectContext(Effect.fail(startError(error))))

/** A file, made if it does not exist. One server at a time can have it open. */
export const sqlite = (path: string): ServerStore => opened(SqliteStore.layer(path))

/** In memory: gone with the server. Each server has one of its own. */
export const memory: ServerStore = Layer.fresh(opened(SqliteStore.layerMemory))

const scheme = /^([a-z][a-z0-9+.-]*):/i

/** The database of a url: `sqlite:PATH` or `sqlite::memory:`. */
export const fromUrl = (url: string): Effect.Effect<ServerStore, StartError> => {
  const rest = url.startsWith("sqlite:") ? url.slice("sqlite:".length) : ""
  if (rest === ":memory:") return Effect.succeed(memory)
  if (rest !== "" && !rest.startsWith("//")) return Effect.succeed(sqlite(rest))
  // the rest of the url may hold a password
  const given = scheme.exec(url)?.[0] ?? ""
  return Effect.fail(
    new StartError({
      reason: "BadUrl",
      message: `The database url must be sqlite:PATH or sqlite::memory:, not ${given === "" ? "a url without a scheme" : `${given}…`}`
    })
  )
}
