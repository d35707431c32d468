/** Ends by itself, with a code that tells of a failure. */
import { forTests } from "./embeddedPostgres.ts"

process.exitCode = forTests.length > 0 ? 3 : 0
