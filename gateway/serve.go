package gateway

import (
	"context"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/gateway/internal/adapter/cli"
	"cloakroom.dev/gateway/internal/adapter/contract"
	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/process"
	"cloakroom.dev/libs/run"
)

// Commands are the words of the gateway's own program. It reads resources from folders and from where schemes say.
func Commands(schemes ...process.Scheme) []run.Command {
	program := process.Program[*v1alpha1.GatewayConfig]{
		Name: "gateway",
		Kinds: []string{
			v1alpha1.KindGatewayConfig, v1alpha1.KindRoute, v1alpha1.KindTokenPolicy, v1alpha1.KindRateLimitPolicy,
		},
		Life: func(boot *v1alpha1.GatewayConfig) process.Life {
			s := boot.Spec
			return process.Life{Ops: s.Listeners.Ops, Drain: s.Drain, Telemetry: s.Telemetry, StateDir: s.StateDir}
		},
		Open: open, Schemes: schemes,
	}
	_, paths, err := ownPaths(run.NewOps(prometheus.NewRegistry()), &contract.Contract{}, true)
	if err != nil {
		panic(err) // the files are built in: a test has read them all
	}
	serve := process.Commands(program)[0] // its check is the other one, which knows the gateway's rules
	return append([]run.Command{serve}, cli.Commands(paths)...)
}

// open makes the gateway and says where it listens.
func open(ctx context.Context, boot *v1alpha1.GatewayConfig, deps Deps) (process.Service, []process.Endpoint, map[string]http.Handler, error) {
	s, err := New(ctx, Config{Boot: boot}, deps)
	if err != nil {
		return nil, nil, nil, err
	}
	public := process.Endpoint{
		Name: "public", Address: boot.Spec.Listeners.Public.Address, Handler: s.Handler(),
		Stage: run.Front, Wrap: s.Listen, Configure: s.ConfigureServer,
	}
	return s, []process.Endpoint{public}, s.OpsHandlers(), nil
}
