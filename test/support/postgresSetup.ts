/**
 * The PostgreSQL that tests share: one for each run of vitest, started when the first test asks for it, so that runs
 * without such tests don't wait. `KAGZI_TEST_POSTGRES_URL` names another one to use, `postgres://USER:PASSWORD@HOST`,
 * whose user may make databases.
 */
import { once } from "node:events"
import { createServer, type Server } from "node:net"
import type { TestProject } from "vitest/node"
import * as PgConnection from "@effect/sql-pg/PgConnection"
import { Effect, Layer, Redacted } from "effect"
import * as PostgresStore from "../../src/store/postgres/PostgresStore.ts"
import { startEmbedded } from "./embeddedPostgres.ts"

declare module "vitest" {
  export interface ProvidedContext {
    /** Where the url of the database that others are copied from is told to those who connect. */
    readonly postgresPort: number
    /** What stores tests run on that run on either. */
    readonly store: "sqlite" | "postgres"
  }
}

/** A server with a database that others are copied from. */
interface Served {
  readonly url: string
  readonly remove: () => Promise<void>
}

const run = (url: string, statement: string) =>
  Effect.runPromise(
    Effect.scoped(
      Effect.flatMap(PgConnection.make({ url: Redacted.make(`${url}/postgres`) }), (session) =>
        session.query(statement, [], false)
      )
    )
  )

const serve = async (given: string | undefined): Promise<Served> => {
  const server = given === undefined ? await startEmbedded() : undefined
  const url = given ?? server!.url
  const template = `kagzi_test_template_${crypto.randomUUID().slice(0, 8)}`
  await run(url, `CREATE DATABASE ${template}`)
  const store = PostgresStore.layer(`${url}/${template}`, { poolSize: 3 })
  await Effect.runPromise(Effect.scoped(Layer.build(store)))
  return {
    url: `${url}/${template}`,
    remove: async () => {
      if (server === undefined) await run(url, `DROP DATABASE ${template} WITH (FORCE)`)
      else await server.remove()
    }
  }
}

/** What the projects of a run share. */
interface Shared {
  projects: number
  readonly door: Server
  readonly served: () => Promise<Served> | undefined
}

// each project loads this file anew
const shared = globalThis as { kagziPostgres?: Shared | undefined }

const open = (): Shared => {
  let served: Promise<Served> | undefined
  const door = createServer((socket) => {
    socket.on("error", () => {})
    served ??= serve(process.env.KAGZI_TEST_POSTGRES_URL)
    served.then(
      ({ url }) => socket.end(url),
      (cause) => socket.end(`failed: ${cause}`)
    )
  }).listen(0, "127.0.0.1")
  return { projects: 0, door, served: () => served }
}

export default async (project: TestProject) => {
  shared.kagziPostgres ??= open()
  const { door, served } = shared.kagziPostgres
  shared.kagziPostgres.projects++
  if (!door.listening) await once(door, "listening")
  const address = door.address()
  project.provide("postgresPort", typeof address === "object" && address !== null ? address.port : 0)
  return async () => {
    if (shared.kagziPostgres === undefined || --shared.kagziPostgres.projects > 0) return
    shared.kagziPostgres = undefined
    door.close()
    await (await served())?.remove()
  }
}
