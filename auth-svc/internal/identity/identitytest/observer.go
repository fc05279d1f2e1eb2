package identitytest

import (
	"sync"

	"cloakroom.dev/auth-svc/internal/identity"
)

// Observer is an identity.Observer that remembers what it was told. The zero value works.
type Observer struct {
	mu     sync.Mutex
	counts map[string]int
}

var _ identity.Observer = (*Observer)(nil)

// Heard is how often something was told, such as "login ok", or the last number of it, such as "followers".
func (o *Observer) Heard(what string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.counts[what]
}

func (o *Observer) change(what string, to func(n int) int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.counts == nil {
		o.counts = map[string]int{}
	}
	o.counts[what] = to(o.counts[what])
}

func (o *Observer) add(what string, more int) { o.change(what, func(n int) int { return n + more }) }
func (o *Observer) set(what string, n int)    { o.change(what, func(int) int { return n }) }

// Login implements identity.Observer.
func (o *Observer) Login(outcome string) { o.add("login "+outcome, 1) }

// GuessRefused implements identity.Observer.
func (o *Observer) GuessRefused(reason string) { o.add("guess "+reason, 1) }

// Refresh implements identity.Observer.
func (o *Observer) Refresh(outcome string) { o.add("refresh "+outcome, 1) }

// Followers implements identity.Observer.
func (o *Observer) Followers(n int) { o.set("followers", n) }

// FollowerRefused implements identity.Observer.
func (o *Observer) FollowerRefused() { o.add("followers refused", 1) }

// Mail implements identity.Observer.
func (o *Observer) Mail(outcome string) { o.add("mail "+outcome, 1) }

// MailsWaiting implements identity.Observer.
func (o *Observer) MailsWaiting(n int) { o.set("mails waiting", n) }

// SignIn implements identity.Observer.
func (o *Observer) SignIn(_, outcome string) { o.add("sign-in "+outcome, 1) }

// OpenSignIns implements identity.Observer.
func (o *Observer) OpenSignIns(kind identity.HandoffKind, n int) { o.set("open "+string(kind), n) }

// Passkey implements identity.Observer.
func (o *Observer) Passkey(outcome string) { o.add("passkey "+outcome, 1) }

// Swept implements identity.Observer.
func (o *Observer) Swept(what string, n int) { o.add("swept "+what, n) }
