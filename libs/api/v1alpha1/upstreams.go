package v1alpha1

// Upstreams are the services a Route's backends name.
type Upstreams struct {
	// +kubebuilder:default={url: "http://127.0.0.1:8081", internalURL: "http://127.0.0.1:8082"}
	Auth AuthUpstream `json:"auth,omitempty"`

	// +kubebuilder:default={url: "http://127.0.0.1:8083"}
	Files Upstream `json:"files,omitempty"`
}

// Upstream is one service, at one address or at several equal ones.
// +kubebuilder:validation:XValidation:rule="has(self.url) != has(self.urls)",message="exactly one of url, urls is needed"
type Upstream struct {
	Origins `json:",inline"`

	Care `json:",inline"`
}

// AuthUpstream is the auth service, which also has an internal listener for keys, revocations and API keys.
// +kubebuilder:validation:XValidation:rule="has(self.url) != has(self.urls)",message="exactly one of url, urls is needed"
// +kubebuilder:validation:XValidation:rule="has(self.internalURL) != has(self.internalURLs)",message="exactly one of internalURL, internalURLs is needed"
type AuthUpstream struct {
	Origins `json:",inline"`

	InternalOrigins `json:",inline"`

	Care `json:",inline"`
}

// Origins is where a service is: exactly one of the two.
type Origins struct {
	// URL is the service's address. A name is looked up again and again, and when it stands for several machines, as that of
	// a headless Service does, requests are spread over them; behind https a name is one address.
	// +optional
	URL OriginURL `json:"url,omitempty"`

	// URLs are the addresses of equal replicas of the service, each of which may be a name too.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	URLs []OriginURL `json:"urls,omitempty"`
}

// All returns the addresses, whichever way they are given.
func (o Origins) All() []OriginURL { return oneOrMany(o.URL, o.URLs) }

// InternalOrigins is where the auth service's internal listener is: one of the two.
type InternalOrigins struct {
	// InternalURL is the auth service's internal listener: keys, the revocation log, API keys.
	// +optional
	InternalURL OriginURL `json:"internalURL,omitempty"`

	// InternalURLs are the internal listeners of equal replicas. One is followed, and another one when it fails or falls
	// silent.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	InternalURLs []OriginURL `json:"internalURLs,omitempty"`
}

// AllInternal returns the addresses, whichever way they are given.
func (o InternalOrigins) AllInternal() []OriginURL { return oneOrMany(o.InternalURL, o.InternalURLs) }

func oneOrMany(one OriginURL, many []OriginURL) []OriginURL {
	if one != "" {
		return []OriginURL{one}
	}
	return many
}

// Care is how the gateway treats the addresses of a service: how many connections, which of them it believes in, how often
// it tries again.
type Care struct {
	// +kubebuilder:default={}
	Pool Pool `json:"pool,omitempty"`

	// MaxRequests is the most requests at once to all addresses together; further ones are answered 503 at once. What is
	// streaming counts until its end.
	// +optional
	// +kubebuilder:default=20000
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MaxRequests int32 `json:"maxRequests"`

	// +kubebuilder:default={}
	Health HealthCheck `json:"health,omitempty"`

	// +kubebuilder:default={}
	Ejection Ejection `json:"ejection,omitempty"`

	// +kubebuilder:default={}
	RetryBudget RetryBudget `json:"retryBudget,omitempty"`
}

// Pool bounds the connections to one address of an upstream.
type Pool struct {
	// MaxConns is the most connections at once; requests beyond wait for one. 0 is no bound.
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	MaxConns int32 `json:"maxConns"`

	// MaxIdleConns is how many connections are kept for the next request.
	// +optional
	// +kubebuilder:default=256
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	MaxIdleConns int32 `json:"maxIdleConns"`

	// +kubebuilder:default="90s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('100ms') && duration(self) <= duration('1h')",message="between 100ms and 1h"
	IdleTimeout Duration `json:"idleTimeout,omitempty"`

	// +kubebuilder:default="5s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('100ms') && duration(self) <= duration('60s')",message="between 100ms and 60s"
	DialTimeout Duration `json:"dialTimeout,omitempty"`
}

// HealthCheck asks each address whether it is ready: GET /readyz. An answer of 500 and above says no, any other says yes.
type HealthCheck struct {
	// Interval is the time between two questions; 0s asks none.
	// +kubebuilder:default="1s"
	// +kubebuilder:validation:XValidation:rule="duration(self) == duration('0s') || (duration(self) >= duration('100ms') && duration(self) <= duration('60s'))",message="0s, or between 100ms and 60s"
	Interval Duration `json:"interval,omitempty"`

	// +kubebuilder:default="1s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('50ms') && duration(self) <= duration('60s')",message="between 50ms and 60s"
	Timeout Duration `json:"timeout,omitempty"`

	// DownAfter is how many questions in a row must stay without an answer before an address counts as down. One that says
	// itself that it is not ready is believed at once.
	// +optional
	// +kubebuilder:default=2
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10
	DownAfter int32 `json:"downAfter"`

	// UpAfter is how many times in a row it must then say that it is ready, before it gets requests again.
	// +optional
	// +kubebuilder:default=2
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10
	UpAfter int32 `json:"upAfter"`
}

// Ejection takes an address out of use for a while when requests to it fail: no connection, none or half an answer, or a
// 502, 503 or 504 that is not the service's own word. At most half of the addresses are out at once, and never the last.
type Ejection struct {
	// Failures in a row that eject an address; 0 ejects none.
	// +optional
	// +kubebuilder:default=5
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	Failures int32 `json:"failures"`

	// Time is how long the first ejection lasts; each further one lasts twice as long.
	// +kubebuilder:default="5s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('100ms') && duration(self) <= duration('1h')",message="between 100ms and 1h"
	Time Duration `json:"time,omitempty"`

	// MaxTime is the longest.
	// +kubebuilder:default="60s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('100ms') && duration(self) <= duration('24h')",message="between 100ms and 24h"
	MaxTime Duration `json:"maxTime,omitempty"`
}

// RetryBudget bounds how many requests are sent a second time, so that a service in trouble is not buried under retries.
type RetryBudget struct {
	// Percent of the requests of the last ten seconds.
	// +optional
	// +kubebuilder:default=20
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Percent int32 `json:"percent"`

	// MinPerSecond may be sent again however few requests there are.
	// +optional
	// +kubebuilder:default=5
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	MinPerSecond int32 `json:"minPerSecond"`
}
