// Package hookhttp sends webhook messages over HTTP, signed as Standard Webhooks 1.0 has it.
//
//	POST url
//	webhook-id: the message's id, the same in every attempt
//	webhook-timestamp: seconds since 1970, of this attempt
//	webhook-signature: v1,base64(HMAC-SHA256(key, id "." timestamp "." body)), once for each key, separated by spaces
//
// Connections are those of libs/outbound: the address is judged when it is dialled, redirects are an answer like any
// other, no proxy stands between. Of an answer only the status and Retry-After count; at most 4 KiB of it are read. Neither
// the URL, which may hold a secret, nor a signature is ever logged or put into an error.
package hookhttp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/webhook"
	"cloakroom.dev/libs/outbound"
	"cloakroom.dev/libs/secret"
	"cloakroom.dev/libs/web"
)

// maxRead is how much of an answer is read, so that a connection with a short answer can be used again.
const maxRead = 4 << 10

// DefaultTimeout bounds one attempt.
const DefaultTimeout = 15 * time.Second

// Target is where and how an endpoint is reached.
type Target struct {
	Endpoint     string
	URL          string
	Secret       func() (secret.String, error) // asked for each attempt, so that a rotation needs no restart
	AllowPrivate bool
	Timeout      time.Duration // of one attempt; zero: DefaultTimeout
}

// Sender is a webhook.Sender over HTTP.
type Sender struct {
	targets  map[string]target
	describe func(files.File) any
	now      func() time.Time
}

var _ webhook.Sender = (*Sender)(nil)

type target struct {
	Target
	client *http.Client
}

// New makes a sender. describe is a file as the public contract shows it. It refuses a target whose secret can't be read
// or is none.
func New(targets []Target, describe func(files.File) any, now func() time.Time) (*Sender, error) {
	s := &Sender{targets: map[string]target{}, describe: describe, now: now}
	for _, t := range targets {
		if t.Timeout <= 0 {
			t.Timeout = DefaultTimeout
		}
		if _, err := t.keys(); err != nil {
			return nil, fmt.Errorf("webhook %s: %w", t.Endpoint, err)
		}
		s.targets[t.Endpoint] = target{t, outbound.Client(outbound.Options{
			Timeout: t.Timeout, AllowPrivate: t.AllowPrivate,
			MaxAnswerBytes: math.MaxInt64 - 1, // the status counts however long the answer is: no more than maxRead of it is read
		})}
	}
	return s, nil
}

func (t Target) keys() ([][]byte, error) {
	s, err := t.Secret()
	if err != nil {
		return nil, err
	}
	return keys(s)
}

// Close lets go of idle connections.
func (s *Sender) Close() {
	for _, t := range s.targets {
		t.client.CloseIdleConnections()
	}
}

// message is the body of a message.
type message struct {
	ID        string          `json:"id"`
	Type      files.EventKind `json:"type"`
	Timestamp web.Time        `json:"timestamp"`
	Sequence  int64           `json:"sequence"`
	Data      data            `json:"data"`
}

type data struct {
	OwnerID files.OwnerID `json:"owner_id"`
	FileID  *files.FileID `json:"file_id"`
	Version *int64        `json:"version"`
	LinkID  *files.LinkID `json:"link_id"`
	File    any           `json:"file"`
}

func (s *Sender) body(m webhook.Message) ([]byte, error) {
	e := m.Event
	b := message{
		ID: m.ID, Type: e.Kind, Timestamp: web.Time(e.At), Sequence: e.Seq,
		Data: data{OwnerID: e.Owner, FileID: given(e.File), Version: given(e.Version), LinkID: given(e.Link)},
	}
	if m.File != nil {
		b.Data.File = s.describe(*m.File)
	}
	return json.Marshal(b)
}

// given is nil for what an event does not have.
func given[T comparable](v T) *T {
	if v == *new(T) {
		return nil
	}
	return &v
}

// Send implements webhook.Sender.
func (s *Sender) Send(ctx context.Context, endpoint string, m webhook.Message) webhook.Outcome {
	t, ok := s.targets[endpoint]
	if !ok {
		return webhook.Outcome{Result: webhook.Unsigned}
	}
	signing, err := t.keys()
	if err != nil {
		return webhook.Outcome{Result: webhook.Unsigned}
	}
	body, err := s.body(m)
	if err != nil {
		return webhook.Outcome{Result: webhook.Unsigned}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.URL, bytes.NewReader(body))
	if err != nil {
		return webhook.Outcome{Result: webhook.Blocked}
	}
	at := s.now()
	for name, value := range map[string]string{
		"Content-Type": "application/json", "User-Agent": "Cloakroom-Webhooks/1",
		"Webhook-Id": m.ID, "Webhook-Timestamp": strconv.FormatInt(at.Unix(), 10), "Webhook-Signature": sign(signing, m.ID, at, body),
	} {
		req.Header.Set(name, value)
	}
	res, err := t.client.Do(req)
	if err != nil {
		return webhook.Outcome{Result: failure(err)}
	}
	defer res.Body.Close() // cuts an answer that goes on
	_, _ = io.CopyN(io.Discard, res.Body, maxRead)
	return answered(res, at)
}

// failure says why there was no answer.
func failure(err error) webhook.Result {
	var slow net.Error
	switch {
	case errors.Is(err, outbound.ErrForbidden):
		return webhook.Blocked
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &slow) && slow.Timeout():
		return webhook.TimedOut
	default:
		return webhook.Unreachable
	}
}

func answered(res *http.Response, now time.Time) webhook.Outcome {
	o := webhook.Outcome{Result: webhook.Refused, Status: res.StatusCode}
	switch {
	case res.StatusCode >= 200 && res.StatusCode < 300:
		o.Result = webhook.Delivered
	case res.StatusCode == http.StatusGone:
		o.Result = webhook.Gone
	case res.StatusCode == http.StatusTooManyRequests, res.StatusCode == http.StatusServiceUnavailable:
		o.RetryAfter = retryAfter(res.Header.Get("Retry-After"), now)
	}
	return o
}

// retryAfter reads seconds or a date; zero for anything else.
func retryAfter(value string, now time.Time) time.Duration {
	const longest = 24 * time.Hour
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		return min(time.Duration(max(0, min(seconds, int64(longest/time.Second))))*time.Second, longest)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(0, at.Sub(now)), longest)
	}
	return 0
}
