/** The databases that a server can keep its runs in. */
import { Effect, Layer } from "effect"
import type { Options } from "../store/postgres/url.ts"
import * as SqliteStore from "../store/sqlite/SqliteStore.ts"
import type { Store, StoreError } from "../store/Store.ts"
import { type Reason, StartError } from "./StartError.ts"

/** A database for a server. */
export type ServerStore = Layer.Layer<Store, StartError>

const reasons = {
  locked: "StoreLocked",
  damaged: "StoreCorrupt",
  newer: "StoreTooNew",
  url: "BadUrl"
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

/** What can be set of a PostgreSQL database beside its url. */
export type PostgresOptions = Options

/**
 * A PostgreSQL database, version 14 or later, which any number of servers may share.
 *
 * ```ts
 * KagziServer.postgres("postgres://kagzi:secret@db.example.com:5432/kagzi?sslmode=verify-full")
 * ```
 *
 * **Details**
 *
 * Parameters of the url, each of them optional:
 *
 * - `schema`: holds the tables of kagzi. It is made if it does not exist, and brought up to date when a server starts;
 *   several may start at once. By default `kagzi`
 * - `pool_size`: the most connections that a server holds open, at least 3. By default 10
 * - `sslmode`: `disable` uses no TLS; `prefer`, the default, and `allow` take it where PostgreSQL offers it when the
 *   server starts, and trust whoever answers; `require` insists on it; `verify-ca` and `verify-full` check the certificate
 *   too, the latter with the host in it
 * - `sslrootcert`: a file with the certificates of authorities to trust, in place of the usual ones. With it `require`
 *   checks as `verify-ca` does
 * - `sslcert` and `sslkey`: files with the certificate that the server shows, and its key
 * - `application_name`, `connect_timeout` in seconds (5), `options`, and `host` for the folder of a Unix socket: as
 *   everywhere
 *
 * Others are refused where they ask for what is not supported.
 *
 * **Gotchas**
 *
 * A pooler in between must not hand out connections for each transaction, since sessions are used, and has to pass on
 * what they are started with.
 */
export const postgres = (url: string, options: PostgresOptions = {}): ServerStore =>
  opened(
    Layer.unwrap(
      Effect.map(
        // loaded by those who have one only
        Effect.promise(() => import("../store/postgres/PostgresStore.ts")),
        (PostgresStore) => PostgresStore.layer(url, options)
      )
    )
  )

const scheme = /^([a-z][a-z0-9+.-]*):/i

/** The database of a url: `sqlite:PATH`, `sqlite::memory:`, or `postgres://USER:PASSWORD@HOST/DATABASE`. */
export const fromUrl = (url: string): Effect.Effect<ServerStore, StartError> => {
  if (/^postgres(ql)?:/i.test(url)) return Effect.succeed(postgres(url))
  const rest = url.startsWith("sqlite:") ? url.slice("sqlite:".length) : ""
  if (rest === ":memory:") return Effect.succeed(memory)
  if (rest !== "" && !rest.startsWith("//")) return Effect.succeed(sqlite(rest))
  // the rest of the url may hold a password
  const given = scheme.exec(url)?.[0] ?? ""
  return Effect.fail(
    new StartError({
      reason: "BadUrl",
      message: `The database url must be sqlite:PATH, sqlite::memory: or postgres://USER:PASSWORD@HOST/DATABASE, not ${given === "" ? "a url without a scheme" : `${given}…`}`
    })
  )
}
