/**
 * `npm run generate` writes the protobuf code into gen. With `--check` nothing is written: the code is generated
 * elsewhere and compared, the protos are linted, and a change that would break peers of the main branch is refused.
 */
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const root = join(import.meta.dirname, "..")

const run = (command: string, args: ReadonlyArray<string>) => {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: "inherit" })
  if (error !== undefined) throw error
  if (status !== 0) process.exit(status ?? 1)
}

const git = (...args: ReadonlyArray<string>) => {
  const { status, stdout } = spawnSync("git", args, {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"]
  })
  return status === 0 ? stdout.trim() : undefined
}

const filesOf = (folder: string) =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    : []

const checkGenerated = (scratch: string) => {
  run("buf", ["generate", "--output", scratch])
  const fresh = join(scratch, "gen")
  const committed = join(root, "gen")
  const read = (folder: string, file: string) =>
    existsSync(join(folder, file)) ? readFileSync(join(folder, file), "utf8") : undefined
  const stale = [...new Set([...filesOf(fresh), ...filesOf(committed)])]
    .filter((file) => read(fresh, file) !== read(committed, file))
    .sort()
  if (stale.length > 0) {
    console.error(`gen does not match proto; run: npm run generate\n${stale.map((file) => `  gen/${file}`).join("\n")}`)
    process.exit(1)
  }
}

/**
 * The commit whose protos peers may have been built from: the main branch's last one, or the one before it when that
 * is what is checked out, unchanged. None in a folder without git, or in a shallow clone of a single commit.
 */
const baseCommit = () => {
  const head = git("rev-parse", "HEAD")
  const main = git("rev-parse", "--verify", "origin/main") ?? git("rev-parse", "--verify", "main") ?? head
  const changed = git("status", "--porcelain", "--", "proto") !== ""
  if (main !== head) return main
  return changed ? head : git("rev-parse", "--verify", "HEAD^")
}

const checkBreaking = (scratch: string) => {
  const base = baseCommit()
  if (base === undefined || git("cat-file", "-e", `${base}:buf.yaml`) === undefined) {
    console.log("buf breaking: no earlier protos to compare with")
    return
  }
  const earlier = join(scratch, "earlier")
  const archive = join(scratch, "earlier.tar")
  mkdirSync(earlier)
  run("git", ["archive", "--output", archive, base, "buf.yaml", "proto"])
  run("tar", ["-xf", archive, "-C", earlier])
  run("buf", ["breaking", "--against", earlier])
  console.log(`buf breaking: compatible with ${base.slice(0, 12)}`)
}

if (process.argv.includes("--check")) {
  const scratch = mkdtempSync(join(tmpdir(), "kagzi-generate-"))
  process.on("exit", () => rmSync(scratch, { recursive: true, force: true }))
  run("buf", ["lint"])
  run("buf", ["format", "--diff", "--exit-code"])
  checkGenerated(scratch)
  checkBreaking(scratch)
} else {
  run("buf", ["generate"])
}
