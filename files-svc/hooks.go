package filessvc

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"cloakroom.dev/files-svc/internal/adapter/hookhttp"
	"cloakroom.dev/files-svc/internal/adapter/httpapi"
	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/webhook"
	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/secret"
)

// hooks is what tells the boot object's webhooks.
type hooks struct {
	service *webhook.Service
	sender  *hookhttp.Sender
	meter   *hookMeter
	rows    *catalogue
}

// newHooks makes the webhooks known, so that nothing which happens from here on is missed by one.
func newHooks(ctx context.Context, cfg Config, rows *catalogue, deps Deps) (*hooks, error) {
	var targets []hookhttp.Target
	var endpoints []webhook.Endpoint
	for _, h := range cfg.Boot.Spec.Webhooks {
		targets = append(targets, hookhttp.Target{
			Endpoint: string(h.Name), URL: string(h.URL), Secret: cfg.secret(h.SecretRef), AllowPrivate: h.AllowPrivateAddresses,
			Timeout: h.Timeout.Std(),
		})
		e := webhook.Endpoint{Name: string(h.Name), Concurrency: int(h.Concurrency)}
		for _, kind := range h.Events {
			e.Kinds = append(e.Kinds, files.EventKind(kind))
		}
		endpoints = append(endpoints, e)
	}
	sender, err := hookhttp.New(targets, httpapi.Describe, time.Now)
	if err != nil {
		return nil, err
	}
	opts := cfg.hooks
	meter := newHookMeter(deps.Registerer, endpoints)
	opts.Meter = meter
	service, err := webhook.New(rows.hooks, sender, endpoints, func() string { return "msg_" + newID() }, deps.Log, opts)
	if err != nil {
		return nil, fmt.Errorf("webhooks: %w", err)
	}
	if err := service.Register(ctx); err != nil {
		return nil, err
	}
	return &hooks{service, sender, meter, rows}, nil
}

// run sends while no other process on the store does: receivers hear of each event from one of them.
func (h *hooks) run(ctx context.Context) error {
	return h.rows.inTurn(ctx, "webhooks", func(ctx context.Context) error {
		defer h.meter.turnEnded()
		return h.service.Run(ctx)
	})
}

func (h *hooks) close() { h.sender.Close() }

// secret reads a reference anew at each call. A relative file starts at the base folder.
func (c Config) secret(r v1alpha1.SecretRef) func() (secret.String, error) {
	ref := r.Ref()
	if ref.File != "" && !filepath.IsAbs(ref.File) {
		ref.File = filepath.Join(c.BaseDir, ref.File)
	}
	return ref.Read
}

// hookMeter turns what webhooks say into metrics. Endpoints are the operator's, so their names are a closed set.
type hookMeter struct {
	attempts *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	parkings *prometheus.CounterVec
	lost     *prometheus.CounterVec
	stands   map[string]*prometheus.GaugeVec
}

var _ webhook.Meter = (*hookMeter)(nil)

func newHookMeter(reg prometheus.Registerer, endpoints []webhook.Endpoint) *hookMeter {
	f := promauto.With(reg)
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Name: "cloakroom_files_webhook_" + name, Help: help}, append([]string{"endpoint"}, labels...))
	}
	m := &hookMeter{
		attempts: counter("attempts_total", "Attempts to deliver a message, by result.", "result"),
		parkings: counter("given_up_total", "Deliveries that were parked after their last attempt."),
		lost:     counter("lost_total", "Events at most that were never delivered and are not kept any more. Anything above zero is an alert."),
		seconds: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "cloakroom_files_webhook_attempt_seconds", Help: "Time of an attempt.",
			// From a neighbour's answer to the longest timeout.
			Buckets: []float64{.005, .025, .1, .5, 1, 5, 15, 60},
		}, []string{"endpoint"}),
		stands: map[string]*prometheus.GaugeVec{},
	}
	for name, help := range map[string]string{
		"pending": "Deliveries that wait.", "parked": "Deliveries that were given up and can be asked for again.",
		"oldest_seconds": "Time since the oldest waiting event happened.", "behind": "Events of the outbox not looked at yet.",
		"circuit_open": "1 while the endpoint fails and is only tried now and then.", "stopped": "1 when the endpoint has answered 410.",
	} {
		m.stands[name] = f.NewGaugeVec(prometheus.GaugeOpts{Name: "cloakroom_files_webhook_" + name, Help: help}, []string{"endpoint"})
	}
	for _, e := range endpoints {
		m.lost.WithLabelValues(e.Name)
		m.parkings.WithLabelValues(e.Name)
		for _, r := range webhook.Results {
			m.attempts.WithLabelValues(e.Name, string(r))
		}
	}
	return m
}

// Attempted implements webhook.Meter.
func (m *hookMeter) Attempted(endpoint string, r webhook.Result, took time.Duration) {
	m.attempts.WithLabelValues(endpoint, string(r)).Inc()
	m.seconds.WithLabelValues(endpoint).Observe(took.Seconds())
}

// Stands implements webhook.Meter.
func (m *hookMeter) Stands(endpoint string, b webhook.Backlog, behind int64, open, stopped bool) {
	age := 0.0
	if !b.Oldest.IsZero() {
		age = max(0, time.Since(b.Oldest).Seconds())
	}
	flag := map[bool]float64{true: 1}
	for name, value := range map[string]float64{
		"pending": float64(b.Pending), "parked": float64(b.Parked), "oldest_seconds": age, "behind": float64(behind),
		"circuit_open": flag[open], "stopped": flag[stopped],
	} {
		m.stands[name].WithLabelValues(endpoint).Set(value)
	}
}

// turnEnded takes back how endpoints stand: another process knows that now.
func (m *hookMeter) turnEnded() {
	for _, stands := range m.stands {
		stands.Reset()
	}
}

// Parked implements webhook.Meter.
func (m *hookMeter) Parked(endpoint string) { m.parkings.WithLabelValues(endpoint).Inc() }

// Lost implements webhook.Meter.
func (m *hookMeter) Lost(endpoint string, n int64) { m.lost.WithLabelValues(endpoint).Add(float64(n)) }
