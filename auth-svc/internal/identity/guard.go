package identity

import (
	"context"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"time"

	"cloakroom.dev/libs/fault"
)

// The guard against guessing.
//
// A guess counts against the account that was named and the address it came from; from a device that has come in with
// that account before, it counts against that device alone, and nobody else's guesses stand in its way. Looking costs
// a reading, which every login does anyway; only a wrong guess writes, in a transaction of its own. Guesses under way
// are counted in memory until their failure is in the store, and where there are other replicas in the store as well
// (places.go), so that a thousand at once are as bounded as a thousand in a row; those beyond the bound wait a moment, since honest people come in parallel too. Whoever is refused is refused alike, whether the account exists or not.

// guard counts guesses under way, for each key. It holds no more entries than requests run at once, and maxHeld.
type guard struct {
	mu   sync.Mutex
	open map[[32]byte]*slot
	held []heldKey // failures that could not be written: they count as under way until their window has passed
}

// slot is one key's guesses under way.
type slot struct {
	open    int
	held    int // of those open, failures that could not be written
	waiting int
	left    chan struct{} // closed when one of them leaves; nil while nobody waits
}

type heldKey struct {
	key   [32]byte
	until time.Time
}

const (
	// maxHeld bounds what is remembered of failures while the store is down. Without it nobody comes in anyway.
	maxHeld = 10_000
	// maxGuessWaiting guesses at one key may wait for those under way, for guessWait at most; others are told to come back.
	maxGuessWaiting = 64
	guessWait       = 5 * time.Second
)

// errOthersFirst is for whoever has waited in vain for guesses at the same account that were under way. They may all have been
// right, as several devices of one person are, so nothing is said of failures: the machine was too slow for all of them.
var errOthersFirst = fault.Retry(fault.Overloaded, "too many sign-ins at this moment, try again shortly", time.Second)

func (g *guard) enter(key [32]byte) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.slot(key)
	s.open++
	return s.open
}

// slot finds or makes the key's; mu is held.
func (g *guard) slot(key [32]byte) *slot {
	if g.open == nil {
		g.open = map[[32]byte]*slot{}
	}
	if g.open[key] == nil {
		g.open[key] = &slot{}
	}
	return g.open[key]
}

func (g *guard) leave(key [32]byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.drop(key)
}

// stepBack is leave of a guess that found no room and now waits itself. It wakes nobody: those who wait would wake each other for
// ever, with a reading of the store each time. Whoever it stood in the way of looks again soon.
func (g *guard) stepBack(key [32]byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.open[key]
	if s.open--; s.open == 0 && s.waiting == 0 {
		delete(g.open, key)
	}
}

func (g *guard) drop(key [32]byte) {
	s := g.open[key]
	s.open--
	if s.left != nil {
		close(s.left)
		s.left = nil
	}
	if s.open == 0 && s.waiting == 0 {
		delete(g.open, key)
	}
}

// wait returns nil when one of those under way on the key has left, or after a moment: those at other replicas leave
// without a word, and so do those who step back. It returns fault.RateLimited where too many wait already, and fault.Overloaded when
// nobody has left until the deadline.
func (g *guard) wait(ctx context.Context, key [32]byte, deadline <-chan time.Time) error {
	look := time.NewTimer(placesLook/2 + rand.N(placesLook)) //nolint:gosec // spreading looks is no secret
	defer look.Stop()
	g.mu.Lock()
	s := g.slot(key)
	if s.waiting >= maxGuessWaiting {
		g.mu.Unlock()
		return tooManyGuesses(time.Second)
	}
	if s.left == nil {
		s.left = make(chan struct{})
	}
	left := s.left
	s.waiting++
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if s.waiting--; s.open == 0 && s.waiting == 0 {
			delete(g.open, key)
		}
	}()
	select {
	case <-left:
		return nil
	case <-look.C:
		return nil
	case <-deadline:
	case <-ctx.Done():
	}
	return errOthersFirst
}

// hold keeps an entry that could not become a failure in the store.
func (g *guard) hold(key [32]byte, until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.held) >= maxHeld {
		g.dropHeld()
	}
	g.held = append(g.held, heldKey{key, until})
	g.open[key].held++
}

// HeldFailures is how many failures that could not be written count in memory: at most 10000, beyond it the oldest are let go.
func (s *Service) HeldFailures() int {
	s.guard.mu.Lock()
	defer s.guard.mu.Unlock()
	return len(s.guard.held)
}

// dropHeld lets go of the oldest held entry; mu is held.
func (g *guard) dropHeld() {
	key := g.held[0].key
	g.held = g.held[1:]
	g.open[key].held--
	g.drop(key)
}

// failed is how many of those under way on the key are failures that could not be written.
func (g *guard) failed(key [32]byte) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.open[key]; s != nil {
		return s.held
	}
	return 0
}

// forget lets go of held entries whose window has passed.
func (g *guard) forget(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.held) > 0 && !now.Before(g.held[0].until) {
		g.dropHeld()
	}
}

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
