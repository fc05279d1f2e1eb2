// Package outbound makes the HTTP client for addresses that somebody else chose: an identity provider's, a webhook's.
//
// What it promises, for every request and every redirect of it:
//   - the address is judged when it is dialled, after the name was looked up, so a name that answers differently the second time
//     gains nothing; private and loopback addresses are refused unless AllowPrivate, link-local and metadata addresses always
//     (AllowCIDRs names the exceptions);
//   - no proxy of the environment stands between: it would dial on our behalf without this judgement;
//   - redirects are not followed unless asked for, and then never from https to http;
//   - the answer is bounded, after decompression, and the whole exchange has a deadline.
package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// What a zero Options means.
const (
	DefaultTimeout        = 10 * time.Second
	DefaultMaxAnswerBytes = 1 << 20
)

// maxHeaderBytes bounds the head of an answer; maxIdle the connections kept for later.
const (
	maxHeaderBytes = 64 << 10
	maxIdle        = 16
	idleFor        = 60 * time.Second
	dialFor        = 5 * time.Second
)

// ErrForbidden is in the chain of every error that comes from an address these options don't allow, or from a redirect that
// leaves https.
var ErrForbidden = errors.New("the address is not allowed")

// Options narrows or widens what a client may do. The zero value is the strict one.
type Options struct {
	Timeout        time.Duration  // the whole exchange, body included; zero: DefaultTimeout
	AllowPrivate   bool           // also private, unique-local and loopback addresses
	AllowCIDRs     []netip.Prefix // also these, whatever they are
	MaxRedirects   int            // zero: none, the 3xx answer itself comes back
	MaxAnswerBytes int64          // after decompression; zero: DefaultMaxAnswerBytes
	RootCAs        *x509.CertPool // nil: the system's
}

// Client makes a client by these options. It holds a pool of connections: make one and keep it.
func Client(o Options) *http.Client {
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.MaxAnswerBytes <= 0 {
		o.MaxAnswerBytes = DefaultMaxAnswerBytes
	}
	return &http.Client{
		Timeout:       o.Timeout,
		Transport:     &bounded{next: o.transport(), max: o.MaxAnswerBytes},
		CheckRedirect: o.redirect,
	}
}

func (o Options) transport() *http.Transport {
	dialer := &net.Dialer{Timeout: min(dialFor, o.Timeout), ControlContext: o.control}
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs},
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           maxIdle,
		IdleConnTimeout:        idleFor,
		TLSHandshakeTimeout:    min(dialFor, o.Timeout),
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
}

// control runs between the lookup and the connect, once for each address that is tried.
func (o Options) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %q is no address", ErrForbidden, address)
	}
	if !o.Permits(at.Addr()) {
		return fmt.Errorf("%w: %s", ErrForbidden, at.Addr())
	}
	return nil
}

func (o Options) redirect(next *http.Request, via []*http.Request) error {
	switch {
	case len(via) > o.MaxRedirects && o.MaxRedirects > 0:
		return fmt.Errorf("stopped after %d redirects", o.MaxRedirects)
	case o.MaxRedirects <= 0:
		return http.ErrUseLastResponse
	case via[len(via)-1].URL.Scheme == "https" && next.URL.Scheme != "https":
		return fmt.Errorf("%w: a redirect from https to %s", ErrForbidden, next.URL.Scheme)
	}
	return nil
}
