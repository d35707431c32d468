/** What the cases of several kinds of verbs begin with and check. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { type Json, Server } from "../cli.ts"

const instant = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
export const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** An id that nothing has. */
export const missing = "00000000-0000-7000-8000-000000000000"

/** What the runs of the workflow get. */
export const input = { data: new TextEncoder().encode(`{"name":"Ada"}`), metadata: {} }

/** A run that nobody takes. */
export const waiting = (id: string) =>
  Effect.gen(function* () {
    return { id, runId: yield* (yield* Server).seed("unserved", id, id) }
  })

/** A case that needs nothing but a name. */
export const own = (name: string) => Effect.succeed(name)

/** Names that the JSON of a run lacks while all is well with it. */
export const nothing = ["error", "wakeUpAt", "parentRunId"]

/** Those it lacks as well when nobody took the run. */
export const unstarted = [...nothing, "output", "startedAt", "finishedAt", "workerId"]

/** Checks the values of a description and that the named ones are times, and gives the description. */
export const having = (value: Json, expected: object, ...instants: ReadonlyArray<string>) => {
  assert.deepInclude(value, expected)
  for (const name of instants) assert.match(value[name], instant, name)
  return value as object
}

/** The one entry of a listing. */
export const only = (values: Json): Json => {
  assert.lengthOf(values, 1)
  return values[0]
}
