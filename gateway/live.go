package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"cloakroom.dev/gateway/internal/adapter/edge"
	"cloakroom.dev/gateway/internal/adapter/trust"
	"cloakroom.dev/gateway/internal/routing"
	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"
)

// liveConfig is the configuration that may change while requests run: Routes and the policies they name. A change is
// compiled beside the one in use and takes its place in one step.
type liveConfig struct {
	boot    *v1alpha1.GatewayConfig
	source  resource.Source
	trust   *trust.Trust
	edge    *edge.Edge
	limits  limits
	log     *slog.Logger
	table   *routing.Table // in use; touched by loadConfig, then by run only
	changed prometheus.Counter
	since   prometheus.Gauge
	rules   prometheus.Gauge
	refused prometheus.Gauge
}

// loadConfig compiles what there is at the start and puts it to use.
func loadConfig(ctx context.Context, boot *v1alpha1.GatewayConfig, t *trust.Trust, e *edge.Edge, l limits, deps Deps) (*liveConfig, error) {
	snapshot, err := deps.Source.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("load resources: %w", err)
	}
	f := promauto.With(deps.Registerer)
	c := &liveConfig{
		boot: boot, source: deps.Source, trust: t, edge: e, limits: l, log: deps.Log,
		changed: f.NewCounter(prometheus.CounterOpts{
			Name: "cloakroom_gateway_config_changes_total", Help: "Routing tables put to use.",
		}),
		since: f.NewGauge(prometheus.GaugeOpts{
			Name: "cloakroom_gateway_config_changed_timestamp_seconds", Help: "When the routing table in use was made.",
		}),
		rules: f.NewGauge(prometheus.GaugeOpts{
			Name: "cloakroom_gateway_rules", Help: "Rules in the routing table.",
		}),
		refused: f.NewGauge(prometheus.GaugeOpts{
			Name: "cloakroom_gateway_refused_rules", Help: "Rules in the routing table that answer 503, because something about them is wrong.",
		}),
	}
	c.apply(ctx, snapshot)
	return c, nil
}

// run follows the source until ctx ends.
func (c *liveConfig) run(ctx context.Context) error {
	return c.source.Watch(ctx, func(s *resource.Snapshot) { c.apply(ctx, s) })
}

// apply puts a snapshot to use and reports how its objects fare. Nothing in it can make this fail: what is wrong keeps
// its last accepted version or is refused on its own.
func (c *liveConfig) apply(ctx context.Context, s *resource.Snapshot) {
	table, statuses := routing.Compile(c.boot.Spec, s, c.table)
	verifiers := map[string]edge.Verifier{}
	for digest, v := range c.trust.Verifiers(table.TokenPolicies()) {
		verifiers[digest] = v
	}
	c.edge.Use(table, verifiers)
	c.table = table
	c.limits.use(limitLabels(table))
	c.observe(ctx, s)

	for _, boot := range resource.All[*v1alpha1.GatewayConfig](s) {
		statuses = append(statuses, c.bootStatus(boot))
	}
	if err := c.source.Report(ctx, statuses); err != nil && ctx.Err() == nil {
		c.log.WarnContext(ctx, "status of resources can't be reported", "error", err.Error())
	}
}

// limitLabels are those of the limits that some rule has.
func limitLabels(table *routing.Table) map[string]bool {
	labels := map[string]bool{}
	for _, rule := range table.Rules() {
		for _, limit := range rule.Limits {
			labels[limit.Label()] = true
		}
	}
	return labels
}

func (c *liveConfig) observe(ctx context.Context, s *resource.Snapshot) {
	refused := 0
	for _, rule := range c.table.Rules() {
		if rule.Refused != "" {
			refused++
		}
	}
	c.changed.Inc()
	c.since.Set(float64(time.Now().Unix()))
	c.rules.Set(float64(len(c.table.Rules())))
	c.refused.Set(float64(refused))
	c.log.InfoContext(ctx, "routes in use", "snapshot", s.Digest, "rules", len(c.table.Rules()), "refused", refused)
}

func (c *liveConfig) bootStatus(boot *v1alpha1.GatewayConfig) resource.Status {
	if boot.Name != c.boot.Name || !reflect.DeepEqual(boot.Spec, c.boot.Spec) {
		return resource.NotProgrammed(boot, v1alpha1.ReasonRestartRequired, "the change takes effect at the next start")
	}
	return resource.Programmed(boot)
}
