/**
 * A process of its own that holds a store, of that file or PostgreSQL database: `node child.ts hold <store>` says
 * `ready` and waits, `node child.ts write <store> <first>` writes one run after the other, each with a step, and says
 * its number when it is acknowledged. Either says why when it fails.
 */
import { writeSync } from "node:fs"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect } from "effect"
import * as PostgresStore from "../../src/store/postgres/PostgresStore.ts"
import * as SqliteStore from "../../src/store/sqlite/SqliteStore.ts"
import { write } from "../contract/store/fixtures.ts"
import { written } from "./written.ts"

const [mode, place = "", first] = process.argv.slice(2)

const say = (line: string) => Effect.sync(() => writeSync(1, `${line}\n`))

const hold = Effect.andThen(say("ready"), Effect.never)

const writeAll = Effect.gen(function* () {
  for (let n = Number(first); ; n++) {
    yield* write(written(n))
    yield* say(String(n))
  }
})

NodeRuntime.runMain(
  Effect.provide(
    mode === "hold" ? hold : writeAll,
    place.startsWith("postgres:") ? PostgresStore.layer(place) : SqliteStore.layer(place)
  ).pipe(Effect.catch((error) => say(`failed: ${error.message}`)))
)
