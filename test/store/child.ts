/**
 * A process of its own that holds a store, of that file or PostgreSQL database: `node child.ts hold <store>` says
 * `ready` and waits, `node child.ts write <store> <first>` writes one run after the other, each with a step, and says
 * its number when it is acknowledged, `node child.ts remove <store> <most>` removes ended runs in so many small
 * transactions, says how many each has removed, and waits. Each says why when it fails.
 */
import { writeSync } from "node:fs"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect } from "effect"
import * as PostgresStore from "../../src/store/postgres/PostgresStore.ts"
import * as SqliteStore from "../../src/store/sqlite/SqliteStore.ts"
import { type Cursor, type Removable, Store } from "../../src/store/Store.ts"
import { id, noChanges, noWants } from "../contract/store/fixtures.ts"
import { smallRoom, written } from "./written.ts"

const [mode, place = "", first] = process.argv.slice(2)

const say = (line: string) => Effect.sync(() => writeSync(1, `${line}\n`))

const hold = Effect.andThen(say("ready"), Effect.never)

const writeAll = Effect.gen(function* () {
  const store = yield* Store
  for (let n = Number(first); ; n++) {
    // every other one asks for something before it writes
    const wants = { ...noWants, schedules: new Set(n % 2 === 0 ? [id(1)] : []) }
    yield* store.transact(wants, () => ({ changes: { ...noChanges, ...written(n) }, value: undefined }))
    yield* say(String(n))
  }
})

const removeAll = Effect.gen(function* () {
  const store = yield* Store
  const which: Removable = { namespace: "default", status: "COMPLETED", endedBy: Number.MAX_SAFE_INTEGER }
  let after: Cursor | undefined
  let left = Number(first)
  const next = (removed: number) =>
    Effect.andThen(
      say(String(removed)),
      Effect.suspend(() => (--left === 0 ? Effect.never : Effect.void))
    )
  do {
    const removal = yield* store.removeEnded(after === undefined ? which : { ...which, after }, smallRoom)
    yield* next(removal.removed)
    if (removal.stepsLeft) while (yield* store.removeLeftSteps(smallRoom)) yield* next(0)
    after = removal.next
  } while (after !== undefined)
  yield* say("done")
})

NodeRuntime.runMain(
  Effect.provide(
    mode === "hold" ? hold : mode === "remove" ? removeAll : writeAll,
    place.startsWith("postgres:") ? PostgresStore.layer(place) : SqliteStore.layer(place)
  ).pipe(Effect.catch((error) => say(`failed: ${error.message}`)))
)
