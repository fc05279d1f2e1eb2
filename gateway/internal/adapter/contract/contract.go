// Package contract serves what the gateway promises to its clients: the services' own OpenAPI documents, merged into one
// with the gateway's, as YAML, as JSON, and as a page for people.
//
// Flow: a request that finds the held document older than a minute has the services' documents fetched, side by side,
// and merged in the background; the first ever waits for that. When it fails, what is held goes on being served for an
// hour.
//
// Promises: one fetch at a time, with a deadline and a size limit; one rendering a minute however many ask. The page
// needs no script, loads nothing from elsewhere, and its policy forbids both.
package contract

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/sync/errgroup"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/web"
)

const (
	freshFor     = time.Minute
	usableFor    = time.Hour
	retryAfter   = 5 * time.Second
	fetchTimeout = 5 * time.Second
	maxDocBytes  = 2 << 20
)

// Source is a service with a document.
type Source struct {
	Name string
	URLs []string // of the document itself, one a replica of the service
}

// Contract serves the merged document. It is safe for use by many goroutines.
type Contract struct {
	own     []byte
	sources []Source
	client  *http.Client
	log     *slog.Logger
	now     func() time.Time

	mu     sync.Mutex
	held   *rendered
	tried  time.Time
	flight *flight
}

// flight is one fetch that several requests may wait for.
type flight struct {
	done chan struct{}
	doc  *rendered
	err  error
}

// rendered is the merged document in its three forms.
type rendered struct {
	made             time.Time
	yaml, json, page file
}

type file struct {
	body []byte
	kind string
	etag string
}

// New makes a Contract of the gateway's own document and of those of the services.
func New(own []byte, sources []Source, client *http.Client, log *slog.Logger) (*Contract, error) {
	c := &Contract{own: own, sources: sources, client: client, log: log, now: time.Now}
	if _, err := parse(own); err != nil {
		return nil, fmt.Errorf("the gateway's own contract: %w", err)
	}
	return c, nil
}

// YAML serves the merged document.
func (c *Contract) YAML() http.Handler { return c.serve(func(r *rendered) file { return r.yaml }) }

// JSON serves the same as JSON.
func (c *Contract) JSON() http.Handler { return c.serve(func(r *rendered) file { return r.json }) }

// Page serves the reader.
func (c *Contract) Page() http.Handler {
	return c.serve(func(r *rendered) file { return r.page })
}

func (c *Contract) serve(pick func(*rendered) file) http.Handler {
	return web.Func(func(w http.ResponseWriter, r *http.Request) error {
		doc, err := c.document(r.Context())
		if err != nil {
			return err
		}
		f := pick(doc)
		h := w.Header()
		h.Set("ETag", f.etag)
		h.Set("Cache-Control", "public, max-age=60")
		h.Set("X-Content-Type-Options", "nosniff")
		if strings.HasPrefix(f.kind, "text/html") {
			h.Set("Content-Security-Policy", pagePolicy)
			h.Set("Referrer-Policy", "no-referrer")
			h.Set("Cross-Origin-Opener-Policy", "same-origin")
		}
		if r.Header.Get("If-None-Match") == f.etag {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
		h.Set("Content-Type", f.kind)
		h.Set("Content-Length", strconv.Itoa(len(f.body)))
		_, _ = w.Write(f.body) // a client that has gone is no failure of ours
		return nil
	})
}

// document returns what is held, and else what a fetch brings. What is held and no longer fresh is returned while it is
// being replaced.
func (c *Contract) document(ctx context.Context) (*rendered, error) {
	held, f := c.join(ctx)
	if held != nil {
		return held, nil
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if f.err != nil {
		return nil, fault.Wrap(fault.Unavailable, "the contract can't be put together right now", f.err)
	}
	return f.doc, nil
}

// join returns the document held, or else the fetch to wait for. It begins one when what is held is not fresh, unless
// one is under way or has just failed.
func (c *Contract) join(ctx context.Context) (*rendered, *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if c.held != nil && now.Sub(c.held.made) > usableFor {
		c.held = nil
	}
	if c.held != nil && (now.Sub(c.held.made) < freshFor || now.Sub(c.tried) < retryAfter) {
		return c.held, nil
	}
	if c.flight == nil {
		c.flight, c.tried = &flight{done: make(chan struct{})}, now
		go c.fly(context.WithoutCancel(ctx), c.flight) // ends by itself: the fetch has a deadline
	}
	return c.held, c.flight
}

func (c *Contract) fly(ctx context.Context, f *flight) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	f.doc, f.err = c.build(ctx)
	if f.err != nil {
		c.log.WarnContext(ctx, "the contract could not be put together", "error", f.err.Error())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.err == nil {
		c.held = f.doc
	}
	c.flight = nil
	close(f.done)
}

// build fetches, merges and renders.
func (c *Contract) build(ctx context.Context) (*rendered, error) {
	own, err := parse(c.own)
	if err != nil {
		return nil, err
	}
	parts := make([]part, len(c.sources))
	group, ctx := errgroup.WithContext(ctx)
	for i, s := range c.sources {
		group.Go(func() (err error) {
			parts[i], err = c.fetch(ctx, s)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	doc, err := merge(part{"gateway", own}, parts...)
	if err != nil {
		return nil, err
	}
	return render(doc, c.now())
}

// fetch asks one replica after the other. Each has its share of the time.
func (c *Contract) fetch(ctx context.Context, s Source) (p part, err error) {
	for _, url := range s.URLs {
		turn, cancel := context.WithTimeout(ctx, fetchTimeout/time.Duration(len(s.URLs)))
		p, err = c.ask(turn, s, url)
		cancel()
		if err == nil {
			return p, nil
		}
	}
	return part{}, err
}

func (c *Contract) ask(ctx context.Context, s Source, url string) (part, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return part{}, fmt.Errorf("contract of %s: %w", s.Name, err)
	}
	res, err := c.client.Do(req)
	if err != nil {
		return part{}, fmt.Errorf("contract of %s: %w", s.Name, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxDocBytes+1))
	switch {
	case err != nil:
		return part{}, fmt.Errorf("contract of %s: %w", s.Name, err)
	case res.StatusCode != http.StatusOK:
		return part{}, fmt.Errorf("contract of %s: status %d", s.Name, res.StatusCode)
	case len(body) > maxDocBytes:
		return part{}, fmt.Errorf("contract of %s: more than %d bytes", s.Name, maxDocBytes)
	}
	doc, err := parse(body)
	if err != nil {
		return part{}, fmt.Errorf("contract of %s: %w", s.Name, err)
	}
	return part{s.Name, doc}, nil
}

// render writes the three forms.
func render(doc *yaml.Node, now time.Time) (*rendered, error) {
	var y, j, page bytes.Buffer
	enc := yaml.NewEncoder(&y)
	enc.SetIndent(2)
	if err := enc.Encode(doc); err != nil {
		return nil, fmt.Errorf("write the contract as YAML: %w", err)
	}
	if err := asJSON(&j, doc); err != nil {
		return nil, fmt.Errorf("write the contract as JSON: %w", err)
	}
	if err := writePage(&page, doc); err != nil {
		return nil, fmt.Errorf("write the contract's page: %w", err)
	}
	return &rendered{
		made: now,
		yaml: newFile(y.Bytes(), "application/yaml; charset=utf-8"),
		json: newFile(j.Bytes(), "application/json"),
		page: newFile(page.Bytes(), "text/html; charset=utf-8"),
	}, nil
}

func newFile(body []byte, kind string) file {
	sum := sha256.Sum256(body)
	return file{body, kind, `"` + hex.EncodeToString(sum[:12]) + `"`}
}
