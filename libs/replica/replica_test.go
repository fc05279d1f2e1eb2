package replica_test

import (
	"sync"
	"testing"

	"cloakroom.dev/libs/replica"
)

func TestSet_GoesRoundAndOneFailureMovesItOnce(t *testing.T) {
	s := replica.New("http://a", "http://b", "http://a", "http://c")
	if s.Len() != 3 {
		t.Fatalf("%d addresses", s.Len())
	}
	seen := map[string]bool{}
	for range 3 {
		failed := s.Current()
		seen[failed] = true
		var all sync.WaitGroup
		for range 10 { // all of whom saw it fail
			all.Go(func() { s.Leave(failed) })
		}
		all.Wait()
	}
	if len(seen) != 3 || !seen["http://a"] {
		t.Errorf("been at %v", seen)
	}
}

func TestSet_ManyClientsSpread(t *testing.T) {
	begun := map[string]int{}
	for range 300 {
		begun[replica.New("http://a", "http://b", "http://c").Current()]++
	}
	if len(begun) != 3 {
		t.Errorf("all began at %v", begun)
	}
}
