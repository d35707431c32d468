// Prints the last line of .ci/run from vitest's JSON report: `12 passed, 0 failed`. Runs on the machine's own Node,
// because the install may be what failed.
import { readFileSync } from "node:fs"

const [report, status] = process.argv.slice(2)
const text = readFileSync(report, "utf8")

if (text === "") {
  console.log("no test was run")
} else {
  const { numFailedTests, numPassedTests, numPendingTests, testResults } = JSON.parse(text)
  // a file that fails to load has no test to count
  const unloaded = testResults.filter((file) => file.status === "failed" && file.assertionResults.length === 0).length
  const failed = numFailedTests + unloaded
  if (failed === 0 && status !== "0") console.log("failed outside the tests, see above")
  const skipped = numPendingTests === 0 ? "" : `, ${numPendingTests} skipped`
  console.log(`${numPassedTests} passed, ${failed} failed${skipped}`)
}
