//go:build race

package hostile

// raced says that the race detector costs time and memory.
const raced = true
