package identity

import (
	"slices"
	"sync"
	"sync/atomic"

	"cloakroom.dev/libs/fault"
)

// keyCache is the key set in memory: every token needs a key, and none may cost a look-up. The whole set is replaced
// at once.
type keyCache struct {
	keys atomic.Pointer[[]SigningKey]
	turn sync.Mutex // held from reading the store to set, so that an older reading never replaces a newer one
}

var errNoKey = fault.New(fault.Unavailable, "no signing key is loaded yet")

func (c *keyCache) set(keys []SigningKey) { c.keys.Store(&keys) }

func (c *keyCache) all() []SigningKey {
	if p := c.keys.Load(); p != nil {
		return slices.Clone(*p)
	}
	return nil
}

// signing returns the current key of an algorithm. While that algorithm has only a key that is not published long
// enough, the one it will replace goes on. It returns fault.Unavailable before the first load.
func (c *keyCache) signing(algorithm string) (SigningKey, error) {
	var fallback *SigningKey
	p := c.keys.Load()
	if p == nil {
		return SigningKey{}, errNoKey
	}
	for i, k := range *p {
		switch {
		case k.State != KeyCurrent:
		case k.Algorithm == algorithm:
			return k, nil
		case fallback == nil:
			fallback = &(*p)[i]
		}
	}
	if fallback == nil {
		return SigningKey{}, errNoKey
	}
	return *fallback, nil
}
