package identity

// Breached knows passwords that guessers try first. It may take a word it does not know for one that it knows, rarely
// enough that nobody meets it.
type Breached interface {
	Contains(word string) bool
}
