package identity

import "time"

// Policy is the live SessionPolicy. Zero values mean the defaults of withDefaults; values past a cap are cut to it.
type Policy struct {
	Algorithm    string        // of new access tokens; default EdDSA
	AccessTTL    time.Duration // default 15 min, at most 7 days
	RefreshTTL   time.Duration // life of one refresh token; default 30 days
	ReuseWindow  time.Duration // a spent token gives its successor again for so long; at most 60 s, 0 is strict
	IdleLife     time.Duration // a session not refreshed for so long ends; 0 for RefreshTTL
	AbsoluteLife time.Duration // a session ends this long after the sign-in; 0 for never
	MaxSessions  int           // of one person; 0 for the hard cap of 1000
	RefuseAtCap  bool          // refuse the sign-in over the cap instead of ending the oldest session
	APIKeyTTL    time.Duration // life of a token exchanged for an API key; default 5 min, at most 1 hour
	MinPassword  int           // bytes; default 8
	MaxPassword  int           // bytes; default and at most 1024
}
