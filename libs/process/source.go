package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/resource/dir"
	"cloakroom.dev/libs/resource/split"
	"cloakroom.dev/libs/run"
)

// Source is a resource.Source with what a process wants of it besides.
type Source interface {
	resource.Source

	// ServeHTTP shows the state of every object, for the ops port.
	http.Handler

	// Run does what the source has to do in the background until ctx ends. Its troubles are told, never returned: a process
	// doesn't end for want of its configuration's source.
	Run(ctx context.Context) error

	// Ready fails while the source has not been read whole once.
	Ready(ctx context.Context) error

	// KeepStatus has status written below a folder, by sources that have no better place for it.
	KeepStatus(stateDir string) error

	// Patient reports whether what is missing may yet come, so that waiting for it is better than giving up.
	Patient() bool
}

// Scheme opens sources that `--config NAME://ADDRESS` names.
type Scheme struct {
	Name string
	Hint string // how an address looks, for the help text
	Open func(address string, opts SourceOptions) (Source, error)
}

// SourceOptions are what a source is told of its process.
type SourceOptions struct {
	Service    string   // auth-svc; replicas of one service share the name
	Kinds      []string // what to read; the rest is others'
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// source opens what --config names: one place for everything, or a folder for boot kinds and another place for live ones.
func (p Program[Boot]) source(config []string, log *slog.Logger, reg prometheus.Registerer) (Source, error) {
	opts := SourceOptions{Service: p.Name, Kinds: p.Kinds, Log: log, Registerer: reg}
	if len(config) == 1 {
		return p.open(config[0], opts)
	}
	if len(config) > 2 || isScheme(config[0]) == isScheme(config[1]) {
		return nil, fmt.Errorf("%w: --config can be given twice: a folder for boot kinds, and %s for live ones", run.ErrUsage, p.places())
	}
	if isScheme(config[0]) {
		config = []string{config[1], config[0]}
	}
	var halves [2]Source
	boot, live := split.Kinds(p.Kinds)
	for i, kinds := range [][]string{boot, live} {
		opts.Kinds = kinds
		if reg != nil { // two sources, one registry
			opts.Registerer = prometheus.WrapRegistererWith(prometheus.Labels{"source": []string{"boot", "live"}[i]}, reg)
		}
		half, err := p.open(config[i], opts)
		if err != nil {
			return nil, err
		}
		halves[i] = half
	}
	return &pair{split.New(halves[0], halves[1]), halves}, nil
}

func isScheme(where string) bool { return strings.Contains(where, "://") }

func (p Program[Boot]) open(where string, opts SourceOptions) (Source, error) {
	name, address, ok := strings.Cut(where, "://")
	if !ok {
		return folder{dir.New(where, dir.Options{Log: opts.Log, Registerer: opts.Registerer, Kinds: opts.Kinds})}, nil
	}
	for _, s := range p.Schemes {
		if s.Name == name {
			return s.Open(address, opts)
		}
	}
	return nil, fmt.Errorf("%w: --config %s: this program reads %s", run.ErrUsage, where, p.places())
}

// places names where resources can be, for people.
func (p Program[Boot]) places() string {
	places := []string{"DIR"}
	for _, s := range p.Schemes {
		places = append(places, s.Name+"://"+s.Hint)
	}
	return strings.Join(places, " or ")
}

// folder is a dir.Source: it does its work in Watch, and what isn't in it is a mistake to be told at once.
type folder struct{ *dir.Source }

func (folder) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (folder) Ready(context.Context) error { return nil }

func (folder) Patient() bool { return false }

// pair is two sources as one.
type pair struct {
	*split.Source
	halves [2]Source
}

func (p *pair) Run(ctx context.Context) error {
	done := make(chan error, len(p.halves))
	for _, h := range p.halves {
		go func() { done <- h.Run(ctx) }()
	}
	return errors.Join(<-done, <-done)
}

func (p *pair) Ready(ctx context.Context) error {
	return errors.Join(p.halves[0].Ready(ctx), p.halves[1].Ready(ctx))
}

func (p *pair) KeepStatus(stateDir string) error {
	return errors.Join(p.halves[0].KeepStatus(stateDir), p.halves[1].KeepStatus(stateDir))
}

// Patient is for the live half: without a boot object in its folder the process is wrong, not early.
func (p *pair) Patient() bool { return p.halves[1].Patient() }

// ServeHTTP shows one after the other, as tables. As JSON it is the live half's: that is what changes.
func (p *pair) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("output") == "json" || strings.Contains(r.Header.Get("Accept"), "application/json") {
		p.halves[1].ServeHTTP(w, r)
		return
	}
	p.halves[0].ServeHTTP(w, r)
	fmt.Fprintln(w)
	p.halves[1].ServeHTTP(w, r)
}
