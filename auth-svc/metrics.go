package authsvc

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/libs/telemetry/metric"
)

// observer counts what the core tells it.
type observer struct {
	logins    *prometheus.CounterVec
	guesses   *prometheus.CounterVec
	refreshes *prometheus.CounterVec
	mails     *prometheus.CounterVec
	waiting   prometheus.Gauge
	passkeys  *prometheus.CounterVec
	swept     *prometheus.CounterVec
	followers prometheus.Gauge
	crowded   prometheus.Counter
	signIns   *prometheus.CounterVec
	openTrips *prometheus.GaugeVec
}

var _ identity.Observer = observer{}

func newObserver(reg prometheus.Registerer) observer {
	f := promauto.With(reg)
	return observer{
		logins: metric.Known(f.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_auth_logins_total", Help: "Logins: ok, challenged (a second factor is still to be shown), denied, error.",
		}, []string{"result"}), "ok", "challenged", "denied", "error"),
		guesses: metric.Known(f.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_auth_guesses_refused_total",
			Help: "Passwords that nobody looked at: locked (too many failures), queue_full (64 wait for those under way), waited_too_long.",
		}, []string{"reason"}), "locked", "queue_full", "waited_too_long"),
		refreshes: metric.Known(f.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_auth_refreshes_total",
			Help: "Refreshes: rotated, repeated (the same successor again), reused (theft), evicted (over the cap), refused, forged, contended, error.",
		}, []string{"result"}), "rotated", "repeated", "reused", "evicted", "refused", "forged", "contended", "error"),
		mails: metric.Known(f.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_auth_mails_total",
			Help: "Mails: sent, retried, refused (by the next server, for good), dropped_full (10000 wait), dropped_limit (an address causes or gets too many), dropped_old.",
		}, []string{"result"}), "sent", "retried", "refused", "dropped_full", "dropped_limit", "dropped_old"),
		waiting: f.NewGauge(prometheus.GaugeOpts{
			Name: "cloakroom_auth_mails_waiting", Help: "Mails still to be sent, of all replicas; more than 10000 are dropped.",
		}),
		passkeys: metric.Known(f.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_auth_passkeys_total",
			Help: "Passkeys: challenged (asked for one), registered, accepted, refused, regressed (the counter went back), full (too many factors).",
		}, []string{"result"}), "challenged", "registered", "accepted", "refused", "regressed", "full"),
		swept: f.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_auth_swept_total", Help: "Expired rows removed, by what they were.",
		}, []string{"what"}),
		signIns: f.NewCounterVec(prometheus.CounterOpts{
			Name: "cloakroom_auth_provider_sign_ins_total",
			Help: "Steps of sign-ins with identity providers: started, returned, denied, over_bound (too many under way), failed.",
		}, []string{"provider", "result"}),
		openTrips: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "cloakroom_auth_provider_sign_ins_open",
			Help: "Sign-ins with identity providers under way, by what is awaited: state (the browser), code (the client); counted every half minute, expired ones until they are swept. 10000 is the bound.",
		}, []string{"awaits"}),
		followers: f.NewGauge(prometheus.GaugeOpts{
			Name: "cloakroom_auth_revocation_followers", Help: "Gateways and services that follow the revocation log now, of at most 1024.",
		}),
		crowded: f.NewCounter(prometheus.CounterOpts{
			Name: "cloakroom_auth_revocation_followers_refused_total", Help: "Streams of the revocation log refused because 1024 were open; who gets none lets nobody in.",
		}),
	}
}

func (o observer) Login(outcome string)       { o.logins.WithLabelValues(outcome).Inc() }
func (o observer) GuessRefused(reason string) { o.guesses.WithLabelValues(reason).Inc() }
func (o observer) Refresh(outcome string)     { o.refreshes.WithLabelValues(outcome).Inc() }
func (o observer) Followers(n int)            { o.followers.Set(float64(n)) }
func (o observer) FollowerRefused()           { o.crowded.Inc() }
func (o observer) Mail(outcome string)        { o.mails.WithLabelValues(outcome).Inc() }
func (o observer) MailsWaiting(n int)         { o.waiting.Set(float64(n)) }
func (o observer) Passkey(outcome string)     { o.passkeys.WithLabelValues(outcome).Inc() }
func (o observer) Swept(what string, n int)   { o.swept.WithLabelValues(what).Add(float64(n)) }

func (o observer) SignIn(provider, outcome string) {
	o.signIns.WithLabelValues(provider, outcome).Inc()
}

func (o observer) OpenSignIns(kind identity.HandoffKind, n int) {
	o.openTrips.WithLabelValues(string(kind)).Set(float64(n))
}

// observeGuard tells how many failures the store has not taken.
func observeGuard(core *identity.Service, reg prometheus.Registerer) {
	promauto.With(reg).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cloakroom_auth_failures_held", Help: "Failed passwords that could not be written and count in memory; beyond 10000 the oldest are let go.",
	}, func() float64 { return float64(core.HeldFailures()) })
}

// observeKeys tells how old the signing keys are, read from memory at each scrape, by state.
func observeKeys(core *identity.Service, reg prometheus.Registerer) {
	for _, state := range []identity.KeyState{identity.KeyNext, identity.KeyCurrent, identity.KeyRetiring} {
		promauto.With(reg).NewGaugeFunc(prometheus.GaugeOpts{
			Name: "cloakroom_auth_signing_key_age_seconds", Help: "Age of the oldest signing key in each state; 0 for none.",
			ConstLabels: prometheus.Labels{"state": string(state)},
		}, func() float64 { return oldest(core, state).Seconds() })
	}
}

func oldest(core *identity.Service, state identity.KeyState) (age time.Duration) {
	keys, err := core.PublishedKeys(context.Background())
	if err != nil {
		return 0
	}
	for _, k := range keys {
		if k.State == state {
			age = max(age, time.Since(k.CreatedAt))
		}
	}
	return age
}
