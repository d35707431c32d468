import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { createServer, type Server as NetServer } from "node:net"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as SqliteStore from "../../src/store/sqlite/SqliteStore.ts"
import { endedRun, runOf, write } from "../contract/store/fixtures.ts"
import { folder, ready, run, start } from "./cli.ts"

const refuses = Effect.fnUntraced(function* (
  args: ReadonlyArray<string>,
  says: RegExp,
  environment: Readonly<Record<string, string>> = {}
) {
  const { code, stderr, stdout } = yield* run(["server", ...args], {
    environment: { KAGZI_SERVER_PORT: "0", ...environment }
  })
  assert.match(stderr, /^kagzi: ./)
  assert.match(stderr, says)
  assert.notInclude(stderr, "\n")
  assert.strictEqual(stdout, "")
  assert.strictEqual(code, 1)
})

/** A port that something else listens on. */
const occupied = Effect.acquireRelease(
  Effect.callback<NetServer>((resume) => {
    const server = createServer()
    server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
  }),
  (server) => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
).pipe(
  Effect.map((server) => {
    const address = server.address()
    return typeof address === "object" && address !== null ? address.port : 0
  })
)

const listens = (address: string) => Effect.map(run(["health", "--address", address]), ({ code }) => code === 0)

describe("a server", () => {
  it.live("prints one line when it is ready, and logs to stderr", () =>
    Effect.gen(function* () {
      const file = join(yield* folder, "kagzi.db")
      const server = yield* start(["server", "--port", "0", "--db-url", `sqlite:${file}`], {
        environment: { KAGZI_LOG_FORMAT: "json" }
      })
      const address = yield* ready(server)
      assert.match(address, /^http:\/\/127\.0\.0\.1:\d+$/)
      assert.isTrue(yield* listens(address))
      yield* server.signal("SIGTERM")
      yield* server.ended
      assert.deepStrictEqual(server.lines(), [`kagzi server listening on ${address}`])
      const logged = server.complaints().trim().split("\n")
      for (const line of logged) assert.strictEqual(JSON.parse(line).level, "INFO")
    })
  )

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it.live(`ends with exit code 0 on ${signal}, and leaves nothing behind`, () =>
      Effect.gen(function* () {
        const place = yield* folder
        const server = yield* start(["server", "--port", "0", "--db-url", `sqlite:${join(place, "kagzi.db")}`])
        const address = yield* ready(server)
        // a call that waits must not keep it
        yield* run(["workflow", "start", "a", "--address", address, "--id", "a"])
        const waiting = yield* start(["workflow", "execute", "a", "--address", address, "--id", "a"])
        yield* waiting.complaint(/was there already/)
        yield* server.signal(signal)
        assert.strictEqual(yield* server.ended, 0)
        assert.throws(() => process.kill(server.pid, 0))
        assert.isFalse(yield* listens(address))
        assert.deepStrictEqual(readdirSync(place), ["kagzi.db"])
        assert.isTrue(waiting.isAlive())
      })
    )
  }

  it.live("keeps its runs over a restart", () =>
    Effect.gen(function* () {
      const url = `sqlite:${join(yield* folder, "kagzi.db")}`
      const first = yield* start(["server", "--port", "0", "--db-url", url])
      const started = yield* run(["workflow", "start", "kept", "--id", "k1", "--address", yield* ready(first)])
      assert.strictEqual(started.code, 0)
      yield* first.signal("SIGTERM")
      yield* first.ended
      const second = yield* start(["server", "--port", "0", "--db-url", url])
      const found = yield* run(["workflow", "get", "k1", "--address", yield* ready(second)])
      assert.match(found.stdout, /^Type +kept$/m)
    })
  )

  it.live("takes its settings from the environment, and flags before those", () =>
    Effect.gen(function* () {
      const place = yield* folder
      const port = yield* occupied
      const server = yield* start(["server", "--port", "0"], {
        environment: {
          KAGZI_DB_URL: `sqlite:${join(place, "mine.db")}`,
          KAGZI_SERVER_PORT: `${port}`,
          KAGZI_SERVER_HOST: "localhost"
        }
      })
      assert.match(yield* ready(server), /^http:\/\/localhost:\d+$/)
      assert.isTrue(existsSync(join(place, "mine.db")))
    })
  )

  it.live("removes runs that ended longer ago than a flag says", () =>
    Effect.gen(function* () {
      const file = join(yield* folder, "kagzi.db")
      const longAgo = { createdAt: 1_700_000_000_000, finishedAt: 1_700_000_000_000 }
      yield* write({ insertRuns: [endedRun(1, longAgo), runOf(2)] }).pipe(
        Effect.provide(Layer.fresh(SqliteStore.layer(file)), { local: true })
      )
      const server = yield* start(["server", "--port", "0", "--db-url", `sqlite:${file}`, "--retention-secs", "60"])
      const address = yield* ready(server)
      const list = Effect.map(run(["workflow", "list", "-o", "json", "--address", address]), ({ stdout }) =>
        (JSON.parse(stdout) as ReadonlyArray<{ readonly id: string }>).map(({ id }) => id)
      )
      yield* Effect.repeat(list, { until: (ids) => ids.join() === "order-2" })
    })
  )

  it.live("does not start on a port in use", () =>
    Effect.gen(function* () {
      const port = yield* occupied
      yield* refuses(["--port", `${port}`, "--db-url", "sqlite::memory:"], new RegExp(`:${port} is already in use`))
    })
  )

  it.live("does not start on the file of another server", () =>
    Effect.gen(function* () {
      const url = `sqlite:${join(yield* folder, "kagzi.db")}`
      const first = yield* start(["server", "--port", "0", "--db-url", url])
      const address = yield* ready(first)
      yield* refuses(["--db-url", url], /kagzi\.db is in use by another kagzi server/)
      assert.isTrue(yield* listens(address))
    })
  )

  it.live("does not start on a file that is no database", () =>
    Effect.gen(function* () {
      const file = join(yield* folder, "kagzi.db")
      writeFileSync(file, "not a database, but long enough for the header of one to be looked for in it, and not found")
      yield* refuses(["--db-url", `sqlite:${file}`], /kagzi\.db is not a kagzi database/)
    })
  )

  it.live("does not start on a file that is damaged", () =>
    Effect.gen(function* () {
      const file = join(yield* folder, "kagzi.db")
      const server = yield* start(["server", "--port", "0", "--db-url", `sqlite:${file}`])
      yield* ready(server)
      yield* server.signal("SIGTERM")
      yield* server.ended
      const bytes = readFileSync(file)
      // the first page stays: it says whose file this is
      writeFileSync(file, bytes.fill(0xff, 4096))
      yield* refuses(["--db-url", `sqlite:${file}`], /kagzi\.db is damaged/)
    })
  )

  it.live("does not start on a file of a later version", () =>
    Effect.gen(function* () {
      const file = join(yield* folder, "kagzi.db")
      const server = yield* start(["server", "--port", "0", "--db-url", `sqlite:${file}`])
      yield* ready(server)
      yield* server.signal("SIGTERM")
      yield* server.ended
      const database = new DatabaseSync(file)
      database.exec("PRAGMA user_version = 9999")
      database.close()
      yield* refuses(["--db-url", `sqlite:${file}`], /kagzi\.db was written by a newer kagzi/)
    })
  )

  it.live("does not start without a database url that it knows", () =>
    refuses(["--db-url", "mysql://me:secret@db/kagzi"], /^(?!.*secret).*sqlite:PATH/)
  )

  it.live("does not start with a variable that makes no sense", () =>
    Effect.gen(function* () {
      yield* refuses([], /KAGZI_WORKER_LEASE_SECS/, { KAGZI_WORKER_LEASE_SECS: "soon" })
      yield* refuses([], /KAGZI_LOG_FORMAT must be one of pretty, json, logfmt/, { KAGZI_LOG_FORMAT: "xml" })
    })
  )
})

describe("a server for development", () => {
  it.live("keeps its database in .kagzi and logs for people", () =>
    Effect.gen(function* () {
      const place = yield* folder
      const server = yield* start(["dev", "--port", "0"], { folder: place, environment: { KAGZI_DB_URL: "elsewhere" } })
      assert.isTrue(yield* listens(yield* ready(server)))
      assert.isTrue(existsSync(join(place, ".kagzi", "kagzi.db")))
      yield* server.signal("SIGINT")
      assert.strictEqual(yield* server.ended, 0)
      assert.match(server.complaints(), /\] INFO /)
    })
  )
})
