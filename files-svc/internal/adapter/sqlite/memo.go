package sqlite

// Rows that nearly every write asks for are read once a commit: owners and epochs. A memo lives as long as the commit that
// writes share, during which nobody else can change them; see sqlite.Tx.Memo. What changes such a row forgets it first.

// remembered is the row under a key, read unless the commit knows it. Keys have a type of their own for each table.
func remembered[K comparable, T any](t tx, key K, read func() (T, error)) (T, error) {
	if row, ok := t.Memo()[key].(T); ok {
		return row, nil
	}
	row, err := read()
	if err == nil {
		remember(t, key, row)
	}
	return row, err
}

func remember[K comparable, T any](t tx, key K, row T) {
	if memo := t.Memo(); memo != nil { // a snapshot has none
		memo[key] = row
	}
}

func forget[K comparable](t tx, key K) { delete(t.Memo(), key) }
