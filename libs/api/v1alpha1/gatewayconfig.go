package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// GatewayConfig is what a gateway needs to start: where it listens, whom it forwards to, whose word about a client's
// address it takes. A change takes effect at the next start.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=gwc,categories=cloakroom
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Programmed",type=string,JSONPath=`.status.conditions[?(@.type=="Programmed")].status`
// +kubebuilder:printcolumn:name="Public",type=string,JSONPath=`.spec.listeners.public.address`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type GatewayConfig struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +required
	Spec   GatewayConfigSpec `json:"spec"`
	Status Status            `json:"status,omitempty"`
}

// GatewayConfigList is a list of GatewayConfig.
// +kubebuilder:object:root=true
type GatewayConfigList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []GatewayConfig `json:"items"`
}

// GatewayConfigSpec is the user's part.
type GatewayConfigSpec struct {
	// +kubebuilder:default={}
	Listeners GatewayListeners `json:"listeners,omitempty"`

	// Upstreams are the two services behind the gateway.
	// +kubebuilder:default={}
	Upstreams Upstreams `json:"upstreams,omitempty"`

	// TrustedProxies says which X-Forwarded-For entries are believed. There is no default: a wrong guess lets clients
	// choose the address that rate limits and the audit see.
	// +required
	TrustedProxies TrustedProxies `json:"trustedProxies"`

	// +kubebuilder:default={}
	HeaderHygiene HeaderHygiene `json:"headerHygiene,omitempty"`

	// +kubebuilder:default={}
	Limits GatewayLimits `json:"limits,omitempty"`

	// Console is the page at /console/.
	// +kubebuilder:default={}
	Console GatewayConsole `json:"console,omitempty"`

	// +kubebuilder:default={}
	Drain Drain `json:"drain,omitempty"`

	// +kubebuilder:default={}
	Telemetry Telemetry `json:"telemetry,omitempty"`

	// StateDir is where status files are written, below status/. Without one there are none.
	// +optional
	StateDir FilePath `json:"stateDir,omitempty"`
}

// GatewayListeners are the addresses the gateway binds.
type GatewayListeners struct {
	// Public takes clients.
	// +kubebuilder:default={address: ":8080"}
	Public Listener `json:"public,omitempty"`

	// Ops serves metrics, health, profiles and resource status. It is unauthenticated: keep it off the internet.
	// +kubebuilder:default={address: "127.0.0.1:9090"}
	Ops Listener `json:"ops,omitempty"`
}

// GatewayConsole is the page where people look after their files and sessions, and administrators after people.
type GatewayConsole struct {
	// Enabled serves it. It can do nothing that the public contract can't; switched off, its paths are left to Routes.
	// +optional
	// +kubebuilder:default=true
	Enabled bool `json:"enabled"`
}

// TrustedProxies is exactly one way to find the client's address.
// +kubebuilder:validation:XValidation:rule="(has(self.cidrs) ? 1 : 0) + (has(self.hops) ? 1 : 0) + (has(self.none) ? 1 : 0) == 1",message="exactly one of cidrs, hops, none is needed"
type TrustedProxies struct {
	// CIDRs are the networks of proxies: the client is the last X-Forwarded-For entry outside all of them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	CIDRs []CIDR `json:"cidrs,omitempty"`

	// Hops is how many proxies stand in front: the client is that many entries from the end of X-Forwarded-For.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=16
	Hops *int32 `json:"hops,omitempty"`

	// None: clients connect directly and X-Forwarded-For is ignored.
	// +optional
	None *Empty `json:"none,omitempty"`
}

// CIDR is a network: 10.0.0.0/8.
// +kubebuilder:validation:MaxLength=49
// +kubebuilder:validation:XValidation:rule="isCIDR(self)",message="not a network like 10.0.0.0/8 or fd00::/8"
type CIDR string

// Empty is a choice without settings; write {}.
type Empty struct{}

// HeaderHygiene is about headers that only the gateway may set.
type HeaderHygiene struct {
	// Strip lists further header names removed from every request, beside the identity headers that always are.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	Strip []HeaderName `json:"strip,omitempty"`
}

// GatewayLimits bound what one client can make the gateway hold.
type GatewayLimits struct {
	// MaxHeaderBytes bounds the header of a request.
	// +kubebuilder:default="64Ki"
	// +kubebuilder:validation:XValidation:rule="quantity(self).compareTo(quantity('4Ki')) >= 0 && quantity(self).compareTo(quantity('1Mi')) <= 0",message="between 4Ki and 1Mi"
	MaxHeaderBytes Size `json:"maxHeaderBytes,omitempty"`

	// MaxBodyBytes bounds the body of a request on routes that set no limit of their own.
	// +kubebuilder:default="1Mi"
	MaxBodyBytes Size `json:"maxBodyBytes,omitempty"`

	// MaxConnections bounds open client connections; further ones wait in the system's queue.
	// +optional
	// +kubebuilder:default=20000
	// +kubebuilder:validation:Minimum=16
	// +kubebuilder:validation:Maximum=1000000
	MaxConnections int32 `json:"maxConnections"`

	// MaxConnectionsPerAddress bounds the open connections of one client address (IPv6: its /64); further ones are closed
	// at once. Trusted proxies, which speak for many, are not counted. 0 is no bound.
	// +optional
	// +kubebuilder:default=1000
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	MaxConnectionsPerAddress int32 `json:"maxConnectionsPerAddress"`

	// ReadHeaderTimeout is how long a client may take to send a request's header.
	// +kubebuilder:default="10s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('100ms') && duration(self) <= duration('60s')",message="between 100ms and 60s"
	ReadHeaderTimeout Duration `json:"readHeaderTimeout,omitempty"`

	// IdleTimeout is how long a connection may wait between requests.
	// +kubebuilder:default="120s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('100ms') && duration(self) <= duration('1h')",message="between 100ms and 1h"
	IdleTimeout Duration `json:"idleTimeout,omitempty"`

	// Store is where requests are counted for the limits of RateLimitPolicies.
	// +kubebuilder:default={memory: {}}
	Store LimitStore `json:"store,omitempty"`
}

// LimitStore is exactly one place to count requests in.
// +kubebuilder:validation:XValidation:rule="has(self.memory) != has(self.redis)",message="exactly one store is needed: memory or redis"
type LimitStore struct {
	// Memory of this gateway: exact for one gateway. Of several, each allows as much as one. Write {}.
	// +optional
	Memory *Empty `json:"memory,omitempty"`

	// Redis, or Valkey, that all gateways share: together they allow as much as one.
	// +optional
	Redis *RedisLimitStore `json:"redis,omitempty"`
}

// RedisLimitStore is a Redis 6 or newer, or a Valkey. While it is lost each gateway enforces its share of every limit.
// +kubebuilder:validation:XValidation:rule="!has(self.username) || has(self.password)",message="username without password"
// +kubebuilder:validation:XValidation:rule="size(self.addresses) == 1 && !(has(self.cluster) && self.cluster) || self.database == 0",message="a cluster has database 0 only"
type RedisLimitStore struct {
	// Addresses: of one server, or of several nodes of one Redis Cluster. All keys lie in one slot of it.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:XValidation:rule="!self.startsWith(':')",message="a host is needed"
	Addresses []Address `json:"addresses"`

	// Cluster says that one address alone is that of a Redis Cluster too, such as a name that stands for its nodes: the others are
	// learnt from it. Several addresses are always of a cluster.
	// +optional
	Cluster bool `json:"cluster,omitempty"`

	// Username, where the server has users. It is read for each connection.
	// +optional
	Username *SecretRef `json:"username,omitempty"`

	// Password is read for each connection.
	// +optional
	Password *SecretRef `json:"password,omitempty"`

	// TLS encrypts the connections. Write {} for certificates of the system's authorities.
	// +optional
	TLS *RedisTLS `json:"tls,omitempty"`

	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1023
	Database int32 `json:"database"`

	// Timeout is the longest a request waits for the store; then this gateway's share of the limit decides.
	// +kubebuilder:default="10ms"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1ms') && duration(self) <= duration('1s')",message="between 1ms and 1s"
	Timeout Duration `json:"timeout,omitempty"`

	// MaxConnections of each gateway to each server.
	// +kubebuilder:default=32
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1024
	MaxConnections int32 `json:"maxConnections,omitempty"`

	// Prefix of all keys. Installations that share a server need one each.
	// +kubebuilder:default=cloakroom
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`
	Prefix string `json:"prefix,omitempty"`

	// Replicas is how many gateways share the store, for their shares while it is lost. Without it they count each other
	// in the store; one that has not reached the store since its start takes 2 for the number.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	Replicas *int32 `json:"replicas,omitempty"`
}

// RedisTLS is how the server's certificate is checked.
type RedisTLS struct {
	// CA is a file with the certificates of authorities to trust in place of the system's.
	// +optional
	CA FilePath `json:"ca,omitempty"`

	// ServerName is the name the certificate must have; without it, the host of the address.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`
	ServerName string `json:"serverName,omitempty"`
}
