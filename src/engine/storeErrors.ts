/** What callers are told when the database fails; the cause goes to the log. */
import { Cause, Effect } from "effect"
import * as KagziError from "../KagziError.ts"
import type { StoreError } from "../store/Store.ts"

export const toKagziError = (error: StoreError): KagziError.KagziError =>
  error.transient
    ? KagziError.make("Unavailable", "The store is not available at the moment")
    : KagziError.make("Internal", "Internal error", { nonRetryable: true })

export const logStoreError = (error: StoreError): Effect.Effect<void> =>
  Effect.logError(error.message, ...(error.cause === undefined ? [] : [Cause.fail(error.cause)]))

/** Logs an error of the store and gives the one for callers in its place. */
export const mapStoreError = <A>(effect: Effect.Effect<A, StoreError>): Effect.Effect<A, KagziError.KagziError> =>
  Effect.catch(effect, (error) => Effect.andThen(logStoreError(error), Effect.fail(toKagziError(error))))
