package identity

import (
	"context"
	"time"
)

// Places is where replicas share which guesses are under way, so that all of them together evaluate no more at once than
// one would. A guess has a place on each key it counts against, from before its hash until its failure is in the store.
type Places interface {
	// TakePlaces takes a place on every key, for a minute at most, or on none. It takes none where a counter is no longer as
	// it was seen, or where as many guesses as there is room for are under way; then it returns one such key.
	TakePlaces(ctx context.Context, guess string, wanted []Place) (full *[32]byte, err error)
	// LeavePlaces gives a guess's places up.
	LeavePlaces(ctx context.Context, guess string, keys [][32]byte) error
}

// Place is what a guess wants on one key.
type Place struct {
	Seen Counter // the failures it was judged by
	Room int     // guesses that may be under way at once, this one included
}

// placesLook is about how long to wait for a place that other replicas hold before looking again.
const placesLook = 100 * time.Millisecond

// takePlaces returns the limit on which there was none. Without other replicas there always is: memory has said so.
func (g *guess) takePlaces(ctx context.Context) (full *limit, err error) {
	if g.s.opts.Places == nil {
		return nil, nil
	}
	var wanted []Place
	for _, l := range g.judged {
		if l.most > 0 {
			wanted = append(wanted, Place{Seen: l.seen, Room: l.room})
		}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	id := g.s.opts.NewID()
	key, err := g.s.opts.Places.TakePlaces(ctx, id, wanted)
	switch {
	case err != nil:
		return nil, err
	case key == nil:
		g.places = id
		return nil, nil
	}
	for i := range g.judged {
		if g.judged[i].key == *key {
			full = &g.judged[i]
		}
	}
	return full, nil
}

// leavePlaces can fail: then others wait for the guess until its places are forgotten.
func (g *guess) leavePlaces(ctx context.Context) {
	if g.places == "" {
		return
	}
	var keys [][32]byte
	for _, l := range g.judged {
		if l.most > 0 {
			keys = append(keys, l.key)
		}
	}
	if err := g.s.opts.Places.LeavePlaces(ctx, g.places, keys); err != nil {
		g.s.opts.Log.WarnContext(ctx, "places of a guess not given up, others may wait for it for a minute", "error", err.Error())
	}
	g.places = ""
}
