//go:build race

package picture

// underRace says that the race detector runs.
const underRace = true
