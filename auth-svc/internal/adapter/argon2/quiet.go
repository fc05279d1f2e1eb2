package argon2

import (
	"context"
	"time"
)

// quiet is how long no hash may have run before memory is given back: long enough that a service under load never does
// it, since the next hash would have to fetch its pages again.
const quiet = 5 * time.Second

// Run gives the memory of hashes back to the machine when they have ceased, until ctx ends; then it ends the helpers. Each hash leaves 19 MiB
// of garbage, which the collector, having no reason to hurry in an idle process, would keep for minutes.
func (h *Hasher) Run(ctx context.Context) error {
	if h.helpers != nil {
		defer h.helpers.close()
	}
	tick := time.NewTicker(quiet)
	defer tick.Stop()
	var seen, freed int64 = 0, -1 // -1: the first time also gives back what starting took
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		began := h.began.Load()
		if began == seen && began != freed && h.gate.Idle() {
			h.free()
			freed = began
		}
		seen = began
	}
}
