// Package replica is how a client holds on to one of several equal addresses of a service, and moves on when that one
// fails.
//
//	at := set.Current()
//	answer, err := ask(at)
//	if err != nil { set.Leave(at) } // the next Current is another address
//
// Promises: all callers of a Set are at the same address, so that what one has learnt helps the others; of many who notice
// one failure only the first moves the Set. Where a Set begins is left to chance, so that many clients spread.
package replica

import (
	"math/rand/v2"
	"slices"
	"sync"
)

// Set is the addresses of one service. It is safe for use by many goroutines.
type Set struct {
	urls []string

	mu      sync.Mutex
	current int
}

// New makes a Set of URLs, at least one. What comes twice counts once.
func New(urls ...string) *Set {
	s := &Set{}
	for _, u := range urls {
		if !slices.Contains(s.urls, u) {
			s.urls = append(s.urls, u)
		}
	}
	s.current = rand.IntN(len(s.urls)) //nolint:gosec // no secret: whoever guesses it has won nothing
	return s
}

// Len is how many addresses there are.
func (s *Set) Len() int { return len(s.urls) }

// Current is the address to use.
func (s *Set) Current() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.urls[s.current]
}

// Leave says that url has failed. If it is the current one, the one after it takes its place.
func (s *Set) Leave(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.urls[s.current] == url {
		s.current = (s.current + 1) % len(s.urls)
	}
}
