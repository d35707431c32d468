import { defineConfig } from "vitest/config"

/** Where CI wants a machine-readable report besides the usual output. */
const report = process.env.KAGZI_TEST_REPORT

export default defineConfig({
  test: {
    globalSetup: ["test/support/compiledCode.ts", "test/support/postgresSetup.ts"],
    // Most files wait for processes of theirs more than they compute.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    reporters: report === undefined ? ["default"] : ["default", ["json", { outputFile: report }]],
    projects: [
      {
        extends: true,
        test: {
          name: "main",
          include: ["test/**/*.test.ts"],
          provide: { store: "sqlite" },
          // `npm run check` judges the sources; here only what a type test itself says counts.
          typecheck: { enabled: true, include: ["test/types/**/*.test-d.ts"], ignoreSourceErrors: true }
        }
      },
      {
        extends: true,
        test: {
          // what holds on either store, once more
          name: "on PostgreSQL",
          include: [
            "test/engine/**/*.test.ts",
            "test/faults/{crash,staleWorker}.test.ts",
            "test/semantics/**/*.test.ts",
            "test/server/**/*.test.ts"
          ],
          exclude: [
            // know no store, or name their own
            "test/engine/{lanes,manyServers,waiters}.test.ts",
            "test/engine/lifecycle/{cron,retry}.test.ts",
            "test/server/{KagziServer,listener,postgres,sessionEncode,trace,version}.test.ts"
          ],
          provide: { store: "postgres" }
        }
      }
    ]
  }
})
