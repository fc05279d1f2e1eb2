package token

import (
	"crypto/sha256"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/libs/principal"
)

const defaultCacheSize = 16 << 10

const cacheShards = 32

// digest names a token by the SHA-256 of all of it: two tokens that differ anywhere are two tokens.
type digest [sha256.Size]byte

// verified is a token whose signature and claims were found good, and the key that said so.
type verified struct {
	principal principal.Principal
	expires   int64 // seconds
	key       Key
}

// cache remembers verified tokens, least recently used first to go. Only genuine tokens get in, so strangers can't fill
// it. It is sharded because looking up reorders, which takes the lock for writing.
type cache struct {
	shards  []cacheShard // empty when nothing is to be remembered
	metrics cacheMetrics
}

type cacheShard struct {
	mu     sync.Mutex
	lru    *simplelru.LRU[digest, *verified]
	closed bool
	_      [40]byte // keeps two shards' locks out of one cache line
}

type cacheMetrics struct {
	hits, misses, evictions prometheus.Counter
	entries                 prometheus.Gauge
}

func newCacheMetrics(reg prometheus.Registerer) cacheMetrics {
	return cacheMetrics{
		hits:      counter(reg, "cloakroom_token_cache_hits_total", "Requests whose token was verified before."),
		misses:    counter(reg, "cloakroom_token_cache_misses_total", "Requests whose token had to be verified."),
		evictions: counter(reg, "cloakroom_token_cache_evictions_total", "Verified tokens forgotten for want of room."),
		entries: register(reg, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "cloakroom_token_cache_entries", Help: "Verified tokens remembered.",
		})),
	}
}

// newCache makes a cache of at most size tokens, rounded up to fill its shards; a negative size remembers nothing.
func newCache(size int, metrics cacheMetrics) *cache {
	c := &cache{metrics: metrics}
	if size < 0 {
		return c
	}
	if size == 0 {
		size = defaultCacheSize
	}
	c.shards = make([]cacheShard, min(cacheShards, size))
	for i := range c.shards {
		perShard := (size + len(c.shards) - 1) / len(c.shards)
		c.shards[i].lru, _ = simplelru.NewLRU[digest, *verified](perShard, nil) // fails for a size below one only
	}
	return c
}

func (c *cache) shard(d digest) *cacheShard { return &c.shards[int(d[0])%len(c.shards)] }

func (c *cache) get(d digest) *verified {
	if len(c.shards) == 0 {
		return nil
	}
	sh := c.shard(d)
	sh.mu.Lock()
	v, _ := sh.lru.Get(d)
	sh.mu.Unlock()
	return v
}

func (c *cache) put(d digest, v *verified) {
	if len(c.shards) == 0 {
		return
	}
	sh := c.shard(d)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.closed {
		return
	}
	before := sh.lru.Len()
	if evicted := sh.lru.Add(d, v); evicted {
		c.metrics.evictions.Inc()
	}
	c.metrics.entries.Add(float64(sh.lru.Len() - before))
}

func (c *cache) remove(d digest) {
	if len(c.shards) == 0 {
		return
	}
	sh := c.shard(d)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.lru.Remove(d) {
		c.metrics.entries.Dec()
	}
}

// close forgets everything, for good.
func (c *cache) close() {
	for i := range c.shards {
		sh := &c.shards[i]
		sh.mu.Lock()
		c.metrics.entries.Sub(float64(sh.lru.Len()))
		sh.lru.Purge()
		sh.closed = true
		sh.mu.Unlock()
	}
}
