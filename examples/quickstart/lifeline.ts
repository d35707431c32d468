/**
 * Loaded into the server and the workers before their own program: each ends when the process that started it is gone,
 * even if that was killed and could not say goodbye. Its end closes their standard input.
 */
process.stdin.on("close", () => process.exit(1))
process.stdin.resume()
process.stdin.unref()
