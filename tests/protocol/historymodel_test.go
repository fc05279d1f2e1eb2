package protocol

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// The reference that a history is held against: protocols.md §1 and §2 for one person, in a page.
//
//   - A live refresh token rotates, to one successor. The spent one brings that same successor again while the window
//     since the rotation is open; the window doesn't slide, and is closed once the successor is spent itself.
//   - Any other genuine token ends the session.
//   - Logout ends one session, a password change all but the one that asked, a block all. An ended session never
//     refreshes and is never let in again; a blocked person and a wrong password never open one.
//
// A call whose answer was lost may have happened or not: the model then goes on from both states. The clock is the
// server's, of which the client knows only that it acted between call and return; where that leaves open whether the
// window was, both verdicts are legal.

type action string

const (
	opLogin    action = "login"
	opRefresh  action = "refresh"
	opCheck    action = "check"
	opLogout   action = "logout"
	opPassword action = "password"
	opBlock    action = "block"
	opUnblock  action = "unblock"
)

// call is what was asked, and when: nanoseconds since the test began. The end of a lost call is that of the process it
// was sent to.
type call struct {
	person, action      string
	session             string // whose token it is
	token               string // the refresh token that was presented
	password, password2 string // given; the new one
	began, ended        int64
}

// result is what came back. A lost one has only that.
type result struct {
	lost    bool
	ok      bool
	session string // that was opened
	token   string // the refresh token that came
	code    string // of a refusal
}

// liveSession is a session in the model. An ended one is not there.
type liveSession struct {
	id             string
	live, previous string // refresh tokens; live is unknown while nobody has been told it
	from, to       int64  // when the rotation was, at the earliest and at the latest
}

const unknown = "?"

type personState struct {
	password string
	blocked  bool
	sessions []liveSession
}

// slack is what clocks may disagree about: the server's is the wall clock, in microseconds.
const slack = 5 * time.Millisecond

// reference makes the model. Everybody begins with the password and without a session.
func reference(window time.Duration, password string) porcupine.Model {
	m := porcupine.NondeterministicModel{
		Partition: byPerson,
		Init:      func() []any { return []any{personState{password: password}} },
		Step: func(state, input, output any) []any {
			var next []any
			for _, s := range step(window, state.(personState), input.(call), output.(result)) {
				next = append(next, s)
			}
			return next
		},
		Equal: func(a, b any) bool {
			x, y := a.(personState), b.(personState)
			return x.password == y.password && x.blocked == y.blocked && slices.Equal(x.sessions, y.sessions)
		},
		DescribeOperation: func(input, output any) string { return describe(input.(call), output.(result)) },
		DescribeState:     func(state any) string { return fmt.Sprintf("%+v", state) },
	}
	return m.ToModel()
}

func byPerson(history []porcupine.Operation) (parts [][]porcupine.Operation) {
	at := map[string]int{}
	for _, op := range history {
		person := op.Input.(call).person
		if _, ok := at[person]; !ok {
			at[person] = len(parts)
			parts = append(parts, nil)
		}
		parts[at[person]] = append(parts[at[person]], op)
	}
	return parts
}

// step returns every state that may follow; none says that this can't have happened.
func step(window time.Duration, s personState, in call, out result) []personState {
	var after []personState // what the call leaves when it is done
	var told bool           // whether success is what the model expects of it
	switch action(in.action) {
	case opLogin:
		after, told = s.login(in, out)
	case opRefresh:
		return s.refresh(window, in, out)
	case opCheck:
		after, told = []personState{s}, s.find(in.session) >= 0
	case opLogout:
		after, told = []personState{s.without(in.session)}, s.find(in.session) >= 0
	case opPassword:
		after, told = s.changePassword(in)
	case opBlock:
		after, told = []personState{{password: s.password, blocked: true}}, true
	case opUnblock:
		after, told = []personState{{password: s.password, sessions: s.sessions}}, true
	}
	switch {
	case out.lost && told:
		return append(after, s)
	case out.lost, !out.ok && (!told || out.code == "TOKEN_STALE"):
		return []personState{s} // a stale token says nothing about its session
	case out.ok && told:
		return after
	default:
		return nil
	}
}

// login opens a session; one that nobody was told of does nothing, and is left out.
func (s personState) login(in call, out result) ([]personState, bool) {
	told := !s.blocked && in.password == s.password
	if out.lost {
		return nil, told
	}
	return []personState{s.with(liveSession{id: out.session, live: out.token})}, told
}

func (s personState) changePassword(in call) ([]personState, bool) {
	i := s.find(in.session)
	if i < 0 || in.password != s.password {
		return nil, false
	}
	return []personState{{password: in.password2, blocked: s.blocked, sessions: s.sessions[i : i+1 : i+1]}}, true
}

func (s personState) refresh(window time.Duration, in call, out result) (next []personState) {
	i := s.find(in.session)
	if i < 0 {
		return only(s, !out.ok)
	}
	sess := s.sessions[i]
	earliest, latest := max(0, in.began-sess.to), in.ended-sess.from
	rotates := in.token == sess.live
	repeats := in.token == sess.previous && earliest < int64(window+slack)
	reuse := !rotates && (in.token != sess.previous || latest >= int64(window-slack))
	if out.lost { // the answer is: nothing happened, or one of these
		next = append(next, s)
	}
	if rotates && (out.ok && out.token != in.token || out.lost) {
		sess := liveSession{id: sess.id, live: unknown, previous: in.token, from: in.began, to: in.ended}
		if out.ok {
			sess.live = out.token
		}
		next = append(next, s.with(sess))
	}
	if repeats && out.ok && (sess.live == out.token || sess.live == unknown) {
		sess.live = out.token
		next = append(next, s.with(sess))
	}
	if reuse && !out.ok {
		next = append(next, s.without(sess.id))
	}
	return next
}

func only(s personState, legal bool) []personState {
	if !legal {
		return nil
	}
	return []personState{s}
}

func (s personState) find(session string) int {
	return slices.IndexFunc(s.sessions, func(l liveSession) bool { return l.id == session })
}

func (s personState) without(session string) personState {
	i := s.find(session)
	if i >= 0 {
		s.sessions = slices.Delete(slices.Clone(s.sessions), i, i+1)
	}
	return s
}

// with adds or replaces a session, in the order of ids, so that equal states look equal.
func (s personState) with(l liveSession) personState {
	s = s.without(l.id)
	i, _ := slices.BinarySearchFunc(s.sessions, l.id, func(l liveSession, id string) int {
		switch {
		case l.id < id:
			return -1
		case l.id > id:
			return 1
		}
		return 0
	})
	s.sessions = slices.Insert(slices.Clone(s.sessions), i, l)
	return s
}

func describe(in call, out result) string {
	what := fmt.Sprintf("%s session %s token %s", in.action, short(in.session), short(in.token))
	switch {
	case out.lost:
		return what + " -> lost"
	case out.ok:
		return what + fmt.Sprintf(" -> session %s token %s", short(out.session), short(out.token))
	default:
		return what + " -> " + out.code
	}
}

// short is the end of a token or an id, which is what differs.
func short(s string) string { return s[max(0, len(s)-6):] }

// TestHistory_ModelRefuses shows that the reference can refuse: each history breaks one promise and is otherwise fine.
func TestHistory_ModelRefuses(t *testing.T) {
	const ms = int64(time.Millisecond)
	login := event{call{action: string(opLogin), password: "p"}, result{ok: true, session: "s", token: "1"}}
	refresh := func(token, came string) event {
		return event{call{action: string(opRefresh), session: "s", token: token}, result{ok: came != "", token: came, code: "INVALID_REFRESH_TOKEN"}}
	}
	check := event{call{action: string(opCheck), session: "s"}, result{ok: true}}
	done := func(a action) event { return event{call{action: string(a), session: "s"}, result{ok: true}} }
	late := func(e event, at int64) event { e.in.began = at * ms; return e }
	lost := func(e event) event { e.out = result{lost: true}; return e }
	changed := event{call{action: string(opPassword), session: "s", password: "p", password2: "q"}, result{ok: true}}
	other := event{call{action: string(opLogin), password: "p"}, result{ok: true, session: "t", token: "t1"}}
	ofOther := event{call{action: string(opRefresh), session: "t", token: "t1"}, result{ok: true, token: "t2"}}
	for name, tc := range map[string]struct {
		events []event
		legal  bool
	}{
		"a retry brings the same":          {[]event{login, refresh("1", "2"), refresh("1", "2"), check}, true},
		"two successors":                   {[]event{login, refresh("1", "2"), refresh("1", "3")}, false},
		"a live token refused":             {[]event{login, refresh("1", "")}, false},
		"a retry in the window refused":    {[]event{login, refresh("1", "2"), refresh("1", "")}, false},
		"a retry after the window":         {[]event{login, refresh("1", "2"), late(refresh("1", "2"), 2000)}, false},
		"a window that slid":               {[]event{login, refresh("1", "2"), late(refresh("1", "2"), 600), late(refresh("1", "2"), 1200)}, false},
		"theft ends it":                    {[]event{login, refresh("1", "2"), late(refresh("1", ""), 2000), refresh("2", "")}, true},
		"the live one after a theft":       {[]event{login, refresh("1", "2"), late(refresh("1", ""), 2000), refresh("2", "3")}, false},
		"a spent one though it moved on":   {[]event{login, refresh("1", "2"), refresh("2", "3"), refresh("1", "2")}, false},
		"a lost rotation, then its answer": {[]event{login, lost(refresh("1", "2")), refresh("1", "2"), refresh("2", "3")}, true},
		"a lost rotation that burns":       {[]event{login, lost(refresh("1", "2")), refresh("1", "")}, false},
		"refresh after logout":             {[]event{login, done(opLogout), refresh("1", "2")}, false},
		"access after logout":              {[]event{login, done(opLogout), check}, false},
		"a lost logout may be either":      {[]event{login, lost(done(opLogout)), refresh("1", "")}, true},
		"refresh after block":              {[]event{login, done(opBlock), refresh("1", "2")}, false},
		"refresh after unblock":            {[]event{login, done(opBlock), done(opUnblock), refresh("1", "2")}, false},
		"login while blocked":              {[]event{login, done(opBlock), other}, false},
		"others after a password change":   {[]event{login, other, changed, ofOther}, false},
		"own after a password change":      {[]event{login, other, changed, refresh("1", "2")}, true},
		"the old password after a change":  {[]event{login, changed, other}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if legal := porcupine.CheckOperations(reference(time.Second, "p"), inARow(tc.events)); legal != tc.legal {
				t.Errorf("legal is %v, want %v", legal, tc.legal)
			}
		})
	}
}

type event struct {
	in  call
	out result
}

// inARow makes a history in which each call begins when the one before has ended, a millisecond each.
func inARow(events []event) (history []porcupine.Operation) {
	now := int64(0)
	for i, e := range events {
		now = max(now, e.in.began)
		e.in.began, e.in.ended = now, now+int64(time.Millisecond)
		now = e.in.ended + 1
		history = append(history, porcupine.Operation{ClientId: i, Input: e.in, Call: e.in.began, Output: e.out, Return: e.in.ended})
	}
	return history
}
