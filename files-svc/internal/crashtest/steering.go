package crashtest

import (
	"encoding/json"
	"net/http"
	"time"

	"cloakroom.dev/files-svc/internal/files"
)

// steering is how the parent steers its child, on the same socket.
type steering struct {
	core  *files.Service
	m     *machine
	clock *clock
}

// state is what the parent can ask for.
type state struct {
	Hit     bool // the armed point has been reached
	Waiting bool // a read is being held
	Resyncs int  // syncs of a descriptor after its sync had failed
}

func (s *steering) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /crashtest/arm", s.arm)
	mux.HandleFunc("POST /crashtest/clear", func(http.ResponseWriter, *http.Request) { s.m.clear() })
	mux.HandleFunc("POST /crashtest/hold", func(http.ResponseWriter, *http.Request) { s.m.hold() })
	mux.HandleFunc("POST /crashtest/release", func(http.ResponseWriter, *http.Request) { s.m.release() })
	mux.HandleFunc("POST /crashtest/clock", s.turn)
	mux.HandleFunc("POST /crashtest/reap", s.reap)
	mux.HandleFunc("POST /crashtest/scrub", s.scrub)
	mux.HandleFunc("GET /crashtest/state", func(w http.ResponseWriter, _ *http.Request) {
		tell(w, state{Hit: s.m.wasHit(), Waiting: s.m.waiting(), Resyncs: s.m.power.resyncs()})
	})
	return mux
}

func (s *steering) arm(w http.ResponseWriter, r *http.Request) {
	var t trigger
	if err := json.NewDecoder(r.Body).Decode(&t); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.m.arm(t)
}

func (s *steering) turn(w http.ResponseWriter, r *http.Request) {
	by, err := time.ParseDuration(r.FormValue("by"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.clock.turn(by)
}

// reap makes a pass. A pass that fails is no failure of the matrix: the next one has to make up for it.
func (s *steering) reap(w http.ResponseWriter, r *http.Request) {
	if err := s.core.Reap(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}

func (s *steering) scrub(w http.ResponseWriter, r *http.Request) {
	report, err := s.core.Scrub(r.Context(), files.ScrubPass{})
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	tell(w, report)
}

func tell(w http.ResponseWriter, body any) {
	_ = json.NewEncoder(w).Encode(body) // the parent sees when it is not whole
}
