package identity

import "time"

// Policy is the live SessionPolicy. Zero values mean the defaults; values past a cap are cut to it.
type Policy struct {
	Algorithm    string        // of new access tokens; default EdDSA
	AccessTTL    time.Duration // default 15 min, at most 7 days
	RefreshTTL   time.Duration // life of one refresh token; default 30 days
	ReuseWindow  time.Duration // a spent token gives its successor again for so long; at most 60 s, 0 is strict
	IdleLife     time.Duration // a session not refreshed for so long ends; 0 for RefreshTTL
	AbsoluteLife time.Duration // a session ends this long after the sign-in; 0 for never
	MaxSessions  int           // of one person; 0 for, and at most, 1000
	RefuseAtCap  bool          // refuse the sign-in over the cap instead of ending the oldest session
	APIKeyTTL    time.Duration // life of a token exchanged for an API key; default 5 min, at most 1 hour
	TellOfMoves  bool          // a refresh from another network address is told to the person
	MinPassword  int           // characters; default 8
	MaxPassword  int           // characters; default and at most 1024
	Require      Classes       // what a new password must hold; default nothing in particular

	MaxFailures           int           // wrong passwords for one account within FailureWindow; default 10
	MaxFailuresPerAddress int           // from one address; default 100
	FailureWindow         time.Duration // default 15 min, at most a day
	LockDuration          time.Duration // how long no more guesses are looked at; default 15 min, at most a day
}

// The caps. maxAccessTTL bounds how long a retired key stays published.
const (
	maxAccessTTL   = 7 * 24 * time.Hour
	maxReuseWindow = time.Minute
	maxAPIKeyTTL   = time.Hour
	maxSessions    = 1000
	maxPassword    = 1024

	maxFailureWindow = 24 * time.Hour
)

func (p Policy) withDefaults() Policy {
	if p.Algorithm == "" {
		p.Algorithm = "EdDSA"
	}
	p.AccessTTL = min(orDefault(p.AccessTTL, 15*time.Minute), maxAccessTTL)
	p.RefreshTTL = orDefault(p.RefreshTTL, 30*24*time.Hour)
	p.ReuseWindow = min(max(p.ReuseWindow, 0), maxReuseWindow)
	p.IdleLife = orDefault(p.IdleLife, p.RefreshTTL)
	p.MaxSessions = min(orDefault(p.MaxSessions, maxSessions), maxSessions)
	p.APIKeyTTL = min(orDefault(p.APIKeyTTL, 5*time.Minute), maxAPIKeyTTL)
	p.MaxPassword = min(orDefault(p.MaxPassword, maxPassword), maxPassword)
	p.MaxFailures = orDefault(p.MaxFailures, 10)
	p.MaxFailuresPerAddress = orDefault(p.MaxFailuresPerAddress, 100)
	p.FailureWindow = min(orDefault(p.FailureWindow, 15*time.Minute), maxFailureWindow)
	p.LockDuration = min(orDefault(p.LockDuration, 15*time.Minute), maxFailureWindow)
	p.MinPassword = min(orDefault(p.MinPassword, 8), p.MaxPassword)
	return p
}

func orDefault[T int | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// refreshUntil is when a refresh token made now for a session that began at created dies unused.
func (p Policy) refreshUntil(created, now time.Time) time.Time {
	until := now.Add(min(p.RefreshTTL, p.IdleLife))
	if p.AbsoluteLife > 0 {
		until = earlier(until, created.Add(p.AbsoluteLife))
	}
	return until
}

// expired says whether the session has ended by itself: by what was promised when its token was made, or by the policy
// of today, whichever is stricter.
func (p Policy) expired(s Session, now time.Time) bool {
	active := later(s.CreatedAt, s.RefreshedAt)
	return !now.Before(earlier(s.RefreshUntil, p.refreshUntil(s.CreatedAt, active)))
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
