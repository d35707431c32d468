/**
 * `npm run test:pack`: packs the package, installs the tarball into an empty project beside its peers, compiles
 * test/pack/consumer.ts there with nothing skipped, and runs it against a server started by the command of the package.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"

const root = join(import.meta.dirname, "..")
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
const consumer = join(root, "test/pack/consumer.ts")

const scratch = mkdtempSync(join(tmpdir(), "kagzi-pack-"))
const project = join(scratch, "project")
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }))

const step = (text: string) => console.log(`pack: ${text}`)

const fail = (reason: string): never => {
  throw new Error(reason)
}

const run = (command: string, args: ReadonlyArray<string>, cwd: string, env: NodeJS.ProcessEnv = {}): string => {
  const result = spawnSync(command, args, {
    cwd,
    env: { ...process.env, ...env },
    encoding: "utf8",
    timeout: 180_000,
    killSignal: "SIGKILL"
  })
  if (result.error !== undefined) throw result.error
  if (result.status !== 0) {
    fail(`${command} ${args.join(" ")} ended with ${result.status ?? result.signal}\n${result.stdout}${result.stderr}`)
  }
  return result.stdout
}

/** Every subpath of `exports` is imported by the consumer, so that none can be broken unseen. */
const checkSubpaths = () => {
  const text = readFileSync(consumer, "utf8")
  const missing = Object.keys(manifest.exports)
    .filter((subpath) => subpath !== "./package.json")
    .map((subpath) => `from "kagzi${subpath.slice(1)}"`.replaceAll(/[.]/g, "\\.").replace("*", '[^"]+'))
    .filter((pattern) => !new RegExp(pattern).test(text))
  if (missing.length > 0) fail(`test/pack/consumer.ts does not import ${missing.join(", ")}`)
}

const install = () => {
  run("npm", ["pack", "--silent", "--pack-destination", scratch], root)
  const tarball = readdirSync(scratch).find((name) => name.endsWith(".tgz")) ?? fail("npm pack wrote no tarball")
  const peers = Object.keys(manifest.peerDependencies)
  const versions = [...peers, "@types/node"].map((name) => `${name}@${manifest.devDependencies[name]}`)
  mkdirSync(project)
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "consumer", private: true, type: "module" }))
  run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", join(scratch, tarball), ...versions], project)
}

const compile = () => {
  copyFileSync(consumer, join(project, "consumer.ts"))
  const compilerOptions = {
    target: "es2024",
    module: "nodenext",
    types: ["node"],
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false
  }
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["consumer.ts"] }))
  run(join(root, "node_modules/.bin/tsc"), ["--project", "."], project)
}

/**
 * Starts the server where there is nothing but the files of the package, because the command brings all it needs, and
 * answers once it says where it listens.
 */
const startServer = async (): Promise<{ readonly server: ChildProcess; readonly address: string }> => {
  const alone = join(scratch, "alone")
  cpSync(join(project, "node_modules", manifest.name), alone, { recursive: true })
  const args = [join(alone, manifest.bin.kagzi), "server", "--port", "0", "--db-url", "sqlite:./kagzi.db"]
  const server = spawn(process.execPath, args, { cwd: project, stdio: ["ignore", "pipe", "inherit"] })
  const deadline = setTimeout(() => server.kill("SIGKILL"), 30_000)
  for await (const line of createInterface({ input: server.stdout })) {
    const address = /^kagzi server listening on (http:\/\/\S+)$/.exec(line)?.[1]
    if (address !== undefined) {
      clearTimeout(deadline)
      server.stdout.resume()
      return { server, address }
    }
  }
  clearTimeout(deadline)
  return fail("kagzi server ended, or was ended after 30 s, without saying that it listens")
}

/** The database of a server may be PostgreSQL, which the command brings the client of, too. */
const expectPostgres = () => {
  const args = [
    join(scratch, "alone", manifest.bin.kagzi),
    "server",
    "--db-url",
    "postgres://nobody:secret@127.0.0.1:1/kagzi"
  ]
  const { status, stderr } = spawnSync(process.execPath, args, { cwd: project, encoding: "utf8", timeout: 30_000 })
  if (status !== 1 || !stderr.startsWith("kagzi: postgres://127.0.0.1:1/kagzi: connect ECONNREFUSED")) {
    fail(`kagzi server without a PostgreSQL to reach ended with ${status}: ${stderr}`)
  }
}

const expectOutput = (what: string, output: string, expected: ReadonlyArray<string>) => {
  const missing = expected.filter((text) => !output.includes(text))
  if (missing.length > 0) fail(`${what} did not print ${missing.map((text) => JSON.stringify(text))}:\n${output}`)
}

checkSubpaths()
step("packing and installing")
install()
step("compiling the consumer")
compile()
step("running it against a server")
expectOutput("kagzi --help", run("npx", ["--no-install", "kagzi", "--help"], project), ["server", "workflow"])
const { server, address } = await startServer()
expectPostgres()
const closed = once(server, "close")
try {
  const atServer = { KAGZI_SERVER_ADDRESS: address }
  expectOutput("kagzi health", run("npx", ["--no-install", "kagzi", "health"], project, atServer), ["healthy"])
  const output = run(process.execPath, ["consumer.js"], project, atServer)
  expectOutput("the consumer", output, ["Hello, packed world", "true function object 4 kagzi.v1.Workflow true"])
  server.kill("SIGTERM")
  let stuck = false
  const deadline = setTimeout(() => {
    stuck = true
    server.kill("SIGKILL")
  }, 20_000)
  await closed
  clearTimeout(deadline)
  if (stuck) fail("kagzi server did not end within 20 s of SIGTERM")
} finally {
  server.kill("SIGKILL")
}
step("passed")
