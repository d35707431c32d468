/** The pages that are written for users, and what can be checked of them. */
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"

export const root = join(import.meta.dirname, "../..")

export interface Page {
  /** From the root of the project. */
  readonly path: string
  readonly text: string
}

export const readPage = (path: string): Page => ({ path, text: readFileSync(join(root, path), "utf8") })

/** All pages of the guide. */
export const guide = (): ReadonlyArray<Page> =>
  readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".md"))
    .sort()
    .map((file) => readPage(join("docs", file)))

export interface Block {
  readonly file: string
  readonly code: string
}

/** The TypeScript blocks. The first line of each names its file, under which others of the page import it. */
export const blocksOf = ({ text }: Page): ReadonlyArray<Block> =>
  [...text.matchAll(/^```tsx?\n([\s\S]*?)^```$/gm)].map(([, code = ""]) => ({
    file: /^\/\/ (\S+\.ts)\n/.exec(code)?.[1] ?? "",
    code
  }))

/** What is wrong with the first lines of a page's blocks. */
export const misnamed = (page: Page): ReadonlyArray<string> => {
  const blocks = blocksOf(page)
  return blocks
    .filter(({ file }, index) => file === "" || blocks.findIndex((other) => other.file === file) !== index)
    .map(({ code }) => `${page.path}: ${code.split("\n", 1)[0]}`)
}

/** What the compiler says of the blocks, as strangers' programs with the settings of this project. */
export const compile = (pages: ReadonlyArray<Page>): string => {
  // In the checkout, where the package can be imported by its own name.
  mkdirSync(join(root, ".kagzi"), { recursive: true })
  const folder = mkdtempSync(join(root, ".kagzi", "docs-"))
  try {
    for (const page of pages) {
      const own = join(folder, page.path)
      mkdirSync(own, { recursive: true })
      for (const { code, file } of blocksOf(page)) writeFileSync(join(own, file), code)
    }
    const config = { extends: "../../tsconfig.json", include: ["**/*.ts"], exclude: [] }
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config))
    const { status, stdout } = spawnSync(join(root, "node_modules/.bin/tsc"), ["--noEmit", "-p", folder], {
      cwd: folder,
      encoding: "utf8"
    })
    if (status !== 0 && stdout === "") return `tsc ended with ${status}`
    // What is wrong in the sources is for `npm run check` to say.
    return stdout
      .split(/\n(?=\S)/)
      .filter((message) => !message.startsWith("../"))
      .join("\n")
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The anchors of a page's headings, as GitHub makes them. */
const anchorsOf = (text: string): ReadonlySet<string> =>
  new Set(
    [...text.replaceAll(/^```[\s\S]*?^```$/gm, "").matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
        .replaceAll(" ", "-")
    )
  )

/** The links of a page that lead to a file or a heading that is not there. */
export const brokenLinks = ({ path, text }: Page): ReadonlyArray<string> =>
  [...text.matchAll(/\]\((?!https?:)([^)]*)\)/g)]
    .map(([, link = ""]) => link)
    .filter((link) => {
      const [to = "", anchor] = link.split("#")
      const target = join(dirname(path), to)
      if (to !== "" && !existsSync(join(root, target))) return true
      return anchor !== undefined && !anchorsOf(to === "" ? text : readPage(target).text).has(anchor)
    })
    .map((link) => `${path}: ${link}`)

/** The environment variables that a text names. */
export const variablesOf = (text: string): ReadonlySet<string> => new Set(text.match(/\bKAGZI_[A-Z_]+\b/g))

/** The environment variables that the sources read. */
export const variablesOfSources = (): ReadonlySet<string> =>
  variablesOf(
    readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .map((file) => readFileSync(join(root, "src", file), "utf8"))
      .join("\n")
  )

/** The npm scripts that a text tells to run. */
export const scriptsOf = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/npm (?:run )?(start|test|[a-z]+:[a-z]+)\b/g)].map(([, name = ""]) => name)
