/** Why a server did not start. */
import { Data } from "effect"

/**
 * What kept it from starting.
 *
 * - `PortInUse`: another program listens there
 * - `BadAddress`: the host can't be resolved or is not of this machine, or the port may not be used
 * - `BadUrl`: the database url is not one that this server knows, or a part of it makes no sense
 * - `BadConfig`: an option or environment variable has a value that makes no sense
 * - `StoreLocked`: another server has the database file open
 * - `StoreCorrupt`: the file is not a database, or is damaged; or the schema has tables that are not kagzi's
 * - `StoreTooNew`: the database was written by a later version
 * - `StoreUnavailable`: the database can't be opened for another reason, such as missing rights or no network
 */
export type Reason =
  | "PortInUse"
  | "BadAddress"
  | "BadUrl"
  | "BadConfig"
  | "StoreLocked"
  | "StoreCorrupt"
  | "StoreTooNew"
  | "StoreUnavailable"

/** The server could not start. `message` is one line, fit for a terminal. */
export class StartError extends Data.TaggedError("StartError")<{
  readonly reason: Reason
  readonly message: string
  readonly cause?: unknown
}> {}
