/** Files that a SQLite store refuses, and what it does when the disk is full. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { open } from "../../src/store/sqlite/database.ts"
import * as SqliteStore from "../../src/store/sqlite/SqliteStore.ts"
import { Store, type StoreError } from "../../src/store/Store.ts"
import { endedRun, id, payload, runOf, see, write } from "../contract/store/fixtures.ts"
import { temporaryFile } from "./temporary.ts"

const opened = (file: string) =>
  Store.use((store) => store.ping).pipe(Effect.provide(Layer.fresh(SqliteStore.layer(file)), { local: true }))

const withStore = <A, E>(file: string, effect: Effect.Effect<A, E, Store>) =>
  effect.pipe(Effect.provide(Layer.fresh(SqliteStore.layer(file)), { local: true }))

/** Opening fails with that message for good, and leaves the file as it was. */
const refuses = Effect.fnUntraced(function* (file: string, reason: StoreError["reason"], message: RegExp) {
  const before = readFileSync(file)
  const error = yield* Effect.flip(opened(file))
  assert.strictEqual(error._tag, "StoreError")
  assert.deepStrictEqual([error.transient, error.reason], [false, reason])
  assert.match(error.message, message)
  assert.include(error.message, file)
  assert.notInclude(error.message, "\n")
  assert.isTrue(readFileSync(file).equals(before), "the file has changed")
  assert.deepStrictEqual(readdirSync(dirname(file)), ["kagzi.db"])
})

/** Works on the file with SQLite itself. */
const sqlite = (file: string, sql: string) =>
  Effect.sync(() => {
    const db = new DatabaseSync(file)
    db.exec(sql)
    db.close()
  })

const filled = (file: string) =>
  withStore(
    file,
    write({
      insertRuns: Array.from({ length: 200 }, (_, n) => endedRun(n)),
      inputs: Array.from({ length: 200 }, (_, n) => ({ runId: id(n), payload: payload("x".repeat(500)) }))
    })
  )

describe("opening a SQLite store", () => {
  it.live("makes the file and its folders, and finds what was written before", () =>
    Effect.gen(function* () {
      const file = join(dirname(yield* temporaryFile), "a", "b", "kagzi.db")
      yield* withStore(file, write({ insertRuns: [runOf(1)] }))
      assert.deepStrictEqual(readdirSync(dirname(file)), ["kagzi.db"])
      const rows = yield* withStore(file, see({ runs: new Set([id(1)]) }))
      assert.deepStrictEqual(rows.runs, [runOf(1)])
    })
  )
  it.live("takes an empty file for a new one", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      writeFileSync(file, "")
      yield* opened(file)
    })
  )
  it.live("refuses a file that is not a database", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      writeFileSync(file, "This is the order book of 2019. ".repeat(1000))
      yield* refuses(file, "damaged", /is not a kagzi database$/)
    })
  )
  for (const journal of ["DELETE", "WAL"]) {
    it.live(`refuses a database of another application, in journal mode ${journal}`, () =>
      Effect.gen(function* () {
        const file = yield* temporaryFile
        yield* sqlite(file, `PRAGMA journal_mode = ${journal}; CREATE TABLE runs (x); INSERT INTO runs VALUES (1)`)
        yield* refuses(file, "damaged", /is not a kagzi database$/)
      })
    )
  }
  it.live("refuses a file that a newer version wrote", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      yield* filled(file)
      yield* sqlite(file, "PRAGMA user_version = 1000")
      yield* refuses(file, "newer", /was written by a newer kagzi \(schema version 1000, this one knows up to \d+\)$/)
    })
  )
  it.live("refuses a file that was cut short", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      yield* filled(file)
      truncateSync(file, 40_960)
      yield* refuses(file, "damaged", /is damaged/)
    })
  )
  it.live("refuses a file with garbage in the middle", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      yield* filled(file)
      const bytes = readFileSync(file)
      bytes.fill(0xa5, 8 * 4096, 20 * 4096)
      writeFileSync(file, bytes)
      yield* refuses(file, "damaged", /is damaged/)
    })
  )
  it.live("says so when the path is a folder or can't be made", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      mkdirSync(file)
      const folder = yield* Effect.flip(opened(file))
      assert.match(folder.message, /can't be opened/)
      writeFileSync(join(file, "plain"), "")
      const below = yield* Effect.flip(opened(join(file, "plain", "kagzi.db")))
      assert.deepStrictEqual([below._tag, below.transient], ["StoreError", false])
      assert.isFalse(existsSync(join(file, "kagzi.db")))
    })
  )
})

describe("a SQLite store whose disk is full", () => {
  it.live("fails the transaction, writes nothing of it, and goes on when there is room again", () =>
    Effect.gen(function* () {
      const database = yield* open(yield* temporaryFile)
      const store = SqliteStore.make(database)
      yield* Effect.gen(function* () {
        yield* write({ insertRuns: [runOf(1)] })
        // SQLite reports a full disk when a file would grow above this
        database.prepare("PRAGMA max_page_count = 60").get()
        const large = { data: new Uint8Array(1_000_000), metadata: {} }
        const changes = { insertRuns: [runOf(2)], inputs: [{ runId: id(2), payload: large }] }
        const error = yield* Effect.flip(write(changes))
        assert.isTrue(error.transient)
        assert.match(error.message, /the disk is full/)
        const ids = { runs: new Set([id(1), id(2), id(3)]) }
        assert.deepStrictEqual((yield* see(ids)).runs, [runOf(1)])
        yield* write({ insertRuns: [runOf(3)] })
        database.prepare("PRAGMA max_page_count = 100000").get()
        yield* write(changes)
        assert.sameDeepMembers([...(yield* see(ids)).runs], [runOf(1), runOf(2), runOf(3)])
      }).pipe(Effect.provideService(Store, store))
    })
  )
})

describe("the log beside the file", () => {
  const mebibyte = 1024 * 1024
  it.live("stays short while transactions are small, and grows when they change many runs", () =>
    Effect.gen(function* () {
      const file = yield* temporaryFile
      const size = () => statSync(`${file}-wal`).size / mebibyte
      const started = (transactions: number, runs: number, from: number) =>
        Effect.forEach(Array.from({ length: transactions }), (_, index) =>
          write({ insertRuns: Array.from({ length: runs }, (_, n) => runOf(from + index * runs + n)) })
        )
      yield* withStore(
        file,
        Effect.gen(function* () {
          yield* started(500, 1, 0)
          assert.isBelow(size(), 5)
          assert.isAbove(size(), 3)
          yield* started(60, 100, 1_000)
          assert.isAbove(size(), 6)
          assert.isBelow(size(), 40)
        })
      )
    })
  )
})
