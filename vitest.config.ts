import { defineConfig } from "vitest/config"

/** Where CI wants a machine-readable report besides the usual output. */
const report = process.env.KAGZI_TEST_REPORT

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // `npm run check` judges the sources; here only what a type test itself says counts.
    typecheck: { enabled: true, include: ["test/types/**/*.test-d.ts"], ignoreSourceErrors: true },
    reporters: report === undefined ? ["default"] : ["default", ["json", { outputFile: report }]]
  }
})
