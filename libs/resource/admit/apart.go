package admit

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"cloakroom.dev/libs/helper"
)

// Apart returns an Admitter whose work is done by a helper, a process of this very program that lives from the first Warm or
// Admit to Release: what the API server's library takes, some ten megabytes that stay after it has forgotten its schemas, is
// never this process's. Verdicts are the same. Where the program is none that can be a helper (see Main), or its helper can't be
// started or dies, the work is done here, and log says so.
func Apart(log *slog.Logger) *Admitter {
	a := New()
	if helpers.Possible() {
		a.apart = &apart{log: log}
	}
	return a
}

// apart is the helper of an Admitter.
type apart struct {
	log    *slog.Logger
	mu     sync.Mutex
	helper *helper.Process[job, outcome]
	failed bool // until Release: a helper that died would die again, and each look at the configuration says so once
}

// do has a job done by the helper. Whoever hears false does it.
func (p *apart) do(j job) (outcome, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed {
		return outcome{}, false
	}
	if p.helper == nil {
		h, err := helpers.Start()
		if err != nil {
			p.lost(err)
			return outcome{}, false
		}
		p.helper = h
	}
	o, err := p.helper.Do(j)
	if err != nil {
		p.helper.End()
		p.helper = nil
		p.lost(err)
	}
	return o, err == nil
}

// lost is when there is no helper. The caller holds mu.
func (p *apart) lost(err error) {
	p.failed = true
	p.log.Warn("resources are judged in this process, which costs it memory: there is no process that helps", "error", err.Error())
}

func (p *apart) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.helper != nil {
		p.helper.End()
		p.helper = nil
	}
	p.failed = false
}

// do is the helper's side.
func (a *Admitter) do(j job) (o outcome) {
	if j.Warm != nil {
		a.Warm(j.Warm...)
		return o
	}
	v, err := a.Admit(context.Background(), j.Kind, j.Raw, j.Old)
	if err != nil {
		o.Failed = err.Error()
	}
	o.Content, o.Problems = v.Content, v.Problems
	return o
}

// admitApart is Admit by a helper.
func (p *apart) admit(kind string, raw, old map[string]any) (v Verdict, err error, done bool) {
	o, done := p.do(job{Kind: kind, Raw: raw, Old: old})
	if !done {
		return v, nil, false
	}
	if o.Failed != "" {
		return v, errors.New(o.Failed), true
	}
	return Verdict{Content: o.Content, Object: typed(kind, o.Content), Problems: o.Problems}, nil, true
}
