package upstream

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	resolveEvery  = 5 * time.Second
	lookupTimeout = 2 * time.Second
	maxAddresses  = 256 // of one upstream, whatever a name server says
)

// found is an address that is to be used.
type found struct{ base, origin *url.URL }

func (f found) key() string { return f.base.String() + " " + f.origin.Host }

// literal takes every URL for one address.
func (b *Balancer) literal() []found {
	list := make([]found, len(b.opts.URLs))
	for i, u := range b.opts.URLs {
		list[i] = found{u, u}
	}
	return list
}

// named reports whether a URL is a name to look up. Behind https a name is one address: certificates are for names.
func named(u *url.URL) bool {
	_, err := netip.ParseAddr(u.Hostname())
	return err != nil && u.Scheme == "http"
}

// Run looks names up and asks addresses whether they are well, until ctx ends.
func (b *Balancer) Run(ctx context.Context) error {
	var asking sync.WaitGroup
	defer asking.Wait()
	watched := map[*endpoint]context.CancelFunc{}
	lookUp := b.opts.Dial == nil && slices.ContainsFunc(b.opts.URLs, named)
	for {
		if lookUp {
			b.resolve(ctx)
		}
		b.look(ctx, watched, &asking)
		if !lookUp {
			<-ctx.Done()
			return nil
		}
		if !pause(ctx, resolveEvery) {
			return nil
		}
	}
}

// look has every address watched, and no other.
func (b *Balancer) look(ctx context.Context, watched map[*endpoint]context.CancelFunc, asking *sync.WaitGroup) {
	if b.opts.Health.Interval <= 0 {
		return
	}
	b.mu.Lock()
	all := slices.Clone(b.all)
	b.mu.Unlock()
	for e, stop := range watched {
		if !slices.Contains(all, e) {
			stop()
			delete(watched, e)
		}
	}
	for _, e := range all {
		if watched[e] == nil {
			own, stop := context.WithCancel(ctx)
			watched[e] = stop
			asking.Go(func() { b.watch(own, e) })
		}
	}
}

// resolve replaces names by what they stand for now. A name that can't be looked up keeps what it had.
func (b *Balancer) resolve(ctx context.Context) {
	var list []found
	for _, u := range b.opts.URLs {
		if !named(u) {
			list = append(list, found{u, u})
			continue
		}
		addrs, err := b.lookup(ctx, u.Hostname())
		if ctx.Err() != nil {
			return
		}
		if err != nil || len(addrs) == 0 {
			b.unresolved(ctx, u, err)
			list = append(list, b.known(u)...)
			continue
		}
		b.resolved(u)
		for _, a := range addrs {
			list = append(list, found{&url.URL{Scheme: u.Scheme, Host: withPort(a, u)}, u})
		}
	}
	b.settle(list[:min(len(list), maxAddresses)], time.Now())
}

// lookup returns the addresses of a name, in order. A machine that has both kinds of address is one machine: of the two
// the older kind is taken.
func (b *Balancer) lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	look := b.opts.Lookup
	if look == nil {
		look = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	addrs, err := look(ctx, name)
	var four, six []netip.Addr
	for _, a := range addrs {
		if a = a.Unmap(); a.Is4() {
			four = append(four, a)
		} else {
			six = append(six, a)
		}
	}
	if len(four) == 0 {
		four = six
	}
	slices.SortFunc(four, netip.Addr.Compare)
	return slices.Compact(four), err
}

func withPort(a netip.Addr, u *url.URL) string { return net.JoinHostPort(a.String(), port(u)) }

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

func hostPort(u *url.URL) string { return net.JoinHostPort(u.Hostname(), port(u)) }

// known are the addresses a URL stands for as of now.
func (b *Balancer) known(u *url.URL) []found {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []found
	for _, e := range b.all {
		if e.origin == u {
			list = append(list, found{e.base, u})
		}
	}
	return list
}

func (b *Balancer) unresolved(ctx context.Context, u *url.URL, err error) {
	b.mu.Lock()
	news := !b.silent[u]
	b.silent[u] = true
	b.mu.Unlock()
	if news {
		why := "it stands for no address"
		if err != nil {
			why = err.Error()
		}
		b.opts.Log.WarnContext(ctx, "name of an upstream can't be looked up", "upstream", b.opts.Name, "name", u.Hostname(), "why", why)
	}
}

func (b *Balancer) resolved(u *url.URL) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.silent, u)
}

// settle makes list the addresses. Those that stay keep what is known of them; those that go finish what they have.
func (b *Balancer) settle(list []found, now time.Time) {
	b.mu.Lock()
	old := map[string]*endpoint{}
	for _, e := range b.all {
		old[found{e.base, e.origin}.key()] = e
	}
	var came, went []string
	next := make([]*endpoint, 0, len(list))
	for _, f := range list {
		e := old[f.key()]
		if e == nil {
			e = &endpoint{base: f.base, origin: f.origin, host: f.origin.Host, conn: b.opts.Connect(f.base)}
			came = append(came, f.base.Host)
		}
		delete(old, f.key())
		next = append(next, e)
	}
	for _, e := range old {
		s := e.conn.Stats()
		b.past.Waited, b.past.GaveUp = b.past.Waited+s.Waited, b.past.GaveUp+s.GaveUp
	}
	b.all = next
	b.reviseLocked(now)
	b.mu.Unlock()
	for _, e := range old {
		e.conn.Close()
		went = append(went, e.base.Host)
	}
	if b.settled && len(came)+len(went) > 0 {
		b.opts.Log.Info("addresses of an upstream changed", "upstream", b.opts.Name,
			"new", strings.Join(came, " "), "gone", strings.Join(went, " "), "all", len(list))
	}
	b.settled = true
}

// Close closes the idle connections to all addresses.
func (b *Balancer) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.all {
		e.conn.Close()
	}
}
