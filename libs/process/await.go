package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/resource/admit"
	"cloakroom.dev/libs/run"
)

// awaitPause is between two looks for a boot object that isn't there yet.
const awaitPause = 2 * time.Second

// boot reads the source and finds the one boot object in it, and what that needs.
func (p Program[Boot]) boot(ctx context.Context, source Source) (boot Boot, err error) {
	snapshot, err := source.Load(ctx)
	if err != nil {
		return boot, err
	}
	if boot, err = resource.One[Boot](snapshot); err != nil {
		return boot, errors.Join(err, source.Ready(ctx))
	}
	if p.Needs != nil && source.Patient() {
		if found := p.Needs(snapshot); len(found) > 0 {
			return boot, fmt.Errorf("%s", found[0])
		}
	}
	return boot, nil
}

// await is boot, for as long as it takes where the source is patient. A process that ended instead would be started again
// and again, and each time later. Meanwhile its ops port says that it lives, isn't ready, and why.
func (p Program[Boot]) await(ctx context.Context, source Source, log *slog.Logger) (boot Boot, err error) {
	if boot, err = p.boot(ctx, source); err == nil || !source.Patient() || ctx.Err() != nil {
		return boot, err
	}
	leave := p.waitingRoom(ctx, source, log)
	defer leave()
	told := ""
	for ctx.Err() == nil {
		if err.Error() != told {
			told = err.Error()
			log.WarnContext(ctx, "waiting for configuration", "error", told)
		}
		select {
		case <-ctx.Done():
			return boot, nil
		case <-time.After(awaitPause):
		}
		if boot, err = p.boot(ctx, source); err == nil {
			return boot, nil
		}
	}
	return boot, nil
}

// waitingRoom serves the ops port before anybody has said where it is: on its usual port, of every interface since a
// kubelet asks from outside, and only what harms nobody. It returns how to close it.
func (p Program[Boot]) waitingRoom(ctx context.Context, source Source, log *slog.Logger) (closeRoom func()) {
	address, ok := p.usualOps(ctx)
	if !ok {
		return func() {}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		log.WarnContext(ctx, "no ops port while waiting", "error", err.Error())
		return func() {}
	}
	ops := run.NewProbes()
	ops.Ready("configuration", func(ctx context.Context) error {
		return errors.Join(errors.New("there is no boot object yet"), source.Ready(ctx))
	})
	ctx, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		servers := []run.Server{{Name: "ops", Listener: l, Handler: ops, Stage: run.OpsPort}}
		if err := run.Serve(ctx, run.ServeOptions{Log: log, Ops: ops}, servers); err != nil {
			log.WarnContext(ctx, "the ops port failed while waiting", "error", err.Error())
		}
	}()
	return func() { stop(); <-done }
}

// usualOps is the ops port that the boot kind's schema has as its default.
func (p Program[Boot]) usualOps(ctx context.Context) (address string, ok bool) {
	var none Boot
	v, err := admit.New().Admit(ctx, resource.KindOf(none), map[string]any{
		"metadata": map[string]any{"name": "default"}, "spec": map[string]any{},
	}, nil)
	if err != nil {
		return "", false
	}
	boot, ok := v.Object.(Boot)
	if !ok {
		return "", false
	}
	_, port, err := net.SplitHostPort(string(p.Life(boot).Ops.Address))
	return net.JoinHostPort("", port), err == nil
}
