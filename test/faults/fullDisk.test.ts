/** A server on a file whose disk is full for a while: files of its process may grow no more, as `prlimit` has it. */
import { statSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { limitFiles } from "../support/diskSpace.ts"
import * as Place from "./Place.ts"
import { Nap } from "./processes/workflows.ts"

/** More than there is room for in what is there already. */
const mostStarts = 2_000

describe.skipIf(process.platform !== "linux")("a server whose disk is full", () => {
  for (const { left, room } of [
    { left: "no room at all", room: () => 0 },
    { left: "the room of its files", room: (folder: string) => statSync(join(folder, "kagzi.db-wal")).size }
  ]) {
    it.live(
      `refuses what it can't write with ${left}, keeps what it acknowledged, and goes on when there is room`,
      () =>
        Effect.gen(function* () {
          const place = yield* Place.make(Place.patient)
          const { folder, server } = place
          yield* Effect.gen(function* () {
            const start = (number: number) => Nap.start({ folder, sleepMillis: 1 }, { id: `nap-${number}` })
            const known = yield* Effect.forEach([1, 2, 3].keys(), start)
            limitFiles(server.process(), room(folder))
            let number = known.length
            for (;;) {
              const started = yield* Effect.result(start(number++))
              if (Result.isFailure(started)) {
                assert.strictEqual(started.failure._tag, "Unavailable")
                break
              }
              known.push(started.success)
              assert.isBelow(number, mostStarts)
            }
            for (const refused of yield* Effect.forEach([1, 2, 3].keys(), () => Effect.flip(start(number)))) {
              assert.strictEqual(refused._tag, "Unavailable")
            }
            assert.isTrue(server.process().isAlive())
            // what is there can be read all the time
            assert.strictEqual(yield* known[0]!.status, "PENDING")

            limitFiles(server.process(), undefined)
            const after = yield* start(number)
            assert.isFalse(after.alreadyExists)
            yield* server.restart
            yield* place.worker()
            for (const { result } of [...known, after]) assert.deepStrictEqual(yield* result, ["before", "after"])
          }).pipe(Effect.provide(place.client))
        })
    )
  }
})
