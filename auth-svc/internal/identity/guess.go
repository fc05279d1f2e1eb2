package identity

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"strings"
	"time"

	"cloakroom.dev/libs/fault"
)

// limit is one count a guess is held against. A most of zero counts and never refuses.
type limit struct {
	key  [32]byte
	most int
	open int // guesses under way on the key at this replica, this one included
	seen Counter
	room int // guesses that may be under way at once, at all replicas, by what was seen
}

// guess is one look at a password, from admit to end.
type guess struct {
	s      *Service
	policy Policy
	shared []limit   // what it counts against from anywhere
	known  []limit   // what it counts against from a device that has come in before
	judged []limit   // which of the two it is
	at     time.Time // when it was judged
	missed bool      // it was evaluated and wrong
	places string    // what it holds its places under; empty for none
}

// newLogin is a guess at an account, named as someone typed it.
func (s *Service) newLogin(account string, client Client) *guess {
	p, account := s.policy(), rateKey(account)
	g := &guess{s: s, policy: p}
	g.shared = []limit{{key: s.counterKey("failed account", account), most: p.MaxFailures}}
	if client.Address.IsValid() {
		g.shared = append(g.shared, limit{key: s.addressKey("failed address", client), most: p.MaxFailuresPerAddress})
	}
	g.known = []limit{{key: s.deviceKey("failed device "+account, client), most: p.MaxFailures}}
	return g
}

// newConfirm is a guess at the password of somebody who is signed in. It has a count of its own: guesses at the
// door must not keep people from acting inside, nor the other way round. The address is told of it all the same.
func (s *Service) newConfirm(userID string, client Client) *guess {
	p := s.policy()
	g := &guess{s: s, policy: p, known: []limit{{key: s.counterKey("failed confirmation", userID), most: p.MaxFailures}}}
	if client.Address.IsValid() {
		g.known = append(g.known, limit{key: s.addressKey("failed address", client)})
	}
	return g
}

// admit reads what the guess is about and says whether it may be looked at: fault.RateLimited when not. While the guesses
// under way might still fill the count it waits for them: they may all be right; fault.Overloaded when that took too long. After nil the
// caller must end the guess.
func (g *guess) admit(ctx context.Context, read func(tx Tx) (known bool, err error)) error {
	deadline := time.NewTimer(guessWait)
	defer deadline.Stop()
	for {
		var full *limit
		g.begin()
		err := g.s.store.View(ctx, func(tx Tx) error {
			known, err := read(tx)
			if err != nil {
				return err
			}
			full, err = g.judge(ctx, tx, known)
			return err
		})
		if err == nil && full == nil {
			if full, err = g.takePlaces(ctx); err == nil && full == nil {
				return nil
			}
		}
		if err != nil {
			g.leave()
			if errors.Is(err, fault.Of(fault.RateLimited)) {
				g.s.opts.Observer.GuessRefused("locked")
			}
			return err
		}
		g.stepBack()
		if err := g.s.guard.wait(ctx, full.key, deadline.C); err != nil {
			reason := "waited_too_long"
			if errors.Is(err, fault.Of(fault.RateLimited)) {
				reason = "queue_full"
			}
			g.s.opts.Observer.GuessRefused(reason)
			return err
		}
	}
}

// begin must come before judge, so that a failure is seen either as under way or in the store.
func (g *guess) begin() {
	for _, limits := range [][]limit{g.shared, g.known} {
		for i := range limits {
			limits[i].open = g.s.guard.enter(limits[i].key)
		}
	}
}

func (g *guess) leave() {
	for _, limits := range [][]limit{g.shared, g.known} {
		for _, l := range limits {
			g.s.guard.leave(l.key)
		}
	}
}

func (g *guess) stepBack() {
	for _, limits := range [][]limit{g.shared, g.known} {
		for _, l := range limits {
			g.s.guard.stepBack(l.key)
		}
	}
}

// judge returns fault.RateLimited for what is locked, and the limit that the guesses under way may fill.
func (g *guess) judge(ctx context.Context, tx Tx, known bool) (full *limit, err error) {
	g.judged = g.shared
	if known {
		g.judged = g.known
	}
	g.at = tx.Now()
	g.s.guard.forget(g.at)
	for i, l := range g.judged {
		if l.most == 0 {
			continue
		}
		c, err := tx.Counter(ctx, l.key)
		if err != nil {
			return nil, err
		}
		if g.at.Before(c.LockedUntil) {
			return nil, tooManyGuesses(c.LockedUntil.Sub(g.at))
		}
		failures := c.current(g.at, g.policy.FailureWindow)
		if failures >= l.most { // the policy was milder when they were counted
			return nil, tooManyGuesses(c.Until.Sub(g.at))
		}
		if failures+g.s.guard.failed(l.key) >= l.most { // they won't leave before their window has passed: no use in waiting
			return nil, tooManyGuesses(time.Second)
		}
		g.judged[i].seen, g.judged[i].room = c, l.most-failures
		if full == nil && failures+l.open > l.most {
			full = &g.judged[i]
		}
	}
	return full, nil
}

func tooManyGuesses(after time.Duration) error {
	return fault.Retry(fault.RateLimited, "too many failed attempts; try again later", max(after, time.Second))
}

// current is what still counts. A lock that has passed has wiped the slate, and so has a clock that was set back.
func (c Counter) current(now time.Time, window time.Duration) int {
	if !c.LockedUntil.IsZero() || now.Sub(c.Since).Abs() >= window {
		return 0
	}
	return c.Count
}

// end writes the failure, if it was one, and only then gives the place up. It works when the request has been given
// up meanwhile.
func (g *guess) end(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	var err error
	if g.missed {
		// Relaxed, so that a flood of wrong passwords leaves the disk to those who refresh.
		err = g.s.store.InTxRelaxed(ctx, func(tx Tx) error { return g.count(ctx, tx) })
		if err != nil {
			g.s.opts.Log.ErrorContext(ctx, "failed password not counted in the store, it counts in memory", "error", err.Error())
		}
	}
	g.leavePlaces(ctx) // after its failure is in the store: in between it counts twice, never not at all
	if err == nil {
		g.leave()
		return
	}
	for _, limits := range [][]limit{g.shared, g.known} {
		for _, l := range limits {
			g.s.guard.hold(l.key, g.at.Add(g.policy.FailureWindow))
		}
	}
}

func (g *guess) count(ctx context.Context, tx Tx) error {
	now := tx.Now()
	for _, l := range g.judged {
		c, err := tx.Counter(ctx, l.key)
		if err != nil {
			return err
		}
		if now.Before(c.LockedUntil) {
			continue
		}
		if c.current(now, g.policy.FailureWindow) == 0 {
			c = Counter{Key: l.key, Since: now}
		}
		c.Count++
		c.Until = c.Since.Add(g.policy.FailureWindow)
		if l.most > 0 && c.Count >= l.most {
			c.LockedUntil = now.Add(g.policy.LockDuration)
			c.Until = c.LockedUntil
		}
		if err := tx.PutCounter(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// forgive wipes the slate of an account: somebody has proved to own it.
func (s *Service) forgive(ctx context.Context, tx Tx, u User) error {
	for _, account := range []string{u.EmailKey, u.Phone, u.UsernameKey} {
		if account == "" {
			continue
		}
		key := s.counterKey("failed account", rateKey(account))
		if err := tx.PutCounter(ctx, Counter{Key: key, Until: tx.Now()}); err != nil {
			return err
		}
	}
	return nil
}

// counterKey is where a count is kept: a MAC, so that neither a stolen table nor what someone typed by mistake into the
// wrong field tells anything.
func (s *Service) counterKey(what, whose string) [32]byte {
	sum, _ := s.opts.MAC.Sum(s.opts.MAC.Current(), []byte("counter\x00"+what+"\x00"+whose))
	return sha256.Sum256(sum)
}

func (s *Service) addressKey(what string, c Client) [32]byte {
	return s.counterKey(what, network(c.Address))
}

// deviceKey is what a device is known by: what it says it is, and the network it calls from. Whoever copies both has
// a count of their own, no more.
func (s *Service) deviceKey(whose string, c Client) [32]byte {
	return s.counterKey("device "+whose, network(c.Address)+"\x00"+c.UserAgent)
}

// network is the part of an address that one customer has: all of IPv4, the /64 of IPv6.
func network(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	if !a.IsValid() {
		return ""
	}
	if a.Is4() {
		return a.String()
	}
	p, _ := a.Prefix(64)
	return p.String()
}

// rateKey joins names that reach one mailbox: tags everywhere, dots where the provider ignores them. They stay different
// accounts; they only share their counts.
func rateKey(account string) string {
	account = clip(account, maxEmailBytes)
	at := strings.LastIndexByte(account, '@')
	if at < 0 {
		return account
	}
	local, domain := account[:at], account[at+1:]
	if tag := strings.IndexByte(local, '+'); tag > 0 {
		local = local[:tag]
	}
	if domain == "googlemail.com" {
		domain = "gmail.com"
	}
	if domain == "gmail.com" {
		local = strings.ReplaceAll(local, ".", "")
	}
	return local + "@" + domain
}
