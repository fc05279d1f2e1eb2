// Package upstream is the gateway's side of the conversation with its services.
//
// Address is one address of a service: an http.RoundTripper with a bounded pool of connections. What chooses between
// several addresses, and sends again, stands above it.
package upstream

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Pool bounds the connections to one address.
type Pool struct {
	MaxConns     int // at once; 0 is no bound
	MaxIdleConns int
	IdleTimeout  time.Duration
	DialTimeout  time.Duration
}

// continueTimeout is how long a client that asked for 100-continue is made to wait for the service's word. It is long
// enough for the service to look at the request, so that a refused upload is never sent.
const continueTimeout = 10 * time.Second

// maxAnswerHeaderBytes bounds the header of a service's answer.
const maxAnswerHeaderBytes = 256 << 10

// NotSentError is returned by RoundTrip when not one byte of the request has been sent: no connection could be had. The
// request's body has not been read either, so that it can go elsewhere, whatever its method.
type NotSentError struct{ Err error }

func (e *NotSentError) Error() string { return "not sent: " + e.Err.Error() }

// Unwrap is why.
func (e *NotSentError) Unwrap() error { return e.Err }

// Address is one address of a service. It is safe for use by many goroutines.
type Address struct {
	base      *url.URL
	transport *http.Transport
}

// NewAddress makes an Address. base is scheme (http or https), host and port. Nothing is dialled before it is needed.
func NewAddress(base *url.URL, pool Pool) *Address {
	dialer := &net.Dialer{Timeout: pool.DialTimeout, KeepAlive: 15 * time.Second}
	return &Address{base: base, transport: &http.Transport{
		DialContext:            dialer.DialContext,
		MaxIdleConnsPerHost:    pool.MaxIdleConns,
		MaxConnsPerHost:        pool.MaxConns,
		IdleConnTimeout:        pool.IdleTimeout,
		TLSHandshakeTimeout:    pool.DialTimeout,
		ExpectContinueTimeout:  continueTimeout,
		MaxResponseHeaderBytes: maxAnswerHeaderBytes,
		DisableCompression:     true, // what the client and the service agreed on is theirs
		// HTTP/2 between machines next to each other costs throughput and gains nothing.
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
	}}
}

// Base is the address: scheme, host and port.
func (a *Address) Base() *url.URL { return a.base }

// RoundTrip sends r to this address, whatever its URL says of scheme and host, and returns the answer once its header
// has come. It fails with a NotSentError when the service cannot have seen anything of the request. It does not change r;
// the answer's Request is r.
func (a *Address) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := a.transport.RoundTrip(r)
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		err = &NotSentError{err}
	}
	return res, err
}

// Close closes the idle connections. Requests that run keep theirs until they end.
func (a *Address) Close() { a.transport.CloseIdleConnections() }
