/**
 * The PostgreSQL that tests share: one for each run of vitest, started when the first test asks for it, so that runs
 * without such tests don't wait. `KAGZI_TEST_POSTGRES_URL` names another one to use, `postgres://USER:PASSWORD@HOST`,
 * whose user may make databases.
 */
import { once } from "node:events"
import { createServer } from "node:net"
import type { TestProject } from "vitest/node"
import { type EmbeddedServer, startEmbedded } from "./embeddedPostgres.ts"

declare module "vitest" {
  export interface ProvidedContext {
    /** Where the url of the server is told to those who connect. */
    readonly postgresPort: number
  }
}

export default async (project: TestProject) => {
  const given = process.env.KAGZI_TEST_POSTGRES_URL
  let server: Promise<EmbeddedServer> | undefined
  const urlOf = async () => {
    if (given !== undefined) return given
    server ??= startEmbedded()
    return (await server).url
  }
  const door = createServer((socket) => {
    socket.on("error", () => {})
    urlOf().then(
      (url) => socket.end(url),
      (cause) => socket.end(`failed: ${cause}`)
    )
  }).listen(0, "127.0.0.1")
  await once(door, "listening")
  const address = door.address()
  project.provide("postgresPort", typeof address === "object" && address !== null ? address.port : 0)
  return async () => {
    door.close()
    await (await server)?.remove()
  }
}
