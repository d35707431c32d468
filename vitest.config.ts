import { defineConfig } from "vitest/config"

/** Where CI wants a machine-readable report besides the usual output. */
const report = process.env.KAGZI_TEST_REPORT

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/postgresSetup.ts"],
    // Most files wait for processes of theirs more than they compute.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // `npm run check` judges the sources; here only what a type test itself says counts.
    typecheck: { enabled: true, include: ["test/types/**/*.test-d.ts"], ignoreSourceErrors: true },
    reporters: report === undefined ? ["default"] : ["default", ["json", { outputFile: report }]]
  }
})
